"""Where the robot's fingertips belong when a hand of another size and shape moves.

Each finger goes from its own knuckle: the operator's fingertip relative to his knuckle, scaled by the lengths of
both fingers, is put at the robot's knuckle. A straight finger is then straight on every hand, whatever the hand's
size. What a pinch needs is something else, that thumb and finger meet; so the closer an operator's fingertip is to
his thumb, the more the robot's is put where it has the operator's distance from the robot's thumb (the idea of
DexPilot, arXiv 1910.03135).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rove_core.joint_space import FloatArray
from rove_hil.operator.mocap import FINGERS, SIDES, MocapFrame

# Distance between thumb and finger [m] from which on a pinch begins to count, and at which it is all that counts.
PINCH_BEGINS_M = 0.04
PINCH_COUNTS_M = 0.015
# Fingers outside these ratios of robot to operator are a tracking error.
_RATIOS = (0.3, 3.0)
# Bones shorter than this are none [m].
_SHORTEST_M = 1e-3


@dataclass(frozen=True, slots=True)
class HandShapes:
    """The robot's two hands.

    Attributes:
        knuckles: where each finger begins, in the palm's frame [m], shape (2, 5, 3).
        lengths: of the fingers from there to the tip [m], shape (2, 5).
    """

    knuckles: FloatArray
    lengths: FloatArray

    @classmethod
    def measured_from(cls, frame: MocapFrame, palm_rotations: FloatArray) -> HandShapes:
        """From a frame of an operator with the robot's body; `palm_rotations` (2, 3, 3), palm to base."""
        fingers = _fingers((frame.hands - frame.hands[:, :1]) @ palm_rotations)
        return cls(fingers[:, :, 0], _lengths(fingers))

    def tips_of(self, keypoints: FloatArray, scale: float = 1.0) -> FloatArray:
        """Where the robot's fingertips belong in their palm's frame [m], shape (2, 5, 3).

        Args:
            keypoints: of the operator's hands in the palm's frame [m], shape (2, 21, 3).
            scale: reach of the fingers on top of their own length.
        """
        fingers = _fingers(keypoints)
        ratio = scale * np.clip(self.lengths / np.maximum(_lengths(fingers), _SHORTEST_M), *_RATIOS)
        tips = self.knuckles + ratio[:, :, None] * (fingers[:, :, 3] - fingers[:, :, 0])
        from_thumb = fingers[:, 1:, 3] - fingers[:, :1, 3]
        distance = np.sqrt((from_thumb**2).sum(axis=2))
        pinch = np.clip((PINCH_BEGINS_M - distance) / (PINCH_BEGINS_M - PINCH_COUNTS_M), 0.0, 1.0)[:, :, None]
        tips[:, 1:] += pinch * (tips[:, :1] + from_thumb - tips[:, 1:])
        return np.asarray(tips)


def _fingers(keypoints: FloatArray) -> FloatArray:
    """(2, 21, 3) as (2, finger, joint, 3)."""
    return keypoints[:, 1:].reshape(len(SIDES), len(FINGERS), 4, 3)


def _lengths(fingers: FloatArray) -> FloatArray:
    bones = fingers[:, :, 1:] - fingers[:, :, :-1]
    return np.asarray(np.sqrt((bones**2).sum(axis=3)).sum(axis=2))
