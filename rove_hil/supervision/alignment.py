"""The alignment gate: may the operator be given the robot yet?

While the robot holds, the operator moves to match it. The gate is met when every joint group that matters has
been close enough for a while, without a break. It measures and never moves anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rove_core.clocks import NS_PER_S
from rove_core.errors import ConfigError

NAN = math.nan


@dataclass(frozen=True, slots=True)
class GroupError:
    """How far the operator is from the robot in one joint group.

    Attributes:
        rms_rad: root mean square over the group's joints [rad].
        max_rad: of the worst joint [rad].
        valid: the group is tracked and solved.
        position_m: of the part that the group leads: palm, head, worst fingertip [m]. NaN: there is none.
        rotation_rad: of the palm, the head [rad]. NaN: there is none.
    """

    rms_rad: float
    max_rad: float
    valid: bool
    position_m: float = NAN
    rotation_rad: float = NAN


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """How far is close enough, as `GroupError` measures it. NaN: not looked at."""

    rms_rad: float = NAN
    position_m: float = NAN
    rotation_rad: float = NAN

    def __post_init__(self) -> None:
        if any(value <= 0 for value in (self.rms_rad, self.position_m, self.rotation_rad)):
            raise ConfigError(f"alignment gate: limits must be above 0, not {self}")

    @property
    def absent(self) -> bool:
        """Whether nothing is looked at."""
        return all(math.isnan(value) for value in (self.rms_rad, self.position_m, self.rotation_rad))


@dataclass(frozen=True, slots=True)
class GateState:
    """What the gate says. `reason` is one line, "" when met; `held_s` is how long the last group has been close."""

    met: bool
    reason: str
    held_s: float = 0.0


class AlignmentGate:
    """Close enough in every group for the group's dwell.

    The first sample that is close enough starts a group's dwell. A sample that is not, or a gap of more than
    `max_gap_s` between samples, starts it again; so does a clock that goes back. Groups without a limit
    are not looked at.

    Args:
        limits: group -> how far is close enough.
        required: groups that must be tracked; another group that is not tracked is skipped (the filter
            holds it), because a glove that lost its hand must not keep the arms from being taken over.
        dwell_s: how long it must hold [s]. dwells: group -> another time [s].
        max_over_rms: the worst joint of a group may be off by this factor times its rms limit. One joint that
            human and robot have in different places (a thumb) must not keep the gate shut.
        max_gap_s: longest time between two samples [s].

    Raises:
        ConfigError: a required group has no limit, or a number makes no sense.
    """

    def __init__(
        self,
        limits: Mapping[str, GroupLimits],
        *,
        required: tuple[str, ...] = (),
        dwell_s: float = 0.4,
        max_over_rms: float = 2.5,
        max_gap_s: float = 0.2,
        dwells: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        unknown = [group for group in required if group not in limits]
        if unknown:
            raise ConfigError(f"alignment gate: no limit for required group {', '.join(unknown)}")
        if (shortest := min([dwell_s, *dwells.values()])) < 0:
            raise ConfigError(f"alignment gate: the dwell must be at least 0 s, not {shortest}")
        self._dwell_s = {group: dwells.get(group, dwell_s) for group in {*limits, *dwells}}
        self._usual_dwell_s = dwell_s
        self._configured = dict(limits)
        self._always_required = required
        self._max_over_rms = max_over_rms
        self._max_gap_ns = int(max_gap_s * NS_PER_S)
        self.begin()

    def begin(self, groups: Iterable[str] = (), *, pose_matters: bool = True) -> None:
        """Forget the dwell: alignment begins anew.

        Args:
            groups: what the operator is going to drive; the others are not looked at. Empty: everything. Of these
                the required ones must be tracked, and all of them when none of them is.
            pose_matters: False when the robot will follow the operator's motion and not the pose: then it is enough
                that the operator is tracked.
        """
        driven = tuple(groups)
        looked_at = {group: self._configured.get(group, GroupLimits()) for group in driven or self._configured}
        self._limits = looked_at if pose_matters else dict.fromkeys(looked_at, GroupLimits())
        self._required = tuple(group for group in self._always_required if group in looked_at) or driven
        self._since_ns: dict[str, int] = {}
        self._last_ns: int | None = None
        self._problem = "no operator pose yet"

    @property
    def groups(self) -> frozenset[str]:
        """The joint groups that are looked at."""
        return frozenset(self._limits)

    @property
    def required(self) -> tuple[str, ...]:
        """Those of them that must be tracked."""
        return self._required

    @property
    def dwell_s(self) -> float:
        """The longest time that a group that is looked at has to be close enough [s]."""
        return max((self._dwell_of(group) for group in self._limits), default=self._usual_dwell_s)

    def _dwell_of(self, group: str) -> float:
        return self._dwell_s.get(group, self._usual_dwell_s)

    def limits(self, group: str) -> GroupLimits:
        """What the gate looks at in `group` at present."""
        return self._limits.get(group, GroupLimits())

    def update(self, now_ns: int, groups: Mapping[str, GroupError]) -> GateState:
        """Take one sample of the operator's pose against the robot, of time `now_ns`."""
        last_ns, self._last_ns = self._last_ns, now_ns
        broken = last_ns is not None and not 0 <= now_ns - last_ns <= self._max_gap_ns
        if broken:
            self._since_ns = {}
        problems = [(*self._excess_of(group, groups.get(group)), group) for group in self._limits]
        far = {group for excess, _, group in problems if excess > 1.0}
        self._since_ns = {group: self._since_ns.get(group, now_ns) for group in self._limits if group not in far}
        excess, words, group = max(problems, default=(0.0, "", ""))
        self._problem = f"{group} {words}" if excess > 1.0 else ""
        return self.state(now_ns)

    def state(self, now_ns: int) -> GateState:
        """What the gate says at `now_ns`, which may be later than the last sample."""
        if self._last_ns is not None and now_ns - self._last_ns > self._max_gap_ns:
            return GateState(False, f"no operator pose for {(now_ns - self._last_ns) / NS_PER_S:.1f} s")
        if self._problem or self._last_ns is None:
            return GateState(False, self._problem)
        # Only time that samples vouch for.
        held = [((self._last_ns - since_ns) / NS_PER_S, group) for group, since_ns in self._since_ns.items()]
        remaining = [(self._dwell_of(name) - held_s, held_s, name) for held_s, name in held]
        _, held_s, group = max(remaining, default=(0.0, math.inf, ""))
        if held_s < (dwell_s := self._dwell_of(group)):
            return GateState(False, f"aligned for {held_s:.2f} of {dwell_s:.2f} s", held_s)
        return GateState(True, "", held_s)

    def inside(self, group: str, error: GroupError) -> bool:
        """Whether `group` is inside its limits; true for one that has none."""
        limits = self.limits(group)
        return limits.absent or (error.valid and self._excess(limits, error)[0] <= 1.0)

    def _excess_of(self, group: str, error: GroupError | None) -> tuple[float, str]:
        """As `_excess`; of a group that is not tracked, infinite where it has to be and nothing where it need not."""
        if error is None or not error.valid:
            return (math.inf, "is not tracked") if group in self._required else (0.0, "")
        return self._excess(self._limits[group], error)

    def _excess(self, limits: GroupLimits, error: GroupError) -> tuple[float, str]:
        """The worst error over its limit, and that in words; infinite when nothing can be said."""
        if limits.absent:
            return 0.0, ""
        in_radians = f"is off by {error.rms_rad:.2f} rad (limit {limits.rms_rad:.2f}), worst joint {error.max_rad:.2f}"
        in_metres = f"is off by {100 * error.position_m:.0f} cm (limit {100 * limits.position_m:.0f})"
        degrees = f"{math.degrees(error.rotation_rad):.0f} deg (limit {math.degrees(limits.rotation_rad):.0f})"
        looked_at = []
        if not math.isnan(limits.rms_rad):
            looked_at.append((error.rms_rad / limits.rms_rad, in_radians))
            looked_at.append((error.max_rad / (self._max_over_rms * limits.rms_rad), in_radians))
        # NaN is the word for a part that has no position or rotation, or a sender that does not measure it.
        if not math.isnan(limits.position_m) and not math.isnan(error.position_m):
            looked_at.append((error.position_m / limits.position_m, in_metres))
        if not math.isnan(limits.rotation_rad) and not math.isnan(error.rotation_rad):
            looked_at.append((error.rotation_rad / limits.rotation_rad, f"is turned by {degrees}"))
        if not looked_at or any(math.isnan(ratio) for ratio, _ in looked_at):
            return math.inf, "is not measured"
        return max(looked_at)
