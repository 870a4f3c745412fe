from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rove_core.errors import BundleError, JointNameError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import load_bundle, write_bundle

Edit = Callable[..., Path]


def test_a_bundle_is_known_by_its_name_and_hash(tiny: Path, space: JointSpace) -> None:
    bundle = load_bundle(tiny, space)
    assert bundle.policy_id == f"tiny@{bundle.sha256[:12]}"
    assert bundle.spec.horizon == 50
    assert bundle.spec.dt_s == pytest.approx(1 / 30)


def test_one_changed_byte_is_refused_and_the_file_named(tiny: Path, space: JointSpace) -> None:
    model = tiny / "model.onnx"
    content = bytearray(model.read_bytes())
    content[100] ^= 1
    model.write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.onnx has SHA-256"):
        load_bundle(tiny, space)


def test_a_missing_file_is_refused_and_named(tiny: Path, space: JointSpace) -> None:
    (tiny / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"cannot read model\.onnx"):
        load_bundle(tiny, space)


def test_a_folder_without_spec_is_not_a_bundle(tmp_path: Path, space: JointSpace) -> None:
    with pytest.raises(BundleError, match="no policy bundle at"):
        load_bundle(tmp_path / "nowhere", space)
    with pytest.raises(BundleError, match=r"policy\.yaml"):
        load_bundle(tmp_path, space)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"execut": 16}, "did you mean 'execute'"),
        ({"execute": 51}, "executes 51 of 50"),
        ({"backend": "pickle"}, "'backend' is 'pickle'"),
        ({"format": 2}, "'format' is 2"),
        ({"control_hz": 0.0}, "control_hz"),
        ({"model": "other.onnx"}, "not among the files"),
        ({"files": {"../model.onnx": "0"}}, "not a path inside the bundle"),
        ({"robot": "atlas"}, "is for robot 'atlas', this is 'iron_r01'"),
    ],
)
def test_a_wrong_key_or_value_is_one_line_that_names_it(
    edited: Edit, space: JointSpace, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(BundleError, match=text) as caught:
        load_bundle(edited(**change), space)
    assert "\n" not in str(caught.value)


def test_joints_that_are_not_the_robots_are_listed(tiny: Path, edited: Edit, space: JointSpace) -> None:
    state = yaml.safe_load((tiny / "policy.yaml").read_text(encoding="utf-8"))["state"]
    state["names"][9] = "left_knee"
    with pytest.raises(JointNameError, match="missing left_elbow; unknown left_knee"):
        load_bundle(edited(state=state), space)


def test_orders_lead_from_the_robot_to_the_model_and_back(tiny: Path, edited: Edit, space: JointSpace) -> None:
    content = yaml.safe_load((tiny / "policy.yaml").read_text(encoding="utf-8"))
    shuffled = list(np.random.default_rng(0).permutation(space.names))
    content["state"]["names"] = [str(name) for name in shuffled]
    content["action"]["names"] = [str(name) for name in shuffled]
    bundle = load_bundle(edited(state=content["state"], action=content["action"]), space)
    names = np.array(space.names)
    assert list(names[bundle.state_order]) == shuffled
    assert list(np.array(shuffled)[bundle.action_order]) == list(space.names)


def test_writing_records_the_hashes_of_the_files(tiny: Path, space: JointSpace) -> None:
    spec = load_bundle(tiny, space).spec
    (tiny / "model.onnx").write_bytes(b"another model")
    write_bundle(tiny, spec)
    assert load_bundle(tiny, space).spec.files != spec.files
