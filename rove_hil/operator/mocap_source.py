"""Where motion capture comes from, behind one interface: a live wire, or a recording that plays.

URLs: `tcp://HOST:PORT` and `ipc://PATH` (the wire), `mcap:FILE` (a recorded session), `bvh:FILE` (a CMU skeleton).
`isaac` (ROS topics of NVIDIA IsaacTeleop) is opened by the node, which holds the subscriptions.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from rove_core.clocks import NS_PER_S, ControlClock
from rove_core.errors import WireError
from rove_core.joint_space import JointSpace
from rove_core.keys import read_pair, read_public
from rove_hil.operator.bvh import mocap_frames, read_bvh
from rove_hil.operator.mocap import MocapFrame
from rove_hil.operator.mocap_file import read_recording
from rove_hil.operator.mocap_wire import MocapReceiver

ISAAC = "isaac"
WIRES = ("tcp://", "ipc://")
FILES = ("mcap:", "bvh:")
SCHEMES = f"{', '.join(f'{wire}...' for wire in WIRES)}, {', '.join(f'{kind}FILE' for kind in FILES)}, {ISAAC}"


class MocapSource(Protocol):
    """Frames, newest first. One thread calls `poll`.

    Attributes:
        received: valid frames so far. dropped: valid frames that a newer one overtook before anybody looked.
        rejected: refused input by reason. last_refusal: the newest refusal in words, "" when there was none.
    """

    received: int
    dropped: int
    rejected: Counter[str]
    last_refusal: str

    def poll(self, timeout_s: float) -> MocapFrame | None:
        """The newest frame, waiting up to `timeout_s` [s] for one; None when there is none."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class RecordingSource:
    """Plays frames at the rate of their capture times, over and over, captured now.

    Args:
        frames: at least one, in order of capture.
        clock: paces it. ros_now_ns: the clock of the capture stamps [ns].
    """

    def __init__(self, frames: Sequence[MocapFrame], clock: ControlClock, ros_now_ns: Callable[[], int]) -> None:
        self.received = 0
        self.dropped = 0
        self.rejected: Counter[str] = Counter()
        self.last_refusal = ""
        self._name = f"recording-{uuid4().hex[:8]}"
        self._frames, self._clock, self._ros_now_ns = list(frames), clock, ros_now_ns
        first = frames[0].capture_ns
        self._offsets_ns = [frame.capture_ns - first for frame in frames]
        # One more interval, as long as the last one, from the end to the beginning.
        last = self._offsets_ns[-1] - self._offsets_ns[-2] if len(frames) > 1 else NS_PER_S
        self._length_ns = self._offsets_ns[-1] + max(last, 1)
        self._start_ns: int | None = None
        self._played = 0

    def poll(self, timeout_s: float) -> MocapFrame | None:
        """The newest frame that is due by now, or the next one when it is due within `timeout_s` [s]."""
        now_ns = self._clock.now_ns()
        if self._start_ns is None:
            self._start_ns = now_ns
        if self._due_ns(self._played) > now_ns:
            deadline_ns = now_ns + round(timeout_s * NS_PER_S)
            self._clock.sleep_until_ns(min(self._due_ns(self._played), deadline_ns))
            if self._due_ns(self._played) > deadline_ns:
                return None
            now_ns = self._clock.now_ns()
        while self._due_ns(self._played + 1) <= now_ns:
            self._played += 1
            self.dropped += 1
            self.received += 1
        number = self._played
        self._played += 1
        self.received += 1
        capture_ns = self._ros_now_ns() - max(now_ns - self._due_ns(number), 0)
        frame = self._frames[number % len(self._frames)]
        return dataclasses.replace(frame, source=self._name, sequence=number, capture_ns=capture_ns)

    def _due_ns(self, number: int) -> int:
        laps, index = divmod(number, len(self._frames))
        return (self._start_ns or 0) + laps * self._length_ns + self._offsets_ns[index]

    def close(self) -> None:
        """Nothing to free."""


def load_frames(path: str | Path, space: JointSpace) -> list[MocapFrame]:
    """The frames of a recording, by what its name ends in: `.mcap` or `.bvh`.

    Raises:
        WireError: another ending, or the file cannot be read.
    """
    kind = Path(path).suffix.lower()
    if kind == ".mcap":
        return read_recording(path).frames
    if kind == ".bvh":
        return list(mocap_frames(read_bvh(path), space))
    raise WireError(f"{path}: recordings end in .mcap or .bvh")


def open_source(
    url: str,
    space: JointSpace,
    clock: ControlClock,
    ros_now_ns: Callable[[], int],
    source_key: str = "",
    own_key: str = "",
) -> MocapSource:
    """The source that `url` names.

    Args:
        source_key: file with the public key of the source; "" for an open wire.
        own_key: file with the receiver's key pair; "" for a new one.

    Raises:
        WireError: no such scheme, or the file or the endpoint cannot be opened.
        ConfigError: a key cannot be read.
    """
    if url.startswith(WIRES):
        return MocapReceiver(
            url, read_public(source_key) if source_key else None, read_pair(own_key) if own_key else None
        )
    kind, _, path = url.partition(":")
    if f"{kind}:" not in FILES or not path:
        raise WireError(f"no motion-capture source '{url}'", f"known are: {SCHEMES}")
    if source_key or own_key:
        raise WireError(f"keys are for the wire, not for '{url}'")
    frames = read_recording(path).frames if kind == "mcap" else list(mocap_frames(read_bvh(path), space))
    return RecordingSource(_in_order(frames), clock, ros_now_ns)


def _in_order(frames: list[MocapFrame]) -> list[MocapFrame]:
    """Without the frames that were captured before the one ahead of them (a source that was started again)."""
    newest = itertools.accumulate((frame.capture_ns for frame in frames), max)
    kept, last = [], -1
    for frame, high in zip(frames, newest, strict=True):
        if frame.capture_ns == high and high > last:
            kept.append(frame)
            last = high
    return kept
