"""What classifier-free guidance costs: both conditions as one batch, against one condition alone.

The network is the demo policy's, in two forms. As it is, one graph from picture to chunk: the second row sees the
picture again. And as a flow policy: the demo's encoder runs once per observation, and a head as wide as the demo's,
with weights that mean nothing, is evaluated in every step of the solver.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rove_core.joint_space import JointSpace
from rove_inference.backends.onnx import OnnxBackend
from rove_inference.loading import load_policy
from rove_inference.observation import Observation
from rove_inference.policy import Policy
from rove_inference.query import Query

DEMO = Path(__file__).parents[2] / "bundles" / "whiteboard"
STEPS = 10


def run(quick: bool) -> dict[str, Any]:
    """Times of an answer with and without guidance, and their ratio. Takes 10 s."""
    try:
        from rove_inference.bench.flow_bundle import flow_bundle
    except ModuleNotFoundError as error:
        return {"left_out": f"needs the package {error.name}"}
    if not DEMO.is_dir():
        return {"left_out": "needs the demo policy of a checkout"}
    rounds = 40 if quick else 400
    space = JointSpace.load("iron_r01")
    with tempfile.TemporaryDirectory() as folder:
        made = flow_bundle(Path(folder), DEMO, space, STEPS)
        policy = load_policy(made, space)
        return {
            "whole_network": _rows(OnnxBackend(DEMO / "model.onnx"), rounds),
            "flow_head": _rows(OnnxBackend(made / "model.onnx"), rounds),
            f"flow_answer_{STEPS}_steps": _answers(policy, space, rounds),
        }


def _paired(
    one: Callable[[], object], two: Callable[[], object], rounds: int, names: tuple[str, str]
) -> dict[str, float]:
    """Medians of both, taken in turns, so that what else the machine does meets both alike."""
    spent = np.empty((rounds, 2))
    for number in range(rounds):
        for column, ask in enumerate((one, two)):
            began = time.perf_counter_ns()
            ask()
            spent[number, column] = (time.perf_counter_ns() - began) * 1e-6
    first, second = np.median(spent[rounds // 10 :], axis=0)
    return {
        f"{names[0]}_p50_ms": round(float(first), 3),
        f"{names[1]}_p50_ms": round(float(second), 3),
        "ratio": round(float(second / first), 3),
    }


def _rows(backend: OnnxBackend, rounds: int) -> dict[str, float]:
    """One evaluation of a network with one row and with two."""
    generator = np.random.default_rng(0)

    def tensors(count: int) -> dict[str, Any]:
        made = {}
        for name, info in backend.inputs.items():
            rest = tuple(size or 1 for size in info.shape[1:])  # all but the batch are given
            made[name] = generator.integers(0, 2, (count, *rest)).astype(info.dtype)
        return made

    one, two = tensors(1), tensors(2)
    return _paired(lambda: backend.run(one), lambda: backend.run(two), rounds, ("one_row", "two_rows"))


def _answers(policy: Policy, space: JointSpace, rounds: int) -> dict[str, float]:
    """A whole chunk, without guidance and with."""
    pictures = {
        camera.name: np.full((camera.height, camera.width, 3), 128, np.uint8) for camera in policy.bundle.spec.cameras
    }
    seen = Observation(0, 0, space.home, pictures)

    def ask(beta: float) -> Callable[[], object]:
        return lambda: policy.predict(seen, Query(condition="good", cfg_beta=beta))

    return _paired(ask(1.0), ask(2.0), rounds, ("beta_1", "beta_2"))
