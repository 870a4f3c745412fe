"""Recorded motion-capture sessions: the wire's messages, byte for byte, in an MCAP file (https://mcap.dev).

One channel, topic `rove/mocap`, message encoding `msgpack`, schema `rove.mocap` of encoding `rove.mocap` version 1.
A message's log time is when it arrived, its publish time when the pose was captured, both ROS clock [ns]; its
sequence is the frame's, modulo 2^32. Metadata `rove.mocap` says which software recorded it. A recording that was cut
off is read up to the last whole chunk.
"""

from __future__ import annotations

import itertools
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader
from mcap.writer import Writer
from zstandard import ZstdError

from rove_core import __version__
from rove_core.clocks import NS_PER_S
from rove_core.errors import WireError
from rove_hil.operator.mocap import SCHEMA, VERSION, FrameRefusedError, MocapFrame, Tracked, decode, encode

TOPIC = "rove/mocap"
ENCODING = "msgpack"
# About half a second of frames: what a crash may cost.
_CHUNK_BYTES = 64 * 1024
_LARGEST_RECORD_BYTES = 64 << 20


class MocapRecorder:
    """Writes frames to a new file. Use as a context manager: closing writes the index.

    Raises:
        WireError: the file exists or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.frames = 0
        try:
            self._file = Path(path).open("xb")  # noqa: SIM115 - closed by close()
        except FileExistsError:
            raise WireError(f"{path} exists", "choose another name: recordings are not overwritten") from None
        except OSError as error:
            raise WireError(f"cannot write {path}: {error.strerror}") from None
        self._writer = Writer(self._file, chunk_size=_CHUNK_BYTES)
        self._writer.start(library=f"rove {__version__}")
        schema = self._writer.register_schema(SCHEMA, SCHEMA, str(VERSION).encode())
        self._channel = self._writer.register_channel(TOPIC, ENCODING, schema)
        self._writer.add_metadata(SCHEMA, {"version": str(VERSION), "software": f"rove {__version__}"})

    def write(self, frame: MocapFrame, received_ns: int) -> None:
        """Add a frame that arrived at `received_ns`, ROS clock [ns]."""
        self._writer.add_message(
            self._channel, received_ns, encode(frame), publish_time=frame.capture_ns, sequence=frame.sequence % 2**32
        )
        self.frames += 1

    def close(self) -> None:
        """Finish the file."""
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._file.close()

    def __enter__(self) -> MocapRecorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds.

    Attributes:
        frames: in order of arrival. received_ns: when each arrived, ROS clock [ns].
        refused: messages that are no valid frames, by reason.
        complete: the file was closed properly; False when it was cut off.
    """

    frames: list[MocapFrame]
    received_ns: list[int]
    refused: Counter[str]
    complete: bool

    @property
    def duration_s(self) -> float:
        """From the first capture to the last [s]."""
        return (self.frames[-1].capture_ns - self.frames[0].capture_ns) / NS_PER_S if self.frames else 0.0

    @property
    def rate_hz(self) -> float:
        """Frames per second, by the median interval of the captures; 0 for fewer than two frames."""
        intervals = np.diff([frame.capture_ns for frame in self.frames])
        middle = float(np.median(intervals)) if len(intervals) else 0.0
        return NS_PER_S / middle if middle > 0 else 0.0

    @property
    def longest_gap_s(self) -> float:
        """Longest time between two captures [s]."""
        pairs = itertools.pairwise(self.frames)
        return max(((after.capture_ns - before.capture_ns) / NS_PER_S for before, after in pairs), default=0.0)

    def tracked_share(self) -> dict[str, float]:
        """Share of the frames in which each part was tracked, 0 to 1."""
        flags = np.array([frame.tracked for frame in self.frames], dtype=np.float64).reshape(-1, len(Tracked._fields))
        shares = flags.mean(axis=0) if len(flags) else np.zeros(len(Tracked._fields))
        return dict(zip(Tracked._fields, shares.tolist(), strict=True))


def read_recording(path: str | Path) -> Recording:
    """Read a recorded session.

    Raises:
        WireError: the file cannot be read, is no MCAP file, or holds no motion capture.
    """
    frames: list[MocapFrame] = []
    received: list[int] = []
    refused: Counter[str] = Counter()
    trouble = ""
    try:
        with Path(path).open("rb") as file:
            reader = NonSeekingReader(file, validate_crcs=True, record_size_limit=_LARGEST_RECORD_BYTES)
            for _, _, message in reader.iter_messages(topics=[TOPIC], log_time_order=False):
                try:
                    frames.append(decode(message.data))
                    received.append(message.log_time)
                except FrameRefusedError as error:
                    refused[error.reason] += 1
    except OSError as error:
        raise WireError(f"cannot read {path}: {error.strerror}") from None
    except (McapError, ZstdError, struct.error, ValueError, OverflowError, MemoryError) as error:
        # Damaged files make the parser read lengths that are none.
        trouble = str(error) or type(error).__name__
    if not frames:
        reason = trouble or f"no valid message on topic '{TOPIC}'"
        raise WireError(f"{path} holds no motion capture: {reason}")
    return Recording(frames, received, refused, complete=not trouble)
