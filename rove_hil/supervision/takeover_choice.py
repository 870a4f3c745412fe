"""How a takeover goes: which joint groups the operator drives, and how the operator's motion becomes the robot's.

Chosen per deployment, per attempt or with one press of "takeover"; the nearest word counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from rove_core.errors import ConfigError, nearest
from rove_core.modes import TakeoverWay

# What a press may say, and the word for every joint group.
KEYS = ("groups", "way")
ALL = "all"


@dataclass(frozen=True, slots=True)
class TakeoverRequest:
    """What one press of "takeover" asks for. None: as the attempt has it. No groups: all of them."""

    way: TakeoverWay | None = None
    groups: tuple[str, ...] | None = None


AS_OPENED = TakeoverRequest()


@dataclass(frozen=True, slots=True)
class TakeoverChoice:
    """How takeovers go in attempts that do not say.

    Attributes:
        way: how the operator's motion becomes the robot's.
        groups: joint groups that the operator drives; empty for all.
        known: the robot's joint groups.
    """

    way: TakeoverWay
    groups: tuple[str, ...]
    known: tuple[str, ...]

    def way_of(self, text: str) -> TakeoverWay:
        """The way that was asked for, the default for "". Raises ConfigError."""
        if text and text not in set(TakeoverWay):
            raise ConfigError(f"no takeover way '{text}', {nearest(text, set(TakeoverWay))}")
        return TakeoverWay(text) if text else self.way

    def groups_of(self, names: Iterable[str]) -> tuple[str, ...]:
        """The joint groups that were asked for in the robot's order, the default for none. Raises ConfigError."""
        asked = set(names)
        for name in asked - set(self.known):
            raise ConfigError(f"takeover: the robot has no joint group '{name}', {nearest(name, set(self.known))}")
        return tuple(name for name in self.known if name in asked) or self.groups

    def request_of(self, payload: str) -> TakeoverRequest:
        """What the payload of a takeover event asks for.

        Either a JSON object, {"groups": ["right_arm", "right_hand"], "way": "clutch"}, or words,
        "groups=right_arm,right_hand way=clutch". "groups=all" is every group. Text without "=" is a remark.

        Raises:
            ConfigError: an unknown key, way or group, or JSON that is none.
        """
        given = _pairs(payload.strip())
        for key in given.keys() - set(KEYS):
            raise ConfigError(f"takeover: no key '{key}', {nearest(key, KEYS)}")
        way, groups = given.get("way"), given.get("groups")
        if isinstance(groups, str):
            groups = [name for name in groups.split(",") if name]
        if not isinstance(way, str | None) or not (
            groups is None or (isinstance(groups, list) and all(isinstance(name, str) for name in groups))
        ):
            raise ConfigError("takeover: way must be a word and groups a list of names")
        if groups is not None:
            groups = () if groups == [ALL] else self.groups_of(groups)
        return TakeoverRequest(self.way_of(way) if way else None, groups)


def _pairs(text: str) -> dict[str, object]:
    if text.startswith("{"):
        try:
            return dict(json.loads(text))
        except ValueError as error:
            raise ConfigError(f"takeover: not JSON: {error}") from None
    if "=" not in text:
        return {}
    return {key: value for key, _, value in (word.partition("=") for word in text.split())}
