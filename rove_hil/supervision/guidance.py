"""Alignment in words: what to move and which way, for somebody who wears a headset and wants to match the robot.

One short line per joint group, about the largest thing that is wrong in it. Lines are steady: what is said stays
until something else is clearly worse, and a number changes only when it is wrong by more than its own step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from rove_hil.supervision.alignment_errors import Motion, Move

# What weighs as much as what: this much of each is one unit of wrong.
UNIT = {Motion.SHIFT: 0.05, Motion.SWING: 0.2, Motion.TURN: 0.25, Motion.OPEN: 0.03}
# Said from this many units on, and no more below that: 2 cm, 5 deg of the elbow, 6 deg of the hand; then 1 cm ...
SAID_FROM = 0.4
SAID_UNTIL = 0.25
# Another thing is said when it is worse by this factor.
CLEARLY_WORSE = 1.3
# A finger by itself has to be that much further off than all together before it is worth a name.
SINGLE_FINGER = 0.6
# A number stays while it is wrong by no more than this many of its steps.
STEADY_STEPS = 1.5

# Words for the positive and the negative direction of x (forward), y (left) and z (up).
_PLACES = (("forward", "back"), ("left", "right"), ("higher", "lower"))
# A rotation about x, y, z by the right hand: the verb, and where a part that points forward goes.
_TURNS = (("roll", "right", "left"), ("tip", "down", "up"), ("turn", "left", "right"))


@dataclass(frozen=True, slots=True)
class _Cue:
    """One thing that is wrong: component `axis` of a move."""

    part: str
    motion: Motion
    axis: int
    value: float

    @property
    def units(self) -> float:
        """How wrong."""
        weight = SINGLE_FINGER if self.motion is Motion.OPEN and not self.part.endswith("fingers") else 1.0
        return weight * abs(self.value) / UNIT[self.motion]

    @property
    def key(self) -> tuple[str, Motion, int, bool]:
        """What is said but for the number."""
        return self.part, self.motion, self.axis, self.value > 0


class Guidance:
    """The line of one joint group. `update` for every sample; the first may already say something."""

    def __init__(self) -> None:
        self._said: _Cue | None = None
        self._shown = 0

    def reset(self) -> None:
        """Forget what was said: another alignment begins."""
        self._said, self._shown = None, 0

    def update(self, moves: Iterable[Move]) -> str:
        """The line for the moves that are wanted now; "" when they are too small to be worth saying."""
        cues = {cue.key: cue for move in moves for cue in _cues(move)}
        said = cues.get(self._said.key) if self._said is not None else None
        if said is not None and said.units < SAID_UNTIL:
            said = None
        worst = max(cues.values(), key=lambda cue: cue.units, default=None)
        if worst is not None and worst.units >= max(SAID_FROM, CLEARLY_WORSE * said.units if said else 0.0):
            said = worst
        if said is None:
            self.reset()
            return ""
        self._shown = _steady(said, self._shown if self._said is not None and said.key == self._said.key else 0)
        self._said = said
        return _words(said, self._shown)


def _cues(move: Move) -> Iterable[_Cue]:
    return (_Cue(move.part, move.motion, axis, value) for axis, value in enumerate(move.vector) if math.isfinite(value))


def _steps(cue: _Cue) -> tuple[float, int]:
    """The amount in the unit that is shown, and the step by which it is rounded: centimetres, or pairs of degrees."""
    if cue.motion in (Motion.SHIFT, Motion.OPEN):
        return 100.0 * abs(cue.value), 1
    # A swing is the change of a unit vector, a chord: the angle is twice the arc sine of its half.
    angle = 2.0 * math.asin(min(abs(cue.value) / 2.0, 1.0)) if cue.motion is Motion.SWING else abs(cue.value)
    return math.degrees(angle), 2


def _steady(cue: _Cue, shown: int) -> int:
    """The number to show, which was `shown` (0: nothing) before."""
    amount, step = _steps(cue)
    if shown and abs(amount - shown) <= STEADY_STEPS * step:
        return shown
    return max(step * round(amount / step), step)


def _words(cue: _Cue, amount: int) -> str:
    positive = cue.value > 0
    if cue.motion is Motion.OPEN:
        return f"{cue.part} {amount} cm more {'open' if positive else 'closed'}"
    if cue.motion is Motion.TURN:
        verb, *ways = _TURNS[cue.axis]
        if cue.part == "torso" and verb == "tip":
            verb, ways = "lean", ["forward", "back"]
        return f"{verb} {cue.part} {amount} deg {ways[0 if positive else 1]}"
    unit = "cm" if cue.motion is Motion.SHIFT else "deg"
    return f"{cue.part} {amount} {unit} {_PLACES[cue.axis][0 if positive else 1]}"
