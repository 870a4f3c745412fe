"""A thousand swaps in one process: what a robot does that is not restarted for years."""

from __future__ import annotations

import gc
import os
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rove_core.errors import BundleError
from rove_core.joint_space import JointSpace
from rove_inference.loading import load_policy
from rove_inference.observation import ObservationBuffer
from rove_inference.planner import Authority
from rove_inference.swap import PolicyLoader
from rove_inference.worker import PolicyWorker

TINY = Path(__file__).parents[1] / "data" / "bundles" / "tiny"
SPACE = JointSpace.load("iron_r01")
SWAPS = 1000
# Allocators, ONNX Runtime and Python settle within so many.
SETTLED = 200
# Of noise: a leaked session of the tiny model alone would be 150 kB a swap, thirty times this.
ALLOWED_KB_PER_SWAP = 5.0
DEADLINE_S = 30.0


def resident_kb() -> int:
    """Memory of this process in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def use() -> tuple[int, int, int]:
    """Memory [kB], open files and threads of this process."""
    gc.collect()
    return resident_kb(), len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"waited {DEADLINE_S} s for {what}"
        time.sleep(0.01)


class Robot:
    """A worker that is asked for one chunk of every policy it gets."""

    def __init__(self) -> None:
        self.now_ns = 10**12
        self.answered = threading.Event()
        self.seen: list[str] = []
        self.buffer = ObservationBuffer(["head"], 0.3)
        policy = load_policy(TINY, SPACE)
        self.worker = PolicyWorker(policy, self.buffer, lambda: self.now_ns, self._take, self.seen.append)
        self.loader = PolicyLoader(lambda path: load_policy(path, SPACE))
        self.epoch = 0

    def _take(self, _: object) -> None:
        self.answered.set()

    def swap(self, bundle: Path) -> None:
        """In a pause; then the new policy answers once."""
        policy = self.loader.begin(bundle).result(DEADLINE_S)
        self.loader.taken()
        self.epoch += 2
        self.worker.set_authority(Authority(False, self.epoch - 1))
        assert self.worker.swap(policy)
        self.answered.clear()
        self.worker.set_authority(Authority(True, self.epoch, "attempt", self.now_ns))
        self.now_ns += 10_000_000
        self.buffer.add_state(self.now_ns, SPACE.home)
        self.buffer.add_image("head", self.now_ns, np.full((24, 32, 3), 255, np.uint8))
        self.worker.observation_arrived()
        assert self.answered.wait(DEADLINE_S)


@pytest.fixture
def robot() -> Iterator[Robot]:
    robot = Robot()
    robot.worker.start()
    yield robot
    robot.worker.close()
    robot.loader.close()


def test_a_thousand_swaps_leak_neither_memory_nor_files_nor_threads(robot: Robot, tmp_path: Path) -> None:
    other = Path(shutil.copytree(TINY, tmp_path / "other"))
    broken = Path(shutil.copytree(TINY, tmp_path / "broken"))
    (broken / "model.onnx").write_bytes(b"not a model")
    before = (0, 0, 0)
    for number in range(SWAPS):
        robot.swap(other if number % 2 else TINY)
        if number % 10 == 0:
            with pytest.raises(BundleError):
                robot.loader.begin(broken).result(DEADLINE_S)
            robot.loader.taken()
        if number == SETTLED:
            before = use()
    memory_kb, files, threads = (after - start for after, start in zip(use(), before, strict=True))
    assert (files, threads) == (0, 0)
    assert memory_kb < ALLOWED_KB_PER_SWAP * (SWAPS - SETTLED)


def test_after_a_swap_the_times_are_those_of_the_new_policy(robot: Robot) -> None:
    robot.swap(TINY)
    wait(lambda: robot.worker.model_ms.at(0.5) > 0, "the time of the first answer")
    robot.worker.set_authority(Authority(False, robot.epoch + 1))
    assert robot.worker.swap(load_policy(TINY, SPACE))
    assert robot.worker.model_ms.at(0.5) == 0
    assert robot.worker.overhead_ms.at(0.5) == 0


def test_the_policy_before_is_freed_once_the_next_one_answers(robot: Robot) -> None:
    old = weakref.ref(robot.worker.policy)
    robot.swap(TINY)
    robot.worker.set_authority(Authority(False, robot.epoch + 1))
    wait(lambda: old() is None, "the last reference to the old policy to go")
