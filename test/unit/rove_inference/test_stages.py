"""Encoders and the model as one network: who runs how often, and on how many rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from rove_core.errors import BundleError, PolicyError
from rove_inference.backends import Array, TensorInfo
from rove_inference.stages import Stages

FLOAT = np.dtype(np.float32)
ROW = TensorInfo((None, 2), FLOAT)


class Sum:
    """Adds its inputs up."""

    def __init__(self, inputs: tuple[str, ...], output: str, shape: tuple[int | None, ...] = (None, 2)) -> None:
        self.inputs: Mapping[str, TensorInfo] = dict.fromkeys(inputs, TensorInfo(shape, FLOAT))
        self.outputs: Mapping[str, TensorInfo] = {output: ROW}
        self.rows: list[int] = []
        self.given: dict[str, Array] = {}

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        assert set(tensors) == set(self.inputs)
        (rows,) = {len(array) for array in tensors.values()}
        self.rows.append(rows)
        self.given = dict(tensors)
        return {name: np.sum(list(tensors.values()), axis=0, dtype=np.float32) for name in self.outputs}


def rows(*values: float) -> Array:
    return np.array([[value, value] for value in values], np.float32)


def test_encoders_run_once_per_observation_and_the_model_with_every_step() -> None:
    eyes, head = Sum(("picture",), "seen"), Sum(("seen", "x"), "y")
    observed = Stages([eyes], head).observe({"picture": rows(1)})
    answers = [observed({"x": rows(number)})["y"] for number in range(3)]
    assert (len(eyes.rows), len(head.rows)) == (1, 3)
    np.testing.assert_array_equal(np.concatenate(answers), rows(1, 2, 3))


def test_only_what_the_condition_reaches_runs_on_both_rows() -> None:
    eyes, words = Sum(("picture",), "seen"), Sum(("seen", "condition"), "told")
    touch, head = Sum(("state",), "felt"), Sum(("told", "felt", "x"), "y")
    stages = Stages([eyes, touch, words], head)
    answer = stages.observe({"picture": rows(1), "state": rows(5), "condition": rows(10, 20)})({"x": rows(0, 0)})
    assert (eyes.rows, touch.rows, words.rows, head.rows) == ([1], [1], [2], [2])
    np.testing.assert_array_equal(answer["y"], rows(16, 26))
    assert stages.depending_on("condition") == [words, head]


def test_what_stays_the_same_is_marked_so_for_the_device() -> None:
    head = Sum(("seen", "x"), "y")
    Stages([Sum(("picture",), "seen")], head).observe({"picture": rows(1)})({"x": rows(1)})
    assert not head.given["seen"].flags.writeable
    assert head.given["x"].flags.writeable


def test_inputs_are_those_that_no_encoder_makes() -> None:
    stages = Stages([Sum(("picture",), "seen")], Sum(("seen", "x"), "y"))
    assert set(stages.inputs) == {"picture", "x"}
    assert set(stages.outputs) == {"y"}


def test_networks_that_disagree_about_a_tensor_are_refused() -> None:
    with pytest.raises(BundleError, match=r"tensor 'seen' is float32 \(any, 2\) .* float32 \(any, 3\)"):
        Stages([Sum(("picture",), "seen")], Sum(("seen",), "y", (None, 3)))


def test_a_tensor_that_nobody_gave_is_named() -> None:
    observed = Stages([], Sum(("seen", "x"), "y")).observe({"seen": rows(1)})
    with pytest.raises(PolicyError, match="takes x, which nobody gave"):
        observed({})
