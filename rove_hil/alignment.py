"""The alignment gate: may the operator be given the robot yet?

While the robot holds, the operator moves to match it. The gate is met when every joint group that matters has
been close enough for a while, without a break. It measures and never moves anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rove_core.clocks import NS_PER_S
from rove_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class GroupError:
    """How far the operator is from the robot in one joint group.

    Attributes:
        rms_rad: root mean square over the group's joints [rad].
        max_rad: of the worst joint [rad].
        valid: the group is tracked and solved.
    """

    rms_rad: float
    max_rad: float
    valid: bool


@dataclass(frozen=True, slots=True)
class GateState:
    """What the gate says. `reason` is one line for people, "" when met."""

    met: bool
    reason: str


class AlignmentGate:
    """Close enough in all groups for `dwell_s`.

    The first sample starts the dwell when it is close enough. A sample that is not, or a gap of more than
    `max_gap_s` between samples, starts it again; so does a clock that goes back. Groups without a threshold
    are not looked at.

    Args:
        thresholds_rad: group -> largest rms [rad].
        required: groups that must be tracked; another group that is not tracked is skipped (the filter
            holds it), because a glove that lost its hand must not keep the arms from being taken over.
        dwell_s: how long it must hold [s].
        max_over_rms: the worst joint of a group may be off by this factor times the threshold. One joint that
            human and robot have in different places (a thumb) must not keep the gate shut.
        max_gap_s: longest time between two samples [s].

    Raises:
        ConfigError: a required group has no threshold, or a number makes no sense.
    """

    def __init__(
        self,
        thresholds_rad: Mapping[str, float],
        *,
        required: tuple[str, ...] = (),
        dwell_s: float = 0.4,
        max_over_rms: float = 2.5,
        max_gap_s: float = 0.2,
    ) -> None:
        unknown = [group for group in required if group not in thresholds_rad]
        if unknown:
            raise ConfigError(f"alignment gate: no threshold for required group {', '.join(unknown)}")
        if any(not threshold > 0 for threshold in thresholds_rad.values()) or dwell_s < 0:
            raise ConfigError("alignment gate: thresholds must be above 0 rad and the dwell at least 0 s")
        self._thresholds = dict(thresholds_rad)
        self._required = required
        self._dwell_ns = int(dwell_s * NS_PER_S)
        self._max_over_rms = max_over_rms
        self._max_gap_ns = int(max_gap_s * NS_PER_S)
        self.reset()

    def reset(self) -> None:
        """Forget the dwell: alignment begins anew."""
        self._since_ns: int | None = None
        self._last_ns: int | None = None
        self._problem = "no operator pose yet"

    def update(self, now_ns: int, groups: Mapping[str, GroupError]) -> GateState:
        """Take one sample of the operator's pose against the robot, of time `now_ns`."""
        last_ns, self._last_ns = self._last_ns, now_ns
        broken = last_ns is not None and not 0 <= now_ns - last_ns <= self._max_gap_ns
        self._problem = self._problem_of(groups)
        if self._problem:
            self._since_ns = None
        elif self._since_ns is None or broken:
            self._since_ns = now_ns
        return self.state(now_ns)

    def state(self, now_ns: int) -> GateState:
        """What the gate says at `now_ns`, which may be later than the last sample."""
        if self._last_ns is not None and now_ns - self._last_ns > self._max_gap_ns:
            return GateState(False, f"no operator pose for {(now_ns - self._last_ns) / NS_PER_S:.1f} s")
        if self._since_ns is None or self._last_ns is None:
            return GateState(False, self._problem)
        held_ns = self._last_ns - self._since_ns  # only time that samples vouch for
        if held_ns < self._dwell_ns:
            return GateState(False, f"aligned for {held_ns / NS_PER_S:.2f} of {self._dwell_ns / NS_PER_S:.2f} s")
        return GateState(True, "")

    def _problem_of(self, groups: Mapping[str, GroupError]) -> str:
        """ "" when every group is close enough, else the worst one in words."""
        problems: list[tuple[float, str]] = []
        for group, threshold in self._thresholds.items():
            error = groups.get(group)
            if error is None or not error.valid:
                if group in self._required:
                    problems.append((float("inf"), f"{group} is not tracked"))
                continue
            relative = (error.rms_rad / threshold, error.max_rad / (self._max_over_rms * threshold))
            excess = float("inf") if any(math.isnan(value) for value in relative) else max(relative)
            if excess > 1.0:
                off = f"{group} is off by {error.rms_rad:.2f} rad (limit {threshold:.2f})"
                problems.append((excess, f"{off}, worst joint {error.max_rad:.2f}"))
        return max(problems)[1] if problems else ""
