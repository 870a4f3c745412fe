"""Recording one attempt: streams in, rows and images out, drops noticed. No threads, no clocks, no ROS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import cv2

from rove_core.modes import Outcome
from rove_recorder.recording.records import ChunkSample, CommandSample, EventSample, FrameSample, JointSample, Record
from rove_recorder.recording.resampler import Resampler
from rove_recorder.recording.writer import EpisodeWriter

# A capture this many periods after the last one means that images between them are missing.
DROP_PERIODS = 1.5

# A command that is older than the last one by less than this was overtaken on its way; by more, a clock went back.
OVERTAKEN_NS = 1_000_000_000

DEVICE = "node:recorder_node"


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended: the outcome, who said so, when [ns, ROS clock], and what ended it."""

    outcome: Outcome = Outcome.UNLABELLED
    by: str = ""
    t_ros_ns: int | None = None
    ended_by: str = ""


def encode_jpeg(frame: FrameSample, quality: int) -> bytes:
    """The image as JPEG; as it came when the camera compressed it; empty when it is no RGB image."""
    if frame.image is None:
        return frame.jpeg
    if frame.image.ndim != 3 or frame.image.shape[2] != 3:
        return b""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


class EpisodeRecorder:
    """Feeds one writer and one resampler in step.

    Args:
        camera_hz: images per second that each camera promises, to notice missing ones.
    """

    def __init__(self, writer: EpisodeWriter, resampler: Resampler, camera_hz: float, jpeg_quality: int) -> None:
        self.writer = writer
        self.frames_dropped = 0
        self._resampler = resampler
        self._camera_period_ns = 1e9 / camera_hz
        self._quality = jpeg_quality
        self._last_capture_ns: dict[str, int] = {}
        self._dropped: dict[tuple[str, str], int] = {}
        self._known_missing: dict[str, int] = {}
        self._last_joints_ns = 0
        self._last_command: CommandSample | None = None
        self._went_back: dict[str, tuple[int, int]] = {}
        self._last_reason = ""
        self._now = (0, 0)
        self._take: dict[type, Callable[..., None]] = {
            JointSample: self._joint_state,
            CommandSample: self._command,
            FrameSample: self._frame,
            ChunkSample: self._chunk,
            EventSample: self._event,
        }

    def feed(self, record: Record) -> None:
        """Take a record. Commands of other episodes are ignored."""
        self._take[type(record)](record)

    def drop(self, camera: str, count: int, reason: str) -> None:
        """Images of a camera are missing; becomes an event at the next flush.

        Say it before the next image of the camera is fed, which comes after a gap: it counts what is not known yet.
        """
        if reason == "overflow":
            self._known_missing[camera] = self._known_missing.get(camera, 0) + count
        self.frames_dropped += count
        self._dropped[camera, reason] = self._dropped.get((camera, reason), 0) + count

    def drop_records(self, count: int) -> None:
        """Joint states or commands found the queue full; becomes an event at once."""
        self.writer.event(EventSample(*self._now, "record_drop", DEVICE, {"count": count, "reason": "overflow"}))

    def clock_step_s(self, sample: CommandSample) -> float:
        """By how much the clocks of the filter went back before this command of the attempt [s]; 0: they did not.

        Rows need clocks that go forward. A command that was overtaken on its way is not a clock that went back.
        """
        last = self._last_command
        if last is None or sample.episode_id != last.episode_id:
            return 0.0
        control_ns, ros_ns = last.t_mono_ns - sample.t_mono_ns, last.t_ros_ns - sample.t_ros_ns
        if control_ns >= 0:
            return control_ns * 1e-9 if control_ns > OVERTAKEN_NS else 0.0
        return ros_ns * 1e-9 if ros_ns > self._resampler.period_ns / 2 else 0.0

    def flush(self) -> None:
        """Bring everything to the disk. Raises RecordingError."""
        self._report_drops()
        self.writer.flush()

    def close(self, ending: Ending, now: datetime) -> Path:
        """Finish the episode and return its folder. Raises RecordingError."""
        for row in self._resampler.finish():
            self.writer.row(row)
        self._report_drops()
        return self.writer.close(ending.outcome, ending.by, ending.t_ros_ns, now, ending.ended_by)

    def _joint_state(self, sample: JointSample) -> None:
        if not self._goes_on("joint_states", sample.t_ros_ns - self._last_joints_ns):
            return
        self._last_joints_ns = sample.t_ros_ns
        self.writer.joint_state(sample)
        self._resampler.joint_state(sample)

    def _command(self, sample: CommandSample) -> None:
        if sample.episode_id != self.writer.info.episode_id:
            return
        last = self._last_command
        if last is not None and not self._goes_on("commands", sample.t_mono_ns - last.t_mono_ns):
            return
        self._last_command = sample
        self._now = (sample.t_mono_ns, sample.t_ros_ns)
        if sample.hold_reason != self._last_reason:
            self._last_reason = sample.hold_reason
            if sample.hold_reason:
                self.writer.event(EventSample(*self._now, "hold", "node:filter_node", {"reason": sample.hold_reason}))
        index = self.writer.command(sample)
        for row in self._resampler.command(index, sample):
            self.writer.row(row)

    def _frame(self, frame: FrameSample) -> None:
        last = self._last_capture_ns.get(frame.camera)
        if last is not None and not self._goes_on(f"cameras/{frame.camera}", frame.capture_ns - last):
            return
        self._last_capture_ns[frame.camera] = frame.capture_ns
        if last is not None and frame.capture_ns - last > DROP_PERIODS * self._camera_period_ns:
            missing = max(round((frame.capture_ns - last) / self._camera_period_ns) - 1, 1)
            known = min(self._known_missing.pop(frame.camera, 0), missing)
            if missing > known:
                self.drop(frame.camera, missing - known, "gap")
        jpeg = encode_jpeg(frame, self._quality)
        if not jpeg:
            self.drop(frame.camera, 1, "unusable")
            return
        index = self.writer.frame(frame.camera, jpeg, frame.capture_ns, frame.receive_ns)
        self._resampler.frame(frame.camera, frame.capture_ns, index)

    def _chunk(self, chunk: ChunkSample) -> None:
        self._resampler.chunk(chunk.chunk_id, chunk.policy_index)
        self.writer.chunk(chunk)

    def _event(self, event: EventSample) -> None:
        self.writer.event(event)

    def _goes_on(self, stream: str, by_ns: int) -> bool:
        """Whether a stream's stamps increase. What came twice is nothing new; what is earlier becomes an event."""
        if by_ns < 0:
            count, worst = self._went_back.get(stream, (0, 0))
            self._went_back[stream] = (count + 1, max(worst, -by_ns))
        return by_ns > 0

    def _report_drops(self) -> None:
        for stream, (count, by_ns) in self._went_back.items():
            details = {"stream": stream, "count": count, "by_s": by_ns * 1e-9}
            self.writer.event(EventSample(*self._now, "clock_went_back", DEVICE, details))
        self._went_back.clear()
        for (camera, reason), count in self._dropped.items():
            details = {"camera": camera, "count": count, "reason": reason}
            self.writer.event(EventSample(*self._now, "frame_drop", DEVICE, details))
        self._dropped.clear()
