"""The bounded queue between callbacks and the recorder's thread."""

from __future__ import annotations

import threading
from collections import deque

from rove_recorder.recording.records import EventSample, FrameSample, ModeSample, Record

# Queue limits. 460 small records a second: 40 s of them; images of three 640x480 cameras: 1.1 s.
MAX_RECORDS = 20_000
MAX_IMAGE_BYTES = 96 * 1024 * 1024


class Inbox:
    """A bounded queue. When it is full the newest record is dropped and counted, images by their own limit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: deque[Record] = deque()
        self._image_bytes = 0
        self._lost_frames: dict[str, int] = {}
        self.records_dropped = 0

    def put(self, record: Record) -> None:
        """Add a record, or count it as dropped."""
        with self._lock:
            if isinstance(record, FrameSample):
                if self._image_bytes + record.size > MAX_IMAGE_BYTES:
                    self._lost_frames[record.camera] = self._lost_frames.get(record.camera, 0) + 1
                    return
                self._image_bytes += record.size
            elif len(self._records) >= MAX_RECORDS and not isinstance(record, ModeSample | EventSample):
                self.records_dropped += 1
                return
            self._records.append(record)

    def take(self) -> tuple[deque[Record], dict[str, int]]:
        """Everything that waits, and per camera how many images were dropped since the last call."""
        with self._lock:
            records, self._records, self._image_bytes = self._records, deque(), 0
            lost, self._lost_frames = self._lost_frames, {}
        return records, lost
