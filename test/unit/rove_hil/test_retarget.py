"""Retargeting: the operator's palms and fingertips become the robot's, inside all limits, whatever arrives."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rove_core.errors import ConfigError
from rove_core.joint_space import JointSpace
from rove_hil.operator.bvh import mocap_frames, read_bvh
from rove_hil.operator.mocap import MocapFrame, Tracked
from rove_hil.operator.operator_calibration import OperatorCalibration
from rove_hil.retarget import STEPS_ACQUIRING, Retargeter
from rove_hil.retargeting.kinematics import Kinematics

DATA = Path(__file__).parents[2] / "data/mocap"
SPACE = JointSpace.load("iron_r01")
FRAME_NS = 13_888_889  # a headset's 72 Hz
ARMS = [SPACE.groups["left_arm"], SPACE.groups["right_arm"]]


@pytest.fixture
def kinematics() -> Kinematics:
    return Kinematics(SPACE)


def motion(seconds: float, seed: int, largest: float = 0.4) -> list[np.ndarray]:
    """All joints on sines about home, inside the limits and the velocity limits."""
    rng = np.random.default_rng(seed)
    amplitude, phase = rng.uniform(0.1, largest, SPACE.dim), rng.uniform(0.0, 2 * np.pi, SPACE.dim)
    rate = rng.uniform(0.1, 0.6, SPACE.dim)
    times = np.arange(0.0, seconds, FRAME_NS * 1e-9)
    return [SPACE.clip(SPACE.home + amplitude * np.sin(2 * np.pi * rate * t + phase)) for t in times]


def frame_of(kinematics: Kinematics, q: np.ndarray, number: int = 0) -> MocapFrame:
    return kinematics.frame_from_joints(q, number, (number + 1) * FRAME_NS)


def test_an_operator_with_the_robots_body_is_followed_to_the_millimetre(kinematics: Kinematics) -> None:
    retargeter = Retargeter(SPACE)
    for number, q in enumerate(motion(4.0, seed=0)):
        frame = frame_of(kinematics, q, number)
        result = retargeter.solve(frame)
        assert result.converged
        assert result.palm_error_m < 2e-3
        assert result.fingertip_error_m < 3e-3
        # What the result says is what the robot would do.
        seen = kinematics.frame_from_joints(result.q)
        palm_error = np.linalg.norm(seen.wrist_positions - frame.wrist_positions, axis=1).max()
        assert palm_error == pytest.approx(result.palm_error_m, abs=1e-9)
        # Same body, so the same joints too, or the alignment gate could never be met.
        assert max(np.abs(result.q - q)[span].max() for span in ARMS) < 0.05


def test_palms_turn_and_the_head_looks_as_the_operators_do(kinematics: Kinematics) -> None:
    retargeter = Retargeter(SPACE)
    for number, q in enumerate(motion(2.0, seed=1)):
        frame = frame_of(kinematics, q, number)
        seen = kinematics.frame_from_joints(retargeter.solve(frame).q)
        for ours, theirs in zip(
            [*seen.wrist_quats, seen.head_quat], [*frame.wrist_quats, frame.head_quat], strict=True
        ):
            assert 2 * np.arccos(min(1.0, abs(float(ours @ theirs)))) < 0.01


def test_the_first_frame_after_a_reset_finds_the_operator_anywhere(kinematics: Kinematics) -> None:
    retargeter = Retargeter(SPACE)
    rng = np.random.default_rng(2)
    for _ in range(20):
        retargeter.reset(SPACE.home)
        target = SPACE.clip(SPACE.home + rng.normal(0.0, 0.35, SPACE.dim))
        result = retargeter.solve(frame_of(kinematics, target))
        assert result.palm_error_m < 2e-3
        assert result.fingertip_error_m < 3e-3


def test_positions_and_velocities_stay_inside_the_limits_when_the_operator_jumps(kinematics: Kinematics) -> None:
    retargeter = Retargeter(SPACE)
    rng = np.random.default_rng(3)
    q = retargeter.solve(frame_of(kinematics, SPACE.home)).q
    for number in range(1, 60):
        frame = frame_of(kinematics, rng.uniform(SPACE.lower, SPACE.upper), number)
        result = retargeter.solve(frame)
        assert result.converged
        assert (result.q >= SPACE.lower).all()
        assert (result.q <= SPACE.upper).all()
        assert (np.abs(result.q - q) <= SPACE.max_velocity * FRAME_NS * 1e-9 + 1e-9).all()
        q = result.q


def test_a_hand_out_of_reach_is_reached_for_and_the_other_one_stays_exact(kinematics: Kinematics) -> None:
    retargeter = Retargeter(SPACE)
    frame = frame_of(kinematics, SPACE.home)
    wrists = frame.wrist_positions.copy()
    wrists[1] = [1.5, -0.3, 0.4]
    for number in range(100):
        frame = dataclasses.replace(frame, wrist_positions=wrists, sequence=number, capture_ns=(number + 1) * FRAME_NS)
        result = retargeter.solve(frame)
    assert result.converged
    seen = kinematics.frame_from_joints(result.q)
    reached = seen.wrist_positions[1] - seen.shoulders[1]
    assert np.linalg.norm(reached) > 0.5  # an arm of .55 m, nearly straight
    assert reached @ (wrists[1] - seen.shoulders[1]) / np.linalg.norm(wrists[1] - seen.shoulders[1]) > 0.5
    assert result.palm_error_m > 0.3
    assert np.linalg.norm(seen.wrist_positions[0] - wrists[0]) < 0.02


@pytest.mark.parametrize(
    ("lost", "held"),
    [
        ("right_hand", ["right_hand"]),
        ("right_arm", ["right_arm", "right_hand"]),  # a hand is known relative to its wrist only
        ("head", ["head"]),
    ],
)
def test_a_lost_part_holds_its_joints_and_says_so(kinematics: Kinematics, lost: str, held: list[str]) -> None:
    retargeter = Retargeter(SPACE)
    # Away from home, where a pull towards it would show.
    start = retargeter.solve(frame_of(kinematics, SPACE.clip(SPACE.home + 0.1))).q
    for number in range(1, 30):
        target = SPACE.clip(SPACE.home + 0.1 + 0.3 * number / 30)
        frame = frame_of(kinematics, target, number)
        result = retargeter.solve(dataclasses.replace(frame, tracked=Tracked()._replace(**{lost: False})))
    for group, span in SPACE.groups.items():
        assert result.group_valid[group] == (group not in held), group
        moved = np.abs(result.q - start)[span].max()
        assert moved < 1e-3 if group in held else moved > 0.1, (group, moved)
    assert result.palm_error_m < 5e-3


def test_a_frame_of_nan_holds_says_so_and_the_next_one_is_followed(kinematics: Kinematics) -> None:
    retargeter = Retargeter(SPACE)
    frame = frame_of(kinematics, SPACE.home)
    before = retargeter.solve(frame)
    for part in ("head_quat", "elbows", "wrist_positions", "wrist_quats", "hands"):
        broken = dataclasses.replace(frame, **{part: np.full_like(getattr(frame, part), np.nan)})
        result = retargeter.solve(dataclasses.replace(broken, capture_ns=2 * FRAME_NS))
        assert not result.converged
        assert not any(result.group_valid.values())
        np.testing.assert_array_equal(result.q, before.q)
    assert retargeter.solve(frame_of(kinematics, SPACE.home, 3)).converged


def test_reset_seeds_from_the_measured_joints_even_outside_the_limits() -> None:
    retargeter = Retargeter(SPACE)
    retargeter.reset(SPACE.upper + 0.01)
    np.testing.assert_array_equal(retargeter.q, SPACE.upper)


def test_fingers_that_were_straight_bend_the_way_the_operators_do(kinematics: Kinematics) -> None:
    # A tip on a straight finger cannot say which way to bend: without the pull to home some stay 2 mm off.
    retargeter = Retargeter(SPACE)
    for seed in (0, 1, 2):
        retargeter.reset(SPACE.home)
        for number, q in enumerate(motion(10.0, seed)):
            assert retargeter.solve(frame_of(kinematics, q, number)).fingertip_error_m < 5e-4


@pytest.mark.parametrize(("bend", "most_mrad"), [(0.0, 12.0), (1.3, 10.0)])
def test_millimetres_of_noise_move_no_arm_joint_much(kinematics: Kinematics, bend: float, most_mrad: float) -> None:
    # A straight elbow turns millimetres of reach into tens of milliradians.
    pose = SPACE.home.copy()
    for side, outwards in (("left", 1.0), ("right", -1.0)):
        pose[SPACE.groups[f"{side}_arm"]] = [-0.3, 0.15 * outwards, 0.0, -bend, 0.0, 0.0, 0.0]
    frame, rng = kinematics.frame_from_joints(pose), np.random.default_rng(0)
    retargeter = Retargeter(SPACE)
    poses = []
    for number in range(150):
        shaken = {
            name: getattr(frame, name) + rng.normal(0.0, 1e-3, getattr(frame, name).shape)
            for name in ("shoulders", "elbows", "wrist_positions", "hands")
        }
        shaken["capture_ns"] = (number + 1) * FRAME_NS
        poses.append(retargeter.solve(dataclasses.replace(frame, **shaken)).q)
    steps = np.abs(np.diff(poses[50:], axis=0))
    assert max(np.quantile(steps[:, span], 0.99) for span in ARMS) * 1e3 < most_mrad
    settled = SPACE.clip(pose) if bend else None
    if settled is not None:
        assert max(np.abs(np.mean(poses[50:], axis=0) - settled)[span].max() for span in ARMS) < 0.03


def test_a_frame_that_takes_too_long_holds_and_the_next_one_goes_on(kinematics: Kinematics) -> None:
    retargeter = Retargeter(SPACE)
    target = SPACE.clip(SPACE.home + 0.3)
    # The first frame after a reset needs many steps: it is given up and gone on with, until they are done.
    for number in range(STEPS_ACQUIRING - 1):
        result = retargeter.solve(frame_of(kinematics, target, number), out_of_time=lambda: True)
        assert not result.converged
        assert result.held == "out of time"
        assert not any(result.group_valid.values())
    before = retargeter.solve(frame_of(kinematics, target, number + 1), out_of_time=lambda: True)
    assert before.converged, "however slow the machine is"
    assert before.palm_error_m < 2e-3
    late = retargeter.solve(frame_of(kinematics, SPACE.home, number + 2), out_of_time=lambda: True)
    assert not late.converged
    np.testing.assert_array_equal(late.q, before.q)


def test_out_of_reach_the_palm_comes_before_the_elbow(kinematics: Kinematics) -> None:
    # The operator's elbow is where the robot's cannot be while its palm is right.
    frame = frame_of(kinematics, SPACE.home)
    elbows = frame.elbows + np.array([[0.0, 0.1, 0.2], [0.0, -0.1, 0.2]])
    retargeter = Retargeter(SPACE)
    for number in range(60):
        result = retargeter.solve(dataclasses.replace(frame, elbows=elbows, capture_ns=(number + 1) * FRAME_NS))
    seen = kinematics.frame_from_joints(result.q)
    assert result.palm_error_m < 2e-3
    assert np.linalg.norm(seen.elbows - elbows, axis=1).min() > 0.03
    assert result.fingertip_error_m < 1e-3


def test_a_taller_operator_with_longer_arms_is_scaled_to_the_robot(kinematics: Kinematics) -> None:
    scale = 1.15
    retargeter = Retargeter(SPACE, OperatorCalibration(1 / scale, 1 / scale, 1 / scale))
    for number, q in enumerate(motion(1.0, seed=4)):
        frame = frame_of(kinematics, q, number)
        grown = {name: scale * getattr(frame, name) for name in ("shoulders", "elbows", "wrist_positions", "hands")}
        result = retargeter.solve(dataclasses.replace(frame, **grown))
        assert result.palm_error_m < 2e-3
        assert max(np.abs(result.q - q)[span].max() for span in ARMS) < 0.05


def test_a_calibration_that_makes_no_sense_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match="arm_scale"):
        OperatorCalibration(arm_scale=0.0)
    with pytest.raises(ConfigError, match="hand_scale"):
        OperatorCalibration(hand_scale=float("nan"))


def test_real_walking_and_real_hands_are_followed(kinematics: Kinematics) -> None:
    hands = np.load(DATA / "human_hand_right_21.npz")["keypoints_m"].astype(np.float64)
    frames = list(mocap_frames(read_bvh(DATA / "cmu_12_01_walk.bvh"), SPACE, hands))
    retargeter = Retargeter(SPACE)
    palms = []
    for frame in frames[1:]:  # the first one is the database's own T-pose
        result = retargeter.solve(frame)
        assert result.converged
        palms.append(result.palm_error_m)
    assert np.quantile(palms, 0.5) < 2e-3
    assert np.quantile(palms, 0.95) < 2e-2
