"""Episodes from elsewhere: step by step through the recorder's own writer, so that they are what the format says.

What the source does not know is absent here too: NaN for velocities, no chunks of a policy, no native rates beside the
rate of the rows, no wall time. The attribute `imported` says where an episode came from.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from rove_core.errors import RecordingError
from rove_core.joint_space import JointSpace
from rove_core.modes import Event, Mode, Outcome, Source, Stage
from rove_recorder.episode_format.schema import OPEN_SUFFIX, SUFFIX
from rove_recorder.episode_format.storage import read_metadata
from rove_recorder.recording.episode import Ending, EpisodeRecorder
from rove_recorder.recording.records import (
    CameraModel,
    CommandSample,
    EpisodeInfo,
    EventSample,
    FloatArray,
    FrameSample,
    JointSample,
)
from rove_recorder.recording.resampler import Resampler
from rove_recorder.recording.writer import EpisodeWriter

# The source's time 0. Not 0 here, so that what happened just before the first step has a time too.
START_NS = 1_000_000_000

# Images are decoded from video and have to be compressed again: less loss than the recorder's 90.
JPEG_QUALITY = 95

_CLOCK = "time of the source since its beginning plus one second; it has no wall time"


@dataclass(frozen=True, slots=True)
class ForeignEpisode:
    """What is known of it as a whole.

    Attributes:
        hz: steps per second. cameras: name -> width, height.
        imported: where it came from, for the attribute of this name.
        start_ros_ns: the source's time 0 on the ROS clock [ns], where it tells.
    """

    name: str
    hz: float
    cameras: Mapping[str, tuple[int, int]]
    instruction: str
    task: str = ""
    demonstration: bool = True
    embodiment: str = "robot"
    has_action: bool = True
    imported: Mapping[str, Any] = field(default_factory=dict)
    start_ros_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ForeignStep:
    """One row: `state` and `action` [rad], shape (dim,), None where there are none; images are RGB, by camera."""

    state: FloatArray | None
    action: FloatArray | None
    source: Source
    stage: Stage = Stage.RECOVERY
    images: Mapping[str, np.ndarray[Any, np.dtype[np.uint8]]] = field(default_factory=dict)


class ForeignRecorder:
    """Writes one episode. `step` per row, then `close`; leave without it and nothing stays.

    A human's steps become mode TAKEOVER, a policy's ROLLOUT, those of nobody IDLE. Steps of stage RECOVERY come
    after an event `mark_progress` of the device "import": a demonstration has nothing to adapt to.

    Raises:
        RecordingError: an episode of this name exists, or the disk refuses.
    """

    def __init__(self, session: Path, about: ForeignEpisode, space: JointSpace, now: datetime) -> None:
        self._about, self._now = about, now
        self._device = "import"
        cameras = {name: CameraModel(*size) for name, size in about.cameras.items()}
        info = EpisodeInfo(about.name, about.task, about.instruction, demonstration=about.demonstration)
        extra: dict[str, Any] = {
            "embodiment": about.embodiment,
            "has_action": about.has_action,
            "imported": dict(about.imported),
        }
        if about.start_ros_ns is None:
            extra["clocks"] = {"t_mono_ns": _CLOCK, "t_ros_ns": _CLOCK}
        self._writer = EpisodeWriter(session, info, space, cameras, about.hz, now, extra)
        resampler = Resampler(about.hz, space.dim, len(space.groups), tuple(cameras))
        self._recorder = EpisodeRecorder(self._writer, resampler, about.hz, JPEG_QUALITY)
        self._nothing = np.full(space.dim, np.nan)
        self._dim = space.dim
        self._ros_offset_ns = 0 if about.start_ros_ns is None else about.start_ros_ns - START_NS
        self._steps = self._epoch = 0
        self._last: tuple[Source, Stage] | None = None

    def image(self, camera: str, t_s: float, image: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
        """An image at `t_s` of the source's time, where images have times of their own."""
        t_ns = START_NS + int(t_s * 1e9) + self._ros_offset_ns
        self._recorder.feed(FrameSample(camera, t_ns, t_ns, image))

    def step(self, step: ForeignStep) -> None:
        """The next row. Raises RecordingError when the disk refuses."""
        t_ns = START_NS + round(self._steps * 1e9 / self._about.hz)
        ros_ns = t_ns + self._ros_offset_ns
        self._change(step, t_ns)
        for camera, image in step.images.items():
            self._recorder.feed(FrameSample(camera, ros_ns, ros_ns, image))
        if step.state is not None:
            self._recorder.feed(JointSample(ros_ns, ros_ns, step.state, self._nothing))
        action = self._nothing if step.action is None else step.action
        human = step.source is Source.OPERATOR
        self._recorder.feed(
            CommandSample(
                t_mono_ns=t_ns,
                t_ros_ns=ros_ns,
                tick=self._steps,
                source=int(step.source),
                mode=_MODE[step.source].number,
                stage=int(_stage(step)),
                epoch=self._epoch,
                episode_id=self._about.name,
                chunk_id=0,
                chunk_step=-1,
                target=action,
                sent=action,
                limited=np.zeros(self._dim, np.uint8),
                operator=action if human and step.action is not None else None,
            )
        )
        self._steps += 1
        if self._steps % max(round(self._about.hz), 1) == 0:
            self._recorder.flush()

    def _change(self, step: ForeignStep, t_ns: int) -> None:
        """The events of a change of controller or stage, just before the step."""
        now, last = (step.source, _stage(step)), self._last
        if now == last:
            return
        self._last = now
        if last is None or last[0] is not step.source:
            self._epoch += 1
            mode = _MODE[step.source]
            self._event(t_ns, "mode", {"mode": mode.number, "epoch": self._epoch, "event": "import"})
        if step.source is Source.OPERATOR and now[1] is Stage.RECOVERY:
            self._event(t_ns, Event.MARK_PROGRESS.value, {"accepted": True, "epoch": self._epoch, "payload": ""})

    def _event(self, t_ns: int, name: str, details: dict[str, Any]) -> None:
        before_ns = t_ns - 1
        self._recorder.feed(EventSample(before_ns, before_ns + self._ros_offset_ns, name, self._device, details))

    def close(self, outcome: Outcome, by: str) -> Path:
        """Finish the episode and return its folder."""
        t_ns = START_NS + round(max(self._steps - 1, 0) * 1e9 / self._about.hz) + self._ros_offset_ns
        labelled = outcome is not Outcome.UNLABELLED
        return self._recorder.close(
            Ending(outcome, by if labelled else "", t_ns if labelled else None, "import"), self._now
        )

    def discard(self) -> None:
        """Leave nothing of an episode that cannot be finished."""
        self._writer.abandon()
        shutil.rmtree(self._writer.path, ignore_errors=True)


@contextmanager
def foreign_recorder(
    session: Path, about: ForeignEpisode, space: JointSpace, now: datetime
) -> Iterator[ForeignRecorder]:
    """A ForeignRecorder whose episode is removed when the source turns out to be damaged half-way."""
    recorder = ForeignRecorder(session, about, space, now)
    try:
        yield recorder
    except BaseException:
        recorder.discard()
        raise


_MODE = {Source.POLICY: Mode.ROLLOUT, Source.OPERATOR: Mode.TAKEOVER, Source.HOLD: Mode.IDLE, Source.STOP: Mode.IDLE}


def _stage(step: ForeignStep) -> Stage:
    """The live mark that fits the controller."""
    if step.source is Source.POLICY:
        return Stage.ROLLOUT
    if step.source is Source.OPERATOR:
        return Stage.ADAPTATION if step.stage is Stage.ADAPTATION else Stage.RECOVERY
    return Stage.NONE


def make_way(session: Path, name: str) -> bool:
    """Whether an episode of this name is still to be written; removes what a killed import left of it.

    Raises:
        RecordingError: something else of this name is open there.
    """
    if (session / f"{name}{SUFFIX}").exists():
        return False
    left = session / f"{name}{OPEN_SUFFIX}"
    if left.exists():
        if "imported" not in read_metadata(left).get("attributes", {}):
            raise RecordingError(f"{left} was left behind by a recorder", "rove episodes recover")
        shutil.rmtree(left)
    return True
