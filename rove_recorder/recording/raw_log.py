"""The raw messages of an attempt as MCAP beside the episode, for Foxglove and rosbag tools. Never in the episode's way.

`<episode>.mcap.open` while it is written, `<episode>.mcap` when it is complete. A kill costs the last chunk; what is
left behind is completed when a recorder starts.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader
from mcap.writer import CompressionType, Writer

OPEN_SUFFIX = ".mcap.open"
SUFFIX = ".mcap"
PROFILE = "ros2"
LIBRARY = "rove_recorder"
METADATA = "rove.episode"
# A chunk is written when it is this big: half a second without images, every image with them.
CHUNK_BYTES = 256 * 1024
# What may wait for the disk: .7 s of three raw 640x480 cameras at 30 Hz.
MAX_WAITING_BYTES = 64 * 1024 * 1024

# What comes just before an episode opens is part of it, images aside: the chunk that overtook the mode, for one.
RECENT_MESSAGES, RECENT_BYTES = 200, 64 * 1024


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: the message's name as in "sensor_msgs/msg/Image", and its definition with all that it refers to."""

    name: str
    type: str
    definition: str


@dataclass(frozen=True, slots=True)
class _Message:
    topic: str
    t_ros_ns: int
    data: bytes


class RawLog:
    """Writes serialized messages from its own thread while an episode is open, and those from just before.

    Its queue is bounded: when the disk is too slow the newest message is dropped and counted. An error of the disk
    ends the file and not the episode.

    Attributes:
        topics: by name; of others nothing is taken.
        dropped: messages that found no room. error: why the last file ended early, "" when it did not.
    """

    def __init__(self, topics: Mapping[str, Topic]) -> None:
        self.dropped = 0
        self.error = ""
        self.topics = topics
        self._waiting: deque[_Message | Path | None] = deque()
        self._recent: deque[_Message] = deque(maxlen=RECENT_MESSAGES)
        self._bytes = 0
        self._open = False
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="raw_log")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, finish the file, join the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def begin(self, episode: Path) -> None:
        """An episode was opened; `episode` is the folder that it will have when it is finished."""
        with self._changed:
            self._open = True
            self._waiting.append(episode)
            self._waiting += self._recent
            self._bytes += sum(len(message.data) for message in self._recent)
            self._recent.clear()
            self._changed.notify()

    def end(self) -> None:
        """The episode was finished."""
        with self._changed:
            self._open = False
            self._waiting.append(None)
            self._changed.notify()

    def put(self, topic: str, data: bytes, t_ros_ns: int) -> None:
        """A serialized message that came at `t_ros_ns`."""
        with self._changed:
            if not self._open:
                if len(data) <= RECENT_BYTES:
                    self._recent.append(_Message(topic, t_ros_ns, data))
                return
            if self._bytes + len(data) > MAX_WAITING_BYTES:
                self.dropped += 1
                return
            self._bytes += len(data)
            self._waiting.append(_Message(topic, t_ros_ns, data))
            self._changed.notify()

    def _next(self) -> _Message | Path | None:
        """What is next; None at the end of an episode and at the end of all."""
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait()
            item = self._waiting.popleft() if self._waiting else None
            if isinstance(item, _Message):
                self._bytes -= len(item.data)
            return item

    def _run(self) -> None:
        file: _File | None = None
        while True:
            item = self._next()
            try:
                if isinstance(item, Path):
                    self.error = ""
                    file = _File(item, self.topics)
                elif isinstance(item, _Message):
                    if file is not None:
                        file.write(item)
                elif file is not None:
                    finished, file = file, None
                    finished.finish()
            except OSError as error:
                self.error = f"the raw log ended: {error.strerror}"
                file = None
            with self._changed:
                if self._ended and not self._waiting and file is None:
                    return


class _File:
    """One MCAP file. Topics get their channel with their first message."""

    def __init__(self, episode: Path, topics: Mapping[str, Topic]) -> None:
        self._path = episode.with_name(episode.name.removesuffix(".zarr") + OPEN_SUFFIX)
        self._topics = topics
        self._channels: dict[str, int] = {}
        self._sequences: dict[str, int] = {}
        self._stream = self._path.open("wb")
        self._writer = Writer(self._stream, chunk_size=CHUNK_BYTES, compression=CompressionType.NONE)
        self._writer.start(profile=PROFILE, library=LIBRARY)
        about = {"episode": episode.name, "session": episode.parent.name}
        self._writer.add_metadata(METADATA, about)

    def write(self, message: _Message) -> None:
        if message.topic not in self._channels:
            topic = self._topics[message.topic]
            schema = self._writer.register_schema(topic.type, "ros2msg", topic.definition.encode())
            self._channels[message.topic] = self._writer.register_channel(topic.name, "cdr", schema)
        sequence = self._sequences[message.topic] = self._sequences.get(message.topic, 0) + 1
        self._writer.add_message(
            self._channels[message.topic], message.t_ros_ns, message.data, message.t_ros_ns, sequence
        )

    def finish(self) -> None:
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._stream.close()
        self._path.rename(self._path.with_name(self._path.name.removesuffix(".open")))


def complete(session: Path) -> list[Path]:
    """Finish what dead recorders left behind in a session: all chunks that are whole. Returns the files."""
    return [_complete(path) for path in sorted(session.glob(f"*{OPEN_SUFFIX}"))]


def _complete(path: Path) -> Path:
    target = path.with_name(path.name.removesuffix(".open"))
    partial = path.with_name(path.name + ".partial")
    channels: dict[int, int] = {}
    with path.open("rb") as source, partial.open("wb") as stream:
        writer = Writer(stream, chunk_size=CHUNK_BYTES, compression=CompressionType.NONE)
        writer.start(profile=PROFILE, library=LIBRARY)
        reader = NonSeekingReader(source)
        try:
            for schema, channel, message in reader.iter_messages(log_time_order=False):
                if channel.id not in channels:
                    number = writer.register_schema(schema.name, schema.encoding, schema.data) if schema else 0
                    channels[channel.id] = writer.register_channel(channel.topic, channel.message_encoding, number)
                times = (message.log_time, message.data, message.publish_time, message.sequence)
                writer.add_message(channels[channel.id], *times)
        except (McapError, EOFError, ValueError):
            pass  # the chunk that was being written
        about = {
            "episode": target.name.removesuffix(SUFFIX) + ".zarr",
            "session": path.parent.name,
            "recovered": "true",
        }
        writer.add_metadata(METADATA, about)
        writer.finish()  # type: ignore[no-untyped-call]
    partial.rename(target)
    path.unlink()
    return target
