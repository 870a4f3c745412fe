"""The planning thread with the real `tiny` policy, a clock that the test moves, and no ROS."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rove_core.joint_space import JointSpace
from rove_inference.loading import load_policy
from rove_inference.observation import Observation, ObservationBuffer
from rove_inference.planner import Answer, Authority, Choices
from rove_inference.query import Prediction, Query
from rove_inference.worker import PolicyWorker

MS = 1_000_000
DEADLINE_S = 10.0


class Bench:
    """A worker, its robot and its listener. `hold` keeps answers from being published until `release`."""

    def __init__(self, bundle: Path, space: JointSpace) -> None:
        self.space = space
        self.now_ns = 1_000_000 * MS
        self.answers: list[Answer] = []
        self.warnings: list[str] = []
        self.buffer = ObservationBuffer(["head"], 0.3)
        self.policy = load_policy(bundle, space)
        self.worker = PolicyWorker(
            self.policy,
            self.buffer,
            lambda: self.now_ns,
            self.answers.append,
            self.warnings.append,
            Choices(margin_s=0.03),
        )

    def see(self, value: int = 255, age_ms: int = 0) -> None:
        """A moment passes and the robot sees something."""
        self.now_ns += 5 * MS
        stamp_ns = self.now_ns - age_ms * MS
        self.buffer.add_state(stamp_ns, self.space.home)
        self.buffer.add_image("head", stamp_ns, np.full((24, 32, 3), value, np.uint8))
        self.worker.observation_arrived()

    def rollout(self, epoch: int) -> None:
        self.worker.set_authority(Authority(True, epoch, "attempt", self.now_ns))

    def wait(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, f"waited {DEADLINE_S} s for {what}"
            time.sleep(0.001)


@pytest.fixture
def bench(tiny: Path, space: JointSpace) -> Iterator[Bench]:
    bench = Bench(tiny, space)
    bench.worker.start()
    yield bench
    bench.worker.close()


def test_nothing_is_inferred_while_the_policy_may_not_move_the_robot(bench: Bench) -> None:
    bench.see()
    bench.worker.set_authority(Authority(False, 1, "attempt", bench.now_ns))
    bench.see()
    bench.rollout(2)
    bench.see()
    bench.wait(lambda: bench.answers, "an answer")
    assert [answer.chunk.epoch for answer in bench.answers] == [2]


def test_the_first_observation_is_from_after_the_policy_got_the_robot(bench: Bench) -> None:
    bench.see()
    bench.rollout(1)
    since = bench.now_ns
    bench.see(age_ms=50)  # arrives after the change, taken before it
    bench.see()
    bench.wait(lambda: bench.answers, "an answer")
    assert bench.answers[0].chunk.observation_ns >= since
    assert bench.answers[0].chunk.observation_ns == bench.now_ns


def test_the_next_chunk_is_planned_before_the_executed_steps_are_spent(bench: Bench) -> None:
    bench.rollout(1)
    for count in (1, 2, 3):
        bench.wait(lambda: bench.see() or len(bench.answers) >= count, "an answer")  # noqa: B023
    stamps = [answer.chunk.observation_ns for answer in bench.answers]
    periods_ms = np.diff(stamps) / MS
    assert ((periods_ms > 400) & (periods_ms < 16 / 30 * 1000)).all()
    assert [answer.chunk.chunk_id for answer in bench.answers] == [1, 2, 3]


def test_an_answer_to_an_epoch_that_is_over_is_dropped_and_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    thinking, go_on = threading.Event(), threading.Event()
    predict = bench.policy.predict

    def slow(observation: Observation, query: Query) -> Prediction:
        thinking.set()
        assert go_on.wait(DEADLINE_S)
        return predict(observation, query)

    monkeypatch.setattr(bench.policy, "predict", slow)
    bench.rollout(1)
    bench.see()
    assert thinking.wait(DEADLINE_S)
    bench.worker.set_authority(Authority(False, 2, "attempt", bench.now_ns))
    go_on.set()
    bench.wait(lambda: bench.worker.counts["dropped_epoch"] == 1, "the drop")
    assert not bench.answers


def test_an_answer_that_does_not_come_is_said_in_plain_words(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go_on = threading.Event(), threading.Event()
    predict = bench.policy.predict

    def stuck(observation: Observation, query: Query) -> Prediction:
        asked.set()
        assert go_on.wait(DEADLINE_S)
        return predict(observation, query)

    monkeypatch.setattr(bench.policy, "predict", stuck)
    bench.rollout(1)
    bench.see()
    assert asked.wait(DEADLINE_S)
    bench.now_ns += 2500 * MS
    assert "no answer from the policy for 2.5 s" in bench.worker.trouble
    go_on.set()
    bench.wait(lambda: bench.answers, "the answer")
    assert "policy too slow: its answer came 2.50 s after the observation" in bench.worker.trouble
    bench.see()
    bench.wait(lambda: len(bench.answers) == 2, "an answer in time")
    assert not bench.worker.trouble


def test_a_model_that_raises_anything_at_all_is_refused_and_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(observation: Observation, query: Query) -> Prediction:
        raise ZeroDivisionError("of somebody else's")

    with monkeypatch.context() as patched:
        patched.setattr(bench.policy, "predict", broken)
        bench.rollout(1)
        bench.see()
        bench.wait(lambda: bench.worker.counts["refused"], "the refusal")
        assert "the model raised ZeroDivisionError" in bench.worker.trouble
    bench.see()
    bench.wait(lambda: bench.answers, "an answer")


def test_a_bad_answer_is_refused_and_the_next_picture_tried(bench: Bench) -> None:
    bench.rollout(1)
    bench.see(value=0)
    bench.wait(lambda: bench.worker.counts["refused"] == 1, "the refusal")
    assert not bench.answers
    assert "nan" in bench.worker.trouble
    bench.see()
    bench.wait(lambda: bench.answers, "an answer")
    bench.wait(lambda: not bench.worker.trouble, "the end of trouble")
    assert len(bench.warnings) == 1


def test_without_fresh_pictures_it_warns_once_and_waits(bench: Bench) -> None:
    bench.see()
    bench.rollout(1)
    bench.now_ns += 400 * MS
    bench.wait(lambda: bench.worker.trouble, "trouble")
    assert "camera 'head'" in bench.warnings[0]
    bench.see()
    bench.wait(lambda: bench.answers, "an answer")
    assert len(bench.warnings) == 1
    assert bench.worker.counts["missing"] == 1


def test_a_swap_is_refused_while_the_policy_moves_the_robot(bench: Bench, tiny: Path, space: JointSpace) -> None:
    other = load_policy(tiny, space)
    bench.rollout(1)
    assert not bench.worker.swap(other)
    bench.worker.set_authority(Authority(False, 2))
    assert bench.worker.swap(other)
    bench.rollout(3)
    bench.see()
    bench.wait(lambda: bench.answers, "an answer")
    assert bench.answers[0].request.policy is other


def test_the_thread_that_asks_the_policy_stays_on_its_cores(tiny: Path, space: JointSpace) -> None:
    everywhere = os.sched_getaffinity(0)
    core = max(everywhere)
    policy = load_policy(tiny, space, cpus=(core,))
    worker = PolicyWorker(policy, ObservationBuffer(["head"], 0.3), lambda: 0, [].append, [].append)
    worker.start()
    try:
        (thread,) = (thread for thread in threading.enumerate() if thread.name == "policy")
        end = time.monotonic() + DEADLINE_S
        while os.sched_getaffinity(thread.native_id) != {core}:
            assert time.monotonic() < end
            time.sleep(0.001)
        assert os.sched_getaffinity(0) == everywhere
    finally:
        worker.close()
