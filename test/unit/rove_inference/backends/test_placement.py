"""Devices and cores."""

from __future__ import annotations

import os
import threading

import pytest

from rove_core.errors import ConfigError
from rove_inference.backends.placement import Placement


def test_a_device_may_name_its_gpu() -> None:
    assert (Placement("cuda:1").kind, Placement("cuda:1").gpu) == ("cuda", 1)
    assert (Placement("tensorrt").kind, Placement("tensorrt").gpu) == ("tensorrt", 0)


@pytest.mark.parametrize("device", ["gpu", "cpu:1", "cuda:", "cuda:x", ""])
def test_no_device_says_what_is_one(device: str) -> None:
    with pytest.raises(ConfigError, match="expected cpu, cuda or tensorrt"):
        Placement(device)


def test_a_core_that_is_not_there_is_named_with_those_that_are() -> None:
    usable = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
    with pytest.raises(ConfigError, match=rf"cpus \[4095\]: this process may use {usable}"):
        Placement(cpus=(4095,))


def test_threads_started_while_pinned_stay_on_the_cores_and_the_caller_does_not() -> None:
    everywhere = os.sched_getaffinity(0)
    core = min(everywhere)
    seen: list[set[int]] = []
    with Placement(cpus=(core,)).pinned():
        thread = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))
        thread.start()
        thread.join()
    assert seen == [{core}]
    assert os.sched_getaffinity(0) == everywhere


def test_cores_are_written_as_taskset_writes_them() -> None:
    first, *_ = usable = sorted(os.sched_getaffinity(0))
    assert Placement.parse(cpus=",".join(map(str, usable))).cpus == tuple(usable)
    assert Placement.parse(cpus=f"{first}-{first}").cpus == (first,)
    assert Placement.parse().cpus == ()


@pytest.mark.parametrize("cpus", ["a", "1-", "1;2"])
def test_what_is_no_list_of_cores_is_refused(cpus: str) -> None:
    with pytest.raises(ConfigError, match="as in 1,3-5"):
        Placement.parse(cpus=cpus)
