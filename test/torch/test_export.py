"""`rove policy export`: the head as ONNX, the backbone apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rove_core.errors import BundleError
from rove_core.joint_space import JointSpace
from rove_hil.cli.main import main
from rove_inference.bundle import load_bundle
from rove_inference.export import export_bundle
from rove_inference.loading import load_policy
from rove_inference.observation import Observation
from rove_inference.query import Query


def pictures(space: JointSpace) -> Observation:
    generator = np.random.default_rng(0)
    seen = {"head": (64, 96, 3), "left_wrist": (64, 64, 3)}
    return Observation(
        0, 0, space.home, {name: generator.integers(0, 256, shape, dtype=np.uint8) for name, shape in seen.items()}
    )


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_the_exported_policy_makes_the_same_chunk(actor: Path, exported: Path, space: JointSpace, beta: float) -> None:
    query = Query(instruction="erase the whiteboard", condition="Quality: good.", cfg_beta=beta, seed=5)
    chunks = [load_policy(folder, space).predict(pictures(space), query).positions for folder in (actor, exported)]
    np.testing.assert_allclose(chunks[0], chunks[1], atol=1e-4)


def test_the_head_is_onnx_and_the_backbone_is_what_it_was(actor: Path, exported: Path, space: JointSpace) -> None:
    before, after = load_bundle(actor, space).spec, load_bundle(exported, space).spec
    assert [network.backend for network in (*after.encoders, after)] == ["qwen3_vl", "onnx", "onnx"]
    assert set(after.files) - set(before.files) == {"context.onnx", "head.onnx"}
    assert set(before.files) - set(after.files) == {"context.safetensors", "head.safetensors", "head.json"}
    assert after.guidance == before.guidance
    weights = Path("backbone/model.safetensors")
    assert (actor / weights).samefile(exported / weights), "gigabytes are linked, not copied"


def test_a_bundle_is_never_overwritten(actor: Path, exported: Path, space: JointSpace) -> None:
    with pytest.raises(BundleError, match="exists already"):
        export_bundle(actor, exported, space)


def test_a_bundle_without_torch_says_so_and_leaves_nothing(exported: Path, tmp_path: Path, space: JointSpace) -> None:
    with pytest.raises(BundleError, match="has no torch network to export, its backends are qwen3_vl, onnx, onnx"):
        export_bundle(exported, tmp_path / "again", space)
    assert not (tmp_path / "again").exists()


def test_the_commands_make_and_export_an_actor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["random", tmp_path / "actor", "--camera", "head:64x64"],
        ["export", tmp_path / "actor", tmp_path / "onnx"],
    ):
        with pytest.raises(SystemExit) as left:
            main(["policy", *map(str, arguments)])
        assert not left.value.code
    printed = capsys.readouterr().out
    assert "head.onnx: 0.9 MB, differs from torch by" in printed
    assert f"{tmp_path / 'onnx'} is ready" in printed


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--size", "7b"], "error: size '7b': expected tiny or 4b"),
        (["--camera", "head"], "error: camera 'head': expected NAME:WIDTHxHEIGHT"),
    ],
)
def test_a_wrong_size_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["policy", "random", str(tmp_path / "actor"), *arguments])
    assert left.value.code == 1
    assert line in capsys.readouterr().err
