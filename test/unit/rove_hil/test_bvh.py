"""Real motion capture as frames of the wire: axes, sides, lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rove_core.errors import WireError
from rove_core.joint_space import JointSpace
from rove_hil.operator.bvh import Bvh, mocap_frames, read_bvh
from rove_hil.operator.mocap import MocapFrame, decode, encode
from rove_hil.retargeting.kinematics import Kinematics

DATA = Path(__file__).parents[2] / "data/mocap"
SPACE = JointSpace.load("iron_r01")

ARM = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT Arm
  {
    OFFSET 2 0 0
    CHANNELS 3 Zrotation Yrotation Xrotation
    End Site
    {
      OFFSET 1 0 0
    }
  }
}
MOTION
Frames: 2
Frame Time: .01
0 0 0 0 0 0 0 0 0
1 2 3 90 0 0 0 0 90
"""


@pytest.fixture(scope="module")
def walk() -> Bvh:
    return read_bvh(DATA / "cmu_12_01_walk.bvh")


@pytest.fixture(scope="module")
def frames(walk: Bvh) -> list[MocapFrame]:
    hands = np.load(DATA / "human_hand_right_21.npz")["keypoints_m"].astype(np.float64)
    return list(mocap_frames(walk, SPACE, hands))


def test_offsets_and_rotations_chain_from_the_root(tmp_path: Path) -> None:
    (tmp_path / "arm.bvh").write_text(ARM)
    bvh = read_bvh(tmp_path / "arm.bvh")
    assert bvh.names == ("Hips", "Arm")
    assert bvh.frame_s == 0.01
    positions, rotations = bvh.poses()
    np.testing.assert_allclose(positions[0], [[0, 0, 0], [2, 0, 0]])
    # The root moves to (1, 2, 3) and turns about z, which carries the arm's x to y.
    np.testing.assert_allclose(positions[1], [[1, 2, 3], [1, 4, 3]], atol=1e-12)
    np.testing.assert_allclose(rotations[1, 1] @ [0, 1, 0], [0, 0, 1], atol=1e-12)


@pytest.mark.parametrize(
    "text", ["", "nonsense", ARM.replace("Frames: 2", "Frames: 3"), ARM.replace("1 2 3 90", "1 nan 3 90")]
)
def test_what_is_no_bvh_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.bvh").write_text(text)
    with pytest.raises(WireError, match=r"bad\.bvh"):
        read_bvh(tmp_path / "bad.bvh")
    with pytest.raises(WireError, match="cannot read"):
        read_bvh(tmp_path / "missing.bvh")


def test_another_skeleton_is_refused(tmp_path: Path) -> None:
    (tmp_path / "arm.bvh").write_text(ARM)
    with pytest.raises(WireError, match="CMU"):
        list(mocap_frames(read_bvh(tmp_path / "arm.bvh"), SPACE))


def test_the_walk_has_its_length_and_rate(frames: list[MocapFrame]) -> None:
    assert len(frames) == 524
    assert frames[-1].capture_ns == pytest.approx(523 / 120 * 1e9, rel=1e-5)


def test_a_t_pose_has_left_at_the_left_fingers_outwards_and_palms_down(frames: list[MocapFrame]) -> None:
    # The database's first frame is the skeleton's own calibration pose.
    frame = frames[0]
    for side, outwards in ((0, 1.0), (1, -1.0)):
        assert outwards * frame.shoulders[side, 1] > 0.1
        arm = frame.wrist_positions[side] - frame.shoulders[side]
        assert outwards * arm[1] > 0.5
        knuckles = frame.hands[side, 9] - frame.hands[side, 0]
        assert outwards * knuckles[1] > 0.08
        # Thumbs point forward: asymmetric, so a mirrored or turned hand fails.
        assert frame.hands[side, 2, 0] - frame.hands[side, 0, 0] > 0.02


def test_while_walking_the_arms_hang_and_the_person_looks_ahead(frames: list[MocapFrame]) -> None:
    for frame in frames[10::50]:
        assert (frame.wrist_positions[:, 2] < frame.shoulders[:, 2] - 0.35).all()
        _, _, y, z = frame.head_quat
        assert 1 - 2 * (y * y + z * z) > 0.7  # forward component of the view
        assert frame.shoulders[0, 1] > frame.shoulders[1, 1] + 0.3


def test_the_arms_swing_in_opposite_phase(frames: list[MocapFrame]) -> None:
    swing = np.array([frame.wrist_positions[:, 0] - frame.shoulders[:, 0] for frame in frames[10:]])
    assert np.corrcoef(swing.T)[0, 1] < -0.5


def test_limbs_have_the_robots_lengths(frames: list[MocapFrame]) -> None:
    robot = Kinematics(SPACE).frame_from_joints(SPACE.home)
    for frame in frames[::100]:
        for parts in (("shoulders", "elbows"), ("elbows", "wrist_positions")):
            ours, theirs = (np.linalg.norm(getattr(f, parts[1]) - getattr(f, parts[0]), axis=1) for f in (frame, robot))
            np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_the_left_hand_is_the_right_ones_mirror_image(frames: list[MocapFrame]) -> None:
    frame = frames[50]
    left, right = (np.linalg.norm(hand[:, None] - hand[None], axis=2) for hand in frame.hands)
    np.testing.assert_allclose(left, right, atol=1e-9)
    # Seen from the back of the hand, the thumb is on opposite sides.
    volume = [np.linalg.det(hand[[1, 9, 17]] - hand[0]) for hand in frame.hands]
    assert volume[0] * volume[1] < 0


def test_without_hand_data_the_hands_are_not_tracked(walk: Bvh) -> None:
    frame = next(mocap_frames(walk, SPACE))
    assert not frame.tracked.left_hand
    assert frame.tracked.right_arm


def test_every_frame_passes_the_wire(frames: list[MocapFrame]) -> None:
    for frame in frames[::25]:
        decode(encode(frame))
