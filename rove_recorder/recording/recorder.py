"""The recorder: a bounded queue, one thread that writes, and the decision when an episode opens and closes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rove_core.errors import RecordingError, RoveError
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode, Outcome
from rove_recorder.checking.flags import Budget
from rove_recorder.episode_format.schema import OPEN_SUFFIX, SUFFIX
from rove_recorder.recording.attempt_rules import belongs, ending_of, mode_event, part_id
from rove_recorder.recording.disk_space import DiskSpace
from rove_recorder.recording.disk_sync import DiskSync
from rove_recorder.recording.episode import DEVICE, Ending, EpisodeRecorder
from rove_recorder.recording.inbox import Inbox
from rove_recorder.recording.quality import LITTLE_DISK_MINUTES, QualityMeter
from rove_recorder.recording.raw_log import RawLog
from rove_recorder.recording.records import (
    CameraModel,
    CommandSample,
    EpisodeInfo,
    EventSample,
    FrameSample,
    ModeSample,
    Record,
)
from rove_recorder.recording.recovery import recover, recover_locked
from rove_recorder.recording.resampler import Budgets, Resampler
from rove_recorder.recording.session_lock import SessionLock
from rove_recorder.recording.settings import RecorderConfig, RecorderState, RecorderStatus
from rove_recorder.recording.writer import EpisodeWriter

# The thread takes the queue this often: fewer wake-ups than messages, well inside the flush period.
DRAIN_PERIOD_S = 0.1
# After the end of an attempt its last events are still on their way.
CLOSING_GRACE_S = 0.3
# While it cannot record, it looks this often whether it can again.
RETRY_PERIOD_S = 2.0
# What is kept while no episode is open, so that the first rows of the next one are complete: .5 s of 200 Hz.
RECENT_RECORDS = 200


class Recorder:
    """Records every attempt that the mode announces. `put` may be called from any thread and never blocks on the disk.

    An episode opens with the first mode that carries its id and closes .3 s after the mode is back at IDLE.
    When the disk is full or not writable it keeps what it has, reports FAULT, and tries again.

    Args:
        raw_log: is told when an episode opens and ends.
    """

    def __init__(self, config: RecorderConfig, space: JointSpace, raw_log: RawLog | None = None) -> None:
        self.config = config
        self.recovered: list[tuple[Path, str]] = []
        self._space = space
        self._raw_log = raw_log
        self._session = Path(config.out_dir).absolute()
        self._inbox = Inbox()
        self._cameras = {name: CameraModel() for name in config.cameras}
        self._taken: deque[Record] = deque()  # kept here, so that the rest is not lost with one that fails
        self._recent: deque[Record] = deque(maxlen=RECENT_RECORDS)
        self._newest_frame: dict[str, FrameSample] = {}
        self._episode: EpisodeRecorder | None = None
        self._ending: tuple[float, Ending] | None = None
        self._ended_ns = 0
        self._mode_key: tuple[int, int, int, str] | None = None
        self._last_mode: ModeSample | None = None
        self._refused_id = ""
        self._known_dropped = 0
        self._status = RecorderStatus()
        self._next_flush = self._next_check = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._lock: SessionLock | None = None
        self._disk = DiskSpace(self._session, config.min_free_mb)
        self._meter = QualityMeter(config.cameras, config.camera_hz, config.state_budget_s, config.camera_budget_s)
        self._sync = DiskSync(self._session, config.sync_period_s)

    def start(self) -> None:
        """Claim the session folder, recover orphans, start the thread.

        Raises:
            RecordingError: another recorder has the folder, or it cannot be written.
        """
        try:
            self._session.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordingError(
                f"cannot create {self._session}: {error.strerror}", "choose an out_dir that this user may write to"
            ) from None
        self._lock = SessionLock(self._session)
        self.recovered = recover_locked(self._session)
        # Sessions beside this one: a deployment that died is usually started again with a new session.
        for sibling in sorted(self._session.parent.iterdir()):
            if sibling != self._session and sibling.is_dir() and any(sibling.glob(f"*{OPEN_SUFFIX}")):
                self.recovered += recover(sibling)
        self._check_disk()
        if self._raw_log is not None:
            self._raw_log.start()
        self._sync.start()
        self._thread.start()

    def close(self) -> None:
        """Finish an open episode as aborted, stop the thread, let go of the folder."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._raw_log is not None:
            self._raw_log.close()
        self._sync.close()
        self._disk.give_reserve_back()
        if self._lock is not None:
            self._lock.close()

    def put(self, record: Record) -> None:
        """Hand over a record; the queue is bounded, see `Inbox`."""
        self._inbox.put(record)

    def camera_model(self, name: str, model: CameraModel) -> None:
        """What a camera says of itself; used from the next episode on."""
        self._cameras[name] = model

    @property
    def status(self) -> RecorderStatus:
        """What is going on."""
        return self._status

    # The thread

    def _run(self) -> None:
        while not self._stop.wait(DRAIN_PERIOD_S):
            self._guarded(self._work)
        self._guarded(self._work)
        self._guarded(lambda: self._close(Ending(Outcome.ABORTED, DEVICE, None, "shutdown")))

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except RoveError as error:
            self._fault(f"{error}" + (f": {error.hint}" if error.hint else ""))
        except Exception as error:  # noqa: BLE001 - outermost edge of the thread: the record stops, motion goes on
            self._fault(f"recorder error, {type(error).__name__}: {error}: restart the recorder")

    def _work(self) -> None:
        records, lost = self._inbox.take()
        dropped = self._inbox.records_dropped
        if self._episode is not None:
            for camera, count in lost.items():
                self._episode.drop(camera, count, "overflow")
            if dropped > self._known_dropped:
                self._episode.drop_records(dropped - self._known_dropped)
        self._known_dropped = dropped
        self._taken += records
        del records
        while self._taken:  # let go of each image when it has been written: a second of them is 80 MB
            self._dispatch(self._taken.popleft())
            self._flush_when_due(time.monotonic())  # on a busy computer a batch of images takes a while
        now = time.monotonic()
        if self._ending is not None and now >= self._ending[0]:
            self._close(self._ending[1])
        self._flush_when_due(now)
        if now >= self._next_check:
            self._next_check = now + RETRY_PERIOD_S
            self._disk.wrote(now, self._episode.writer.bytes_written if self._episode else None)
            self._check_disk()
        self._meter.update(now)
        self._update()

    def _flush_when_due(self, now: float) -> None:
        if self._episode is not None and now >= self._next_flush:
            self._next_flush = now + self.config.flush_period_s
            self._episode.flush()

    def _dispatch(self, record: Record) -> None:
        self._meter.add(record)
        if isinstance(record, ModeSample):
            self._mode(record)
        elif self._episode is not None and not self._comes_after(record):
            if isinstance(record, CommandSample) and (by_s := self._episode.clock_step_s(record)):
                self._continue_after_clock_step(self._episode, record, by_s)
            if self._episode is not None:
                self._episode.feed(record)
        elif isinstance(record, FrameSample):
            self._newest_frame[record.camera] = record
        else:
            self._recent.append(record)

    def _continue_after_clock_step(self, episode: EpisodeRecorder, command: CommandSample, by_s: float) -> None:
        """Stamps of an episode only go forward: what comes after a clock that was set back is a further part."""
        details = {"stream": "commands", "count": 0, "by_s": by_s}
        event = EventSample(command.t_mono_ns, command.t_ros_ns, "clock_went_back", DEVICE, details)
        episode.feed(event)
        self._close(Ending(ended_by="clock_went_back"))
        self._recent.clear()
        self._newest_frame.clear()
        self._open(episode.writer.info, command.epoch)
        if self._episode is not None and self._last_mode is not None:
            self._episode.feed(event)
            self._episode.feed(mode_event(self._last_mode, command.t_mono_ns, command.t_ros_ns))

    def _comes_after(self, record: Record) -> bool:
        """Whether an image shows what came after the attempt that is being closed: the next scene, often."""
        return isinstance(record, FrameSample) and self._ending is not None and record.capture_ns > self._ended_ns

    def _mode(self, mode: ModeSample) -> None:
        episode_id = mode.info.episode_id
        key = (mode.mode, mode.stage, mode.epoch, episode_id)
        if key == self._mode_key:
            return
        self._mode_key, self._last_mode = key, mode
        idle = mode.mode == Mode.IDLE.number
        current = self._episode.writer.info.episode_id if self._episode else ""
        if episode_id and not idle and episode_id not in (current, self._refused_id):
            self._close(self._ending[1] if self._ending else Ending(ended_by="superseded"))
            self._open(mode.info, mode.epoch)
        if self._episode is None:
            return
        self._episode.feed(mode_event(mode, mode.t_mono_ns, mode.t_ros_ns))
        if (idle or not episode_id) and self._ending is None:
            self._ending = (time.monotonic() + CLOSING_GRACE_S, ending_of(mode))
            self._ended_ns = mode.t_ros_ns

    def _open(self, info: EpisodeInfo, epoch: int) -> None:
        self._refused_id = info.episode_id  # until it is open
        self._check_disk()
        if self._status.state is RecorderState.FAULT:
            return
        config = self.config
        budget = Budget(
            config.state_budget_s,
            dict.fromkeys(self._cameras, config.camera_budget_s),
            config.stale_share,
            config.dropped_share,
        )
        part, extra = 1, dict[str, Any](budgets=budget.attribute())
        while any((self._session / f"{part_id(info, part)}{suffix}").exists() for suffix in (SUFFIX, OPEN_SUFFIX)):
            part += 1
            extra["continues"] = info.episode_id
        writer = EpisodeWriter(
            self._session,
            info,
            self._space,
            self._cameras,
            config.control_hz,
            datetime.now(UTC),
            extra,
            folder_name=part_id(info, part),
        )
        age_budgets = Budgets(int(config.state_budget_s * 1e9), int(config.camera_budget_s * 1e9))
        resampler = Resampler(
            config.control_hz, self._space.dim, len(self._space.groups), tuple(self._cameras), age_budgets
        )
        if self._raw_log is not None:
            self._raw_log.begin(writer.finished_path)
        self._episode = EpisodeRecorder(writer, resampler, config.camera_hz, config.jpeg_quality)
        self._refused_id = ""
        for frame in self._newest_frame.values():
            self._episode.feed(frame)
        for record in self._recent:
            if belongs(record, epoch):
                self._episode.feed(record)
        self._recent.clear()
        self._newest_frame.clear()
        self._status = replace(self._status, state=RecorderState.RECORDING, message="", path=str(writer.path))

    def _close(self, ending: Ending) -> None:
        episode, self._episode, self._ending = self._episode, None, None
        if episode is None:
            return
        if self._raw_log is not None:
            self._raw_log.end()
        self._status = replace(self._status, state=RecorderState.CLOSING)
        path = episode.close(ending, datetime.now(UTC))
        self._status = replace(
            self._status,
            state=RecorderState.IDLE,
            episode_id="",
            message="",
            path=str(path),
            last_outcome=ending.outcome.value,
            rows=episode.writer.rows,
            frames=episode.writer.frames,
            frames_dropped=episode.frames_dropped,
        )

    # Health

    def _check_disk(self) -> None:
        """Faults before the disk is full; ends a fault when there is room again. Raises RecordingError."""
        try:
            self._disk.check()
        finally:
            self._status = replace(self._status, disk_free_mb=self._disk.free_mb)
        if self._status.state is RecorderState.FAULT:
            self._status = replace(self._status, state=RecorderState.IDLE, message="")

    def _fault(self, message: str) -> None:
        """Keep what there is of the episode, and say what to do. Never raises."""
        if self._episode is not None:
            self._refused_id = self._episode.writer.info.episode_id
        try:
            self._disk.give_reserve_back()
            self._close(Ending(ended_by="recording_fault"))
        except Exception as error:  # noqa: BLE001 - it stays open on disk: recovery will finish it
            message = f"{message} (the open episode was kept for recovery: {error})"
        self._status = replace(self._status, state=RecorderState.FAULT, episode_id="", message=message)

    def _update(self) -> None:
        status = replace(
            self._status,
            records_dropped=self._inbox.records_dropped,
            streams=self._meter.streams,
            clipped_share=self._meter.clipped_share,
            disk_minutes_left=self._disk.minutes_left,
        )
        if self._episode is not None:
            writer = self._episode.writer
            status = replace(
                status,
                state=RecorderState.CLOSING if self._ending else RecorderState.RECORDING,
                episode_id=writer.info.episode_id,
                rows=writer.rows,
                frames=writer.frames,
                frames_dropped=self._episode.frames_dropped,
                message="; ".join(self._warnings()),
            )
        self._status = status

    def _warnings(self) -> Iterator[str]:
        yield from self._meter.warnings()
        if self._disk.minutes_left < LITTLE_DISK_MINUTES:
            yield f"the disk is full in {self._disk.minutes_left:.0f} minutes"
