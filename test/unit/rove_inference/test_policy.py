"""A bundle as the robot loads it, through the real ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rove_core.errors import BundleError, PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import file_sha256
from rove_inference.loading import load_policy
from rove_inference.observation import Observation

Edit = Callable[..., Path]


def seeing(space: JointSpace, value: int) -> Observation:
    return Observation(0, 0, space.home, {"head": np.full((48, 64, 3), value, np.uint8)})


def test_the_tiny_policy_leans_with_brightness(tiny: Path, space: JointSpace) -> None:
    prediction = load_policy(tiny, space).predict(seeing(space, 255))
    expected = space.clip(space.home + 0.001 * np.arange(50)[:, None])
    np.testing.assert_allclose(prediction.positions, expected, atol=1e-5)
    assert prediction.positions.flags.c_contiguous


def test_a_model_in_another_order_of_joints_moves_the_same_joints(tiny: Path, edited: Edit, space: JointSpace) -> None:
    content = yaml.safe_load((tiny / "policy.yaml").read_text(encoding="utf-8"))
    joints = content["state"] | {"names": content["state"]["names"][::-1]}
    observation = seeing(space, 200)
    straight = load_policy(tiny, space).predict(observation)
    reversed_ = load_policy(edited(state=joints, action=joints), space).predict(observation)
    np.testing.assert_allclose(straight.positions, reversed_.positions, atol=1e-6)


def test_nan_is_refused_with_the_joint(tiny: Path, space: JointSpace) -> None:
    policy = load_policy(tiny, space)
    with pytest.raises(PolicyError, match="answered nan for 'head_yaw' at step 0"):
        policy.predict(seeing(space, 0))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"horizon": 40}, r"output 'actions' is float32 \(any, 50, 50\), expected float32 \(1, 40, 50\)"),
        ({"cameras": [{"name": "head", "width": 40, "height": 24}]}, "input 'image_head' is uint8"),
        ({"cameras": [{"name": "wrist", "width": 32, "height": 24}]}, "no input 'image_wrist'"),
        ({"cameras": []}, "unknown input 'image_head'"),
    ],
)
def test_tensors_that_do_not_fit_the_bundle_are_named(
    edited: Edit, space: JointSpace, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(BundleError, match=text):
        load_policy(edited(**change), space)


def test_a_file_that_is_no_model_is_one_line(tiny: Path, edited: Edit, space: JointSpace) -> None:
    (tiny / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(BundleError, match=r"model\.onnx is not a model") as caught:
        load_policy(edited(files={"model.onnx": file_sha256(tiny / "model.onnx")}), space)
    assert "\n" not in str(caught.value)


def test_cuda_without_cuda_says_what_to_install(tiny: Path, space: JointSpace) -> None:
    ort = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this is the GPU build")
    with pytest.raises(PolicyError, match="CPU build") as caught:
        load_policy(tiny, space, device="cuda")
    assert "onnxruntime-gpu" in caught.value.hint
