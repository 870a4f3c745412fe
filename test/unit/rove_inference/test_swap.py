"""Loading beside the running policy: always an answer, one at a time, only in modes where nobody moves the robot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rove_core.errors import BundleError, PolicyError
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode
from rove_inference.loading import load_policy
from rove_inference.policy import Policy
from rove_inference.swap import PolicyLoader, check_cameras, check_mode

DEADLINE_S = 10.0


@pytest.mark.parametrize("mode", Mode)
def test_a_swap_is_for_idle_and_paused_only(mode: Mode) -> None:
    if mode in {Mode.IDLE, Mode.PAUSED}:
        check_mode(mode)
    else:
        with pytest.raises(PolicyError, match=f"the mode is {mode}"):
            check_mode(mode)


def test_a_load_ends_in_a_warm_policy_or_in_the_reason(tiny: Path, space: JointSpace) -> None:
    loader = PolicyLoader(lambda path: load_policy(path, space))
    assert loader.begin(tiny).result(DEADLINE_S).warm_up_ms > 0
    with pytest.raises(BundleError, match="no policy bundle"):
        loader.begin(tiny / "nothing").result(DEADLINE_S)
    assert loader.begin(tiny).result(DEADLINE_S).bundle.spec.name == "tiny"
    loader.close()


def test_a_second_load_is_refused_until_the_first_one_ends(tiny: Path, space: JointSpace) -> None:
    go_on = threading.Event()

    def slow(path: Path) -> Policy:
        assert go_on.wait(DEADLINE_S)
        return load_policy(path, space)

    loader = PolicyLoader(slow)
    first = loader.begin(tiny)
    with pytest.raises(PolicyError, match="busy: 'tiny' is being loaded"):
        loader.begin(tiny)
    go_on.set()
    first.result(DEADLINE_S)
    loader.begin(tiny).result(DEADLINE_S)
    loader.close()


def test_a_policy_that_wants_to_see_more_than_the_node_hears_is_refused(
    edited: Callable[..., Path], space: JointSpace
) -> None:
    policy = load_policy(edited(), space)
    check_cameras(policy, ("head", "wrist"))
    with pytest.raises(BundleError, match="needs cameras head; this node listens to wrist"):
        check_cameras(policy, ("wrist",))
