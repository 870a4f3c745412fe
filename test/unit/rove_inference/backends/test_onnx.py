"""ONNX Runtime itself, on the CPU."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from rove_core.errors import PolicyError
from rove_inference.backends.onnx import OnnxBackend
from rove_inference.backends.placement import Placement

MODEL = Path(__file__).parents[3] / "data" / "bundles" / "tiny" / "model.onnx"


def tensors(brightness: int) -> dict[str, np.ndarray]:
    picture = np.full((1, 3, 24, 32), brightness, np.uint8)
    return {"state": np.linspace(-1, 1, 50, dtype=np.float32)[None], "image_head": picture}


def threads_by_core() -> dict[str, set[int]]:
    return {task.name: os.sched_getaffinity(int(task.name)) for task in Path("/proc/self/task").iterdir()}


def test_bound_tensors_give_the_same_answer() -> None:
    plain, bound = OnnxBackend(MODEL), OnnxBackend(MODEL, bind=True)
    for brightness in (1, 200, 255):
        expected = plain.run(tensors(brightness))["actions"]
        np.testing.assert_array_equal(bound.run(tensors(brightness))["actions"], expected)


def test_a_writable_array_is_read_again_with_every_run() -> None:
    # A decoder may change its chunk in place between two runs.
    backend, given = OnnxBackend(MODEL, bind=True), tensors(255)
    first = backend.run(given)["actions"].copy()
    given["state"] += 1.0
    np.testing.assert_allclose(backend.run(given)["actions"], first + 1.0, atol=1e-6)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores to tell them apart")
def test_the_threads_of_a_model_stay_on_its_cores() -> None:
    before, core = threads_by_core(), max(os.sched_getaffinity(0))
    backend = OnnxBackend(MODEL, Placement(threads=2, cpus=(core,)))
    started = {task: cores for task, cores in threads_by_core().items() if task not in before}
    assert started
    assert all(cores == {core} for cores in started.values())
    assert backend.run(tensors(255))["actions"].shape == (1, 50, 50)


@pytest.mark.parametrize(("device", "provider"), [("cuda", "CUDAExecutionProvider"), ("tensorrt", "Tensorrt")])
def test_a_provider_that_is_missing_is_one_line_with_the_way_out(device: str, provider: str) -> None:
    if any(name.startswith(provider) for name in ort.get_available_providers()):
        pytest.skip("this build has it")
    with pytest.raises(PolicyError, match=f"device '{device}'") as caught:
        OnnxBackend(MODEL, Placement(device))
    assert "use device" in caught.value.hint
    assert "\n" not in str(caught.value)
