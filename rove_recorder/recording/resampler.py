"""From streams at their own rates to one row per control step. The same object works live and offline."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from rove_core.modes import Mode, Source
from rove_recorder.episode_format.segmenter import GAP_PERIODS
from rove_recorder.recording.records import CommandSample, FloatArray, JointSample

BAD_INPUT = 16  # bit of rove_msgs/CommandTrace.limited

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Budgets:
    """How old an observation may be in a row that still counts as valid.

    Attributes:
        state_ns: age of the joint state. camera_ns: age of each camera's image.
        settle_ns: how late a message may arrive; a row waits this long for them.
    """

    state_ns: int = 50_000_000
    camera_ns: int = 150_000_000
    settle_ns: int = 250_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One control step, the columns of `steps/`."""

    t_mono_ns: int
    t_ros_ns: int
    t_obs_ns: int
    state: FloatArray
    state_velocity: FloatArray
    command: CommandSample
    command_index: int
    operator_authority: npt.NDArray[np.float32]
    segment_id: int
    policy_index: int
    valid: bool
    cameras: Mapping[str, tuple[int, int]]  # name -> (index, age [ns])

    def columns(self, nothing: npt.NDArray[np.float32]) -> dict[str, object]:
        """As a record of the steps group; `nothing` stands for a command that was not given."""
        command = self.command
        columns: dict[str, object] = {
            "t_mono_ns": self.t_mono_ns,
            "t_ros_ns": self.t_ros_ns,
            "t_obs_ns": self.t_obs_ns,
            "state": self.state,
            "state_velocity": self.state_velocity,
            "command_policy": nothing if command.policy is None else command.policy,
            "command_operator": nothing if command.operator is None else command.operator,
            "command_target": command.target,
            "command_sent": command.sent,
            "limited": command.limited,
            "mode": command.mode,
            "control": command.source,
            "control_group_mask": _mask(self.operator_authority),
            "operator_authority": self.operator_authority,
            "stage": command.stage,
            "segment_id": self.segment_id,
            "epoch": command.epoch,
            "chunk_id": command.chunk_id,
            "chunk_step": command.chunk_step,
            "policy_index": self.policy_index,
            "command_index": self.command_index,
            "valid": self.valid,
        }
        for camera, (index, age_ns) in self.cameras.items():
            columns[f"camera_index_{camera}"] = index
            columns[f"camera_age_ns_{camera}"] = age_ns
        return columns


def _mask(authority: npt.NDArray[np.float32]) -> int:
    """Bit g: joint group g followed the operator, wholly or in part."""
    return int(sum(1 << group for group, share in enumerate(authority) if share > 0))


class _Newest(Generic[T]):
    """The newest sample at or before a time that only moves forward.

    A sample that is not newer than the last one is ignored. At the limit the oldest sample is forgotten.
    """

    def __init__(self, limit: int | None) -> None:
        self._samples: deque[tuple[int, T]] = deque(maxlen=limit)

    def add(self, t_ns: int, sample: T) -> None:
        if not self._samples or t_ns > self._samples[-1][0]:
            self._samples.append((t_ns, sample))

    def at(self, t_ns: int) -> tuple[int, T] | None:
        samples = self._samples
        while len(samples) > 1 and samples[1][0] <= t_ns:
            samples.popleft()
        return samples[0] if samples and samples[0][0] <= t_ns else None


class Resampler:
    """Builds rows on a grid of the control clock that starts at the first command.

    The row of grid time t exists when the filter sent a command in [t, t + period): the first of those is its
    command, so an action is never earlier than its observation and is exactly what the driver got. State and
    images are the newest captured at or before t. A row is given out `settle_ns` after t, when late
    messages have arrived.

    First sample: the grid starts at it. A filter that was dead leaves no rows, a gap. A command whose time
    does not move forward is ignored and counted in `out_of_order`.

    Attributes:
        period_ns: between two grid times.

    Args:
        history: how many samples per stream to keep while no commands come; None keeps all.
    """

    def __init__(
        self,
        control_hz: float,
        dim: int,
        groups: int,
        cameras: Sequence[str],
        budgets: Budgets | None = None,
        history: int | None = 1000,
    ) -> None:
        self.out_of_order = 0
        self._budgets = budgets or Budgets()
        self.period_ns = 1e9 / control_hz
        self._groups = groups
        self._joints: _Newest[JointSample] = _Newest(history)
        self._frames: dict[str, _Newest[int]] = {camera: _Newest(history) for camera in cameras}
        self._policy_index: dict[int, int] = {}
        self._pending: deque[tuple[int, int, int, CommandSample]] = deque()
        self._start_ns: int | None = None
        self._last_ns = 0
        self._last_step = -1
        self._last_row: Row | None = None
        self._no_state = np.full(dim, np.nan)

    def joint_state(self, sample: JointSample) -> None:
        """A measured state."""
        self._joints.add(sample.t_ros_ns, sample)

    def frame(self, camera: str, capture_ns: int, index: int) -> None:
        """Image `index` of a camera, captured at `capture_ns` [ROS clock]."""
        self._frames[camera].add(capture_ns, index)

    def chunk(self, chunk_id: int, policy_index: int) -> None:
        """A chunk came from a policy of this training iteration."""
        self._policy_index[chunk_id] = policy_index

    def command(self, index: int, sample: CommandSample) -> list[Row]:
        """Command `index` of the stream; returns the rows that are complete now."""
        if self._start_ns is None:
            self._start_ns = sample.t_mono_ns
        elif sample.t_mono_ns <= self._last_ns:
            self.out_of_order += 1
            return []
        self._last_ns = sample.t_mono_ns
        step = self._step_at(sample.t_mono_ns)
        if step > self._last_step:
            self._last_step = step
            t_mono_ns = self._grid_ns(step)
            t_ros_ns = sample.t_ros_ns - (sample.t_mono_ns - t_mono_ns)
            self._pending.append((t_mono_ns, t_ros_ns, index, sample))
        return self._ready(sample.t_mono_ns - self._budgets.settle_ns)

    def finish(self) -> list[Row]:
        """The rows that still wait for late messages; call it when no more will come."""
        return self._ready(self._last_ns)

    def _grid_ns(self, step: int) -> int:
        return (self._start_ns or 0) + round(step * self.period_ns)

    def _step_at(self, t_ns: int) -> int:
        # The grid is rounded to whole nanoseconds: correct the estimate by at most one step.
        step = math.floor((t_ns - (self._start_ns or 0)) / self.period_ns)
        return step + 1 if self._grid_ns(step + 1) <= t_ns else step

    def _ready(self, until_ns: int) -> list[Row]:
        rows = []
        while self._pending and self._pending[0][0] <= until_ns:
            rows.append(self._row(*self._pending.popleft()))
        return rows

    def _row(self, t_mono_ns: int, t_ros_ns: int, index: int, command: CommandSample) -> Row:
        joints = self._joints.at(t_ros_ns)
        valid = joints is not None and t_ros_ns - joints[0] <= self._budgets.state_ns
        cameras = {}
        for name, frames in self._frames.items():
            frame = frames.at(t_ros_ns)
            cameras[name] = (frame[1], t_ros_ns - frame[0]) if frame else (-1, -1)
            valid = valid and frame is not None and t_ros_ns - frame[0] <= self._budgets.camera_ns
        starved = command.mode == Mode.ROLLOUT.number and command.source != Source.POLICY
        valid = valid and not starved and not bool(np.any(command.limited & BAD_INPUT))
        row = Row(
            t_mono_ns=t_mono_ns,
            t_ros_ns=t_ros_ns,
            t_obs_ns=joints[0] if joints else -1,
            state=joints[1].position if joints else self._no_state,
            state_velocity=joints[1].velocity if joints else self._no_state,
            command=command,
            command_index=index,
            operator_authority=command.operator_authority(self._groups),
            segment_id=self._segment_of(t_mono_ns, command),
            policy_index=self._policy_index.get(command.chunk_id, -1) if command.chunk_id else -1,
            valid=valid,
            cameras=cameras,
        )
        self._last_row = row
        return row

    def _segment_of(self, t_mono_ns: int, command: CommandSample) -> int:
        """A segment ends where the controller or the epoch changes, or where rows are missing."""
        last = self._last_row
        if last is None:
            return 0
        same = (
            last.command.source == command.source
            and last.command.epoch == command.epoch
            and t_mono_ns - last.t_mono_ns <= GAP_PERIODS * self.period_ns
        )
        return last.segment_id if same else last.segment_id + 1
