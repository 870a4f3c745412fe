"""A network that was trained to continue the chunk before: what it is given, and that the chunk keeps to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from rove_core.errors import BundleError
from rove_core.joint_space import JointSpace
from rove_inference.backends import Array, TensorInfo
from rove_inference.bench.dummy import Constant, dummy_spec
from rove_inference.bundle import Bundle, PolicySpec
from rove_inference.observation import Observation
from rove_inference.planner import Answer, Authority, Choices, Planner
from rove_inference.policy import Policy

MS = 1_000_000
FLOAT = np.dtype(np.float32)


class Continuing:
    """Repeats the prefix where there is one, and goes 0.5 rad beyond the measured state after it."""

    def __init__(self, spec: PolicySpec, dim: int) -> None:
        self.inputs: Mapping[str, TensorInfo] = {
            "state": TensorInfo((1, dim), FLOAT),
            "prefix": TensorInfo((1, spec.horizon, dim), FLOAT),
            "prefix_mask": TensorInfo((1, spec.horizon), FLOAT),
        }
        self.outputs: Mapping[str, TensorInfo] = {"actions": TensorInfo((1, spec.horizon, dim), FLOAT)}

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        mask = tensors["prefix_mask"][:, :, None]
        beyond = tensors["state"][:, None] + 0.5
        return {"actions": (tensors["prefix"] * mask + beyond * (1 - mask)).astype(np.float32)}


def spec_of(space: JointSpace) -> PolicySpec:
    return dummy_spec(space, 8).model_copy(update={"prefix_input": True, "cameras": (), "join": "rtc"})


def ask(planner: Planner, space: JointSpace, observed_ms: int, ready_ms: int) -> Answer:
    seen = Observation(observed_ms * MS, observed_ms * MS, space.home + observed_ms * 1e-5, {})
    request = planner.ask(seen, observed_ms * MS)
    assert request is not None
    answer = planner.answered(request, request.policy.predict(seen, request.query), ready_ms * MS)
    assert answer is not None
    return answer


@pytest.mark.parametrize("backwards", [False, True])
def test_the_chunk_begins_with_the_steps_that_were_executed_meanwhile(space: JointSpace, backwards: bool) -> None:
    """In any order of the model's joints."""
    spec, order = spec_of(space), np.arange(space.dim)[:: -1 if backwards else 1]
    policy = Policy(Bundle(Path("continuing"), spec, "0" * 64, order, order), Continuing(spec, space.dim), space)
    planner = Planner(policy, Choices(margin_s=0.0))
    planner.set_authority(Authority(True, 1, "attempt", 0))
    first, second = ask(planner, space, 0, 100), ask(planner, space, 500, 600)
    assert not first.prediction.guided
    assert second.prediction.guided
    assert (first.frozen, second.frozen) == (0, 4)  # 100 ms at 30 Hz, and the step that is under way
    np.testing.assert_allclose(second.prediction.positions[:4], first.chunk.positions[15:19], atol=1e-6)
    beyond = space.clip(space.home + 0.005 + 0.5)
    np.testing.assert_allclose(second.chunk.positions[4:], np.tile(beyond, (46, 1)), atol=1e-6)


def test_a_network_without_these_inputs_does_not_fit_such_a_bundle(space: JointSpace) -> None:
    spec, order = spec_of(space), np.arange(space.dim)
    with pytest.raises(BundleError, match="no input 'prefix'"):
        Policy(Bundle(Path("other"), spec, "0" * 64, order, order), Constant(spec, space.home), space)
