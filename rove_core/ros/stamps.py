"""Nanoseconds to and from `builtin_interfaces/Time`."""

from __future__ import annotations

from builtin_interfaces.msg import Time

from rove_core.clocks import NS_PER_S


def to_msg(stamp_ns: int) -> Time:
    """`stamp_ns` [ns] as a message."""
    seconds, nanoseconds = divmod(int(stamp_ns), NS_PER_S)
    return Time(sec=seconds, nanosec=nanoseconds)


def to_ns(stamp: Time) -> int:
    """A message as nanoseconds."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)
