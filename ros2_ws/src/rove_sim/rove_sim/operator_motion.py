"""How a hand moves: minimum-jerk strokes that overlap, as people's do.

A reach follows the minimum-jerk profile (Flash and Hogan 1985). Someone who knows the next target starts
towards it before the hand has arrived, and the strokes add up (Flash and Henis 1991): corners become
round and the hand does not stop on its way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# Peak over mean speed of a minimum-jerk stroke: max of d/ds (10 s^3 - 15 s^4 + 6 s^5), at s = 1/2.
PEAK_SPEED_RATIO = 1.875

_SMALL_ANGLE = 1e-9


@dataclass(frozen=True, slots=True)
class HandPose:
    """A palm in the base frame and how far its fingers are closed.

    Attributes:
        position: origin of the palm frame [m], shape (3,).
        rotation: R_base_palm, shape (3, 3).
        closure: 0 is open, 1 is closed.
    """

    position: FloatArray
    rotation: FloatArray
    closure: float


def minimum_jerk(fraction: float) -> float:
    """Share of the way done at `fraction` of the time; both are kept inside [0, 1]."""
    s = min(max(fraction, 0.0), 1.0)
    return s**3 * (10.0 + s * (6.0 * s - 15.0))


def rotation_log(rotation: FloatArray) -> FloatArray:
    """Rotation vector [rad], shape (3,), of a rotation matrix; angles up to just below pi."""
    vector = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    cosine = (np.trace(rotation) - 1.0) / 2.0
    sine = float(np.linalg.norm(vector)) / 2.0
    if sine < _SMALL_ANGLE:
        return vector / 2.0
    return np.asarray(vector * (float(np.arctan2(sine, cosine)) / (2.0 * sine)))


def rotation_exp(vector: FloatArray) -> FloatArray:
    """Rotation matrix, shape (3, 3), of a rotation vector [rad] (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < _SMALL_ANGLE:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross))


@dataclass(frozen=True, slots=True)
class _Stroke:
    begin_s: float
    duration_s: float
    shift: FloatArray
    turn: FloatArray
    closing: float

    def done(self, t_s: float) -> float:
        return minimum_jerk((t_s - self.begin_s) / self.duration_s)


class HandMotion:
    """A hand on its way through targets. Times are seconds on one clock that the caller keeps."""

    def __init__(self, start: HandPose) -> None:
        self._base = start
        self._strokes: list[_Stroke] = []
        self.target = start

    def add(self, target: HandPose, begin_s: float, duration_s: float) -> None:
        """Move the end of the motion to `target` with a stroke from `begin_s` that lasts `duration_s` > 0."""
        self._strokes.append(
            _Stroke(
                begin_s,
                duration_s,
                shift=target.position - self.target.position,
                turn=rotation_log(self.target.rotation.T @ target.rotation),
                closing=target.closure - self.target.closure,
            )
        )
        self.target = target

    def at(self, t_s: float) -> HandPose:
        """Where the hand is at `t_s`, which must not go back below an earlier call's."""
        self._settle(t_s)
        position, rotation, closure = self._base.position, self._base.rotation, self._base.closure
        for stroke in self._strokes:
            share = stroke.done(t_s)
            position = position + share * stroke.shift
            rotation = rotation @ rotation_exp(share * stroke.turn)
            closure += share * stroke.closing
        return HandPose(position, rotation, closure)

    def _settle(self, t_s: float) -> None:
        """Fold finished strokes into the base, so that a long task stays cheap."""
        while self._strokes and t_s >= self._strokes[0].begin_s + self._strokes[0].duration_s:
            stroke = self._strokes.pop(0)
            self._base = HandPose(
                self._base.position + stroke.shift,
                self._base.rotation @ rotation_exp(stroke.turn),
                self._base.closure + stroke.closing,
            )


def stroke_duration_s(
    start: HandPose, end: HandPose, speed_mps: float, turn_radps: float, closing_s: float, shortest_s: float
) -> float:
    """How long a stroke takes so that neither palm speed nor turning exceeds its peak.

    Args:
        speed_mps: peak speed of the palm [m/s]. turn_radps: peak rate of turning [rad/s].
        closing_s: time for the fingers from open to closed [s].
        shortest_s: no stroke is shorter [s].
    """
    distance = float(np.linalg.norm(end.position - start.position))
    angle = float(np.linalg.norm(rotation_log(start.rotation.T @ end.rotation)))
    return max(
        PEAK_SPEED_RATIO * distance / speed_mps,
        PEAK_SPEED_RATIO * angle / turn_radps,
        closing_s * abs(end.closure - start.closure),
        shortest_s,
    )
