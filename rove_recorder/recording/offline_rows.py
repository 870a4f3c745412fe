"""Rows built again from an episode's streams, by the same resampler that built them live.

Both are the same, but for messages that came later than a row can wait for them: live, such a row holds an older
observation, and `compare_rows` counts it as late.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rove_recorder.checking.flags import Budget
from rove_recorder.reader import ArrayGroup, Episode
from rove_recorder.recording.records import CommandSample, JointSample
from rove_recorder.recording.resampler import Budgets, Resampler, Row

# Observations are fed this much ahead of the commands: rows never lack one, and an hour needs no more memory than this.
AHEAD_NS = 10_000_000_000
# Commands are turned into records so many at a time.
BATCH = 4096

# Columns that follow from observations; the others are copied from the command.
OBSERVED = ("t_obs_ns", "state", "state_velocity", "valid", "policy_index")


def budgets_of(episode: Episode) -> Budgets:
    """How old observations of a valid row were allowed to be when the episode was recorded."""
    budget = Budget.of(episode.attrs)
    camera_s = max((budget.camera_s(camera) for camera in episode.cameras), default=budget.camera_s(""))
    return Budgets(round(budget.state_age_s * 1e9), round(camera_s * 1e9))


def rows_from_streams(
    episode: Episode, control_hz: float | None = None, budgets: Budgets | None = None
) -> Iterator[Row]:
    """The rows of an episode, from its streams, images and chunks.

    Args:
        control_hz: rows per second; as recorded when None.
        budgets: ages of a valid row's observations; as recorded when None.

    Raises:
        EpisodeError: the episode is damaged.
    """
    joints, groups = episode.streams["joint_states"], episode.attrs["joint_groups"]
    resampler = Resampler(
        control_hz or episode.control_hz,
        len(episode.attrs["joint_names"]),
        len(groups),
        episode.cameras,
        budgets or budgets_of(episode),
        history=None,
    )
    chunks = episode.chunks
    for number, index in zip(chunks["chunk_id"].tolist(), chunks["policy_index"].tolist(), strict=True):
        resampler.chunk(number, index)
    samples = _joint_samples(joints)
    sample = next(samples, None)
    captures = {camera: episode.frames(camera).capture_ns.tolist() for camera in episode.cameras}
    fed = dict.fromkeys(captures, 0)
    for index, command in enumerate(_commands(episode)):
        until_ns = command.t_ros_ns + AHEAD_NS
        while sample is not None and sample.t_ros_ns <= until_ns:
            resampler.joint_state(sample)
            sample = next(samples, None)
        for camera, times in captures.items():
            while fed[camera] < len(times) and times[fed[camera]] <= until_ns:
                resampler.frame(camera, times[fed[camera]], fed[camera])
                fed[camera] += 1
        yield from resampler.command(index, command)
    yield from resampler.finish()


def _joint_samples(joints: ArrayGroup) -> Iterator[JointSample]:
    for start in range(0, joints.records, BATCH):
        stop = min(start + BATCH, joints.records)
        stamps = (joints.rows_of(name, start, stop).tolist() for name in ("t_ros_ns", "receive_ns"))
        values = (joints.rows_of(name, start, stop) for name in ("position", "velocity"))
        yield from map(JointSample, *stamps, *values)


def _commands(episode: Episode) -> Iterator[CommandSample]:
    """The stream of commands as the recorder got it."""
    group, episode_id = episode.streams["commands"], episode.episode_id
    for start in range(0, group.records, BATCH):
        batch = {name: group.rows_of(name, start, min(start + BATCH, group.records)) for name in group}
        # Python's own numbers, converted together: one by one would take most of the time.
        plain = {name: values.tolist() for name, values in batch.items() if values.ndim == 1}
        said: dict[str, list[bool]] = {
            name: np.asarray(np.isfinite(batch[name]).any(axis=1)).tolist() for name in ("policy", "operator")
        }
        shares = batch.get("operator_authority")
        for row, (t_mono_ns, t_ros_ns) in enumerate(zip(plain["t_mono_ns"], plain["t_ros_ns"], strict=True)):
            yield CommandSample(
                t_mono_ns=t_mono_ns,
                t_ros_ns=t_ros_ns,
                tick=plain["tick"][row],
                source=plain["source"][row],
                mode=plain["mode"][row],
                stage=plain["stage"][row],
                epoch=plain["epoch"][row],
                episode_id=episode_id,
                chunk_id=plain["chunk_id"][row],
                chunk_step=plain["chunk_step"][row],
                target=batch["target"][row],
                sent=batch["sent"][row],
                limited=batch["limited"][row],
                operator=batch["operator"][row] if said["operator"][row] else None,
                policy=batch["policy"][row] if said["policy"][row] else None,
                authority=None if shares is None else shares[row],
            )


@dataclass(frozen=True, slots=True)
class RowDifferences:
    """Recorded rows against those from the streams.

    Attributes:
        rows, offline_rows: how many there are. A recovered episode may lack its last rows.
        late: rows whose newer observation came after the row could wait for it.
        different: column -> rows that differ for another reason.
    """

    rows: int
    offline_rows: int
    late: int
    different: dict[str, int] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether lateness explains every difference."""
        return not self.different and self.rows <= self.offline_rows


def compare_rows(episode: Episode) -> RowDifferences:
    """Build the rows again and compare every column. Raises EpisodeError."""
    nothing = np.full(len(episode.attrs["joint_names"]), np.nan, np.float32)
    rebuilt = [row.columns(nothing) for row in rows_from_streams(episode)]
    count = min(len(rebuilt), episode.rows)
    differs: dict[str, npt.NDArray[np.bool_]] = {}
    for name in episode.steps:
        recorded = episode.steps[name][:count]
        again = np.array([row[name] for row in rebuilt[:count]], recorded.dtype).reshape(recorded.shape)
        same = recorded == again
        if recorded.dtype.kind == "f":
            same |= np.isnan(recorded) & np.isnan(again)
        differs[name] = ~same.all(axis=tuple(range(1, same.ndim)))
    late = _late(episode, differs, rebuilt[:count])
    observed = [name for name in differs if name in OBSERVED or name.startswith("camera_")]
    any_late = np.zeros(count, bool)
    for name in observed:
        any_late |= differs[name] & late
        differs[name] &= ~late
    different = {name: int(rows.sum()) for name, rows in differs.items() if rows.any()}
    return RowDifferences(episode.rows, len(rebuilt), int(any_late.sum()), different)


def _late(
    episode: Episode, differs: dict[str, npt.NDArray[np.bool_]], rebuilt: list[dict[str, object]]
) -> npt.NDArray[np.bool_]:
    """Rows for which something newer than what they hold was received after the row could wait for it."""
    steps, chunks = episode.steps, episode.chunks
    deadline = steps["t_ros_ns"][: len(rebuilt)] + Budgets().settle_ns
    joints = episode.streams["joint_states"]
    late = np.zeros(len(rebuilt), bool)
    for row in np.flatnonzero(differs["t_obs_ns"]):
        first_newer = np.searchsorted(joints["t_ros_ns"], steps["t_obs_ns"][row], side="right")
        late[row] |= bool(joints["receive_ns"][first_newer] >= deadline[row])
    for camera in episode.cameras:
        receive = episode.group(f"cameras/{camera}")["receive_ns"]
        for row in np.flatnonzero(differs[f"camera_index_{camera}"]):
            late[row] |= bool(receive[steps[f"camera_index_{camera}"][row] + 1] >= deadline[row])
    received = dict(zip(chunks["chunk_id"].tolist(), chunks["receive_ns"].tolist(), strict=True))
    for row in np.flatnonzero(differs["policy_index"]):
        late[row] |= received.get(int(steps["chunk_id"][row]), 0) >= deadline[row]
    return late
