"""torch archives and weights: what opens, and what never does."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rove_core.errors import BundleError, PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.actor.head import ActionContext, HeadConfig
from rove_inference.backends.placement import Placement
from rove_inference.backends.torch_model import build_architecture, load_archive, load_weights, save_archive
from rove_inference.bundle import CameraSpec, JointsSpec, PolicySpec, write_bundle
from rove_inference.loading import load_policy
from rove_inference.observation import Observation


class Lean(torch.nn.Module):
    """Holds the pose, and leans with brightness: the tiny bundle's model, in torch."""

    def __init__(self) -> None:
        super().__init__()
        self.ramp = torch.nn.Parameter(0.001 * torch.arange(50.0).reshape(1, 50, 1))

    def forward(self, state: torch.Tensor, image_head: torch.Tensor) -> dict[str, torch.Tensor]:
        brightness = image_head.float().mean(dim=(1, 2, 3)).reshape(-1, 1, 1) / 255.0
        return {"actions": state.unsqueeze(1) + brightness * self.ramp}


def program() -> torch.export.ExportedProgram:
    example = (torch.zeros(1, 50), torch.zeros(1, 3, 24, 32, dtype=torch.uint8))
    return torch.export.export(Lean(), example)


def bundle(folder: Path, space: JointSpace) -> Path:
    joints = JointsSpec(names=space.names, mean=tuple(space.home), std=(0.1,) * space.dim)
    spec = PolicySpec(
        format=1, name="lean", robot=space.robot, backend="torch", decoder="direct", model="model.pt2", control_hz=30.0,
        horizon=50, execute=16, cameras=(CameraSpec(name="head", width=32, height=24),), state=joints, action=joints,
        files={"model.pt2": ""},
    )  # fmt: skip
    return write_bundle(folder, spec)


def test_an_archive_answers_as_the_module_that_it_was_exported_from(tmp_path: Path, space: JointSpace) -> None:
    save_archive(program(), tmp_path / "model.pt2")
    policy = load_policy(bundle(tmp_path, space), space)
    white = np.full((48, 64, 3), 255, np.uint8)
    prediction = policy.predict(Observation(0, 0, space.home, {"head": white}))
    expected = space.clip(space.home + 0.001 * np.arange(50)[:, None])
    np.testing.assert_allclose(prediction.positions, expected, atol=1e-6)


def test_an_archive_with_pickled_sample_inputs_is_refused_with_the_way_to_write_one(tmp_path: Path) -> None:
    torch.export.save(program(), str(tmp_path / "model.pt2"))
    with pytest.raises(BundleError, match=r"data/sample_inputs/model\.pt is a pickle") as caught:
        load_archive(tmp_path / "model.pt2")
    assert "save_archive" in caught.value.hint


def test_nothing_in_an_archive_is_run(tmp_path: Path) -> None:
    plain, loaded = tmp_path / "plain.pt2", tmp_path / "loaded.pt2"
    save_archive(program(), plain)
    trap = tmp_path / "trap"
    touch = f"cposix\nsystem\n(S'touch {trap}'\ntR.".encode()  # what a pickle of hostile make says
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(loaded, "w") as target:
        for member in source.infolist():
            content = source.read(member)
            if member.filename.endswith("model_weights_config.json"):
                config = json.loads(content)
                for entry in config["config"].values():
                    entry["use_pickle"] = True
                content = json.dumps(config).encode()
            if "/data/weights/weight_" in member.filename:
                content = touch
            target.writestr(member.filename, content)
    with pytest.raises(BundleError, match="is a pickle or compiled code"):
        load_archive(loaded)
    assert not trap.exists()
    with pytest.raises(Exception):  # noqa: B017 - the control: torch itself walks into it
        torch.export.load(str(loaded))
    assert trap.exists()


def test_compiled_code_in_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    save_archive(program(), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/data/aotinductor/model/kernel.so", b"\x7fELF")
    with pytest.raises(BundleError, match=r"data/aotinductor/model/kernel\.so is a pickle or compiled code"):
        load_archive(path)


def test_what_is_no_archive_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(b"no zip")
    with pytest.raises(BundleError, match=r"model\.pt2 is not a torch\.export archive"):
        load_archive(tmp_path / "model.pt2")


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    config = HeadConfig(dim=50, horizon=50, feature_dim=8, width=8, layers=1, heads=2)
    file = tmp_path / "context.safetensors"
    save_file(ActionContext(config).state_dict(), file)
    weights = load_file(file)
    weights["keyz"] = weights.pop("keys.weight")
    save_file(weights, file)
    with pytest.raises(BundleError, match=r"no 'keys\.weight'; unknown 'keyz'"):
        load_weights(ActionContext(config), file)


def test_an_architecture_that_nobody_declares_names_the_nearest() -> None:
    with pytest.raises(BundleError, match=r"no installed package declares architecture 'rove_heads'") as caught:
        build_architecture("rove_heads", None)
    assert caught.value.hint == "did you mean 'rove_head'?"


def test_a_configuration_that_does_not_fit_names_the_key(tmp_path: Path) -> None:
    (tmp_path / "head.json").write_text('{"dim": 50, "horizon": 50, "widht": 64}', encoding="utf-8")
    with pytest.raises(BundleError, match="unknown key 'widht'"):
        build_architecture("rove_head", tmp_path / "head.json")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize(("device", "text"), [("cuda", "sees no CUDA device"), ("tensorrt", "runs ONNX models")])
def test_a_device_that_is_missing_is_one_line(tmp_path: Path, space: JointSpace, device: str, text: str) -> None:
    save_archive(program(), tmp_path / "model.pt2")
    with pytest.raises(PolicyError, match=text):
        load_policy(bundle(tmp_path, space), space, device=Placement(device).device)
