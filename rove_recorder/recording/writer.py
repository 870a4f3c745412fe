"""Writing one episode: records in, appended to disk in batches, sealed at the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from rove_core import __version__
from rove_core.errors import RecordingError
from rove_core.joint_space import JointSpace
from rove_core.modes import Outcome
from rove_recorder.episode_format.appending import GroupWriter
from rove_recorder.episode_format.hashes import FileHash
from rove_recorder.episode_format.schema import (
    CLOCKS,
    FORMAT,
    OPEN_SUFFIX,
    SCHEMA_VERSION,
    SUFFIX,
    episode_groups,
    robot_attributes,
)
from rove_recorder.episode_format.storage import METADATA, PARTIAL, chunk_path, group_metadata, sync_folder
from rove_recorder.recording.records import (
    CameraModel,
    ChunkSample,
    CommandSample,
    EpisodeInfo,
    EventSample,
    JointSample,
)
from rove_recorder.recording.recovery import seal_episode
from rove_recorder.recording.resampler import Row


def iso_time(t: datetime) -> str:
    """Wall time for attributes."""
    return t.astimezone(UTC).isoformat(timespec="milliseconds")


class EpisodeWriter:
    """One open episode on disk. Not thread-safe: one thread writes.

    What was given to it is safe from a kill after the next `flush`.

    Args:
        session: folder of the session, which must exist.
        info: what is known of the attempt.
        space: joints of the robot.
        cameras: name -> what is known of the camera.
        now: wall time.
        extra: more attributes.
        folder_name: of the episode, when it is not its id.

    Raises:
        RecordingError: an episode of this name exists, or the disk refuses.
    """

    def __init__(
        self,
        session: Path,
        info: EpisodeInfo,
        space: JointSpace,
        cameras: Mapping[str, CameraModel],
        control_hz: float,
        now: datetime,
        extra: Mapping[str, Any] | None = None,
        folder_name: str = "",
    ) -> None:
        self.info = info
        name = folder_name or info.episode_id
        self.path = session / f"{name}{OPEN_SUFFIX}"
        self.finished_path = session / f"{name}{SUFFIX}"
        self._nothing = np.full(space.dim, np.nan, np.float32)
        if self.path.exists() or self.finished_path.exists():
            raise RecordingError(f"episode {name} exists already in {session}", "use another session folder")
        attributes = {
            **_opening_attributes(session, info, space, control_hz, now),
            "cameras": list(cameras),
            **(extra or {}),
        }
        groups = episode_groups(
            space.dim, len(space.groups), {name: camera.attributes() for name, camera in cameras.items()}
        )
        # Built beside and renamed: an open episode that recovery finds has all of its metadata.
        building = self.path.with_name(self.path.name + PARTIAL)
        try:
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir()
            (building / METADATA).write_bytes(group_metadata(attributes))
            self._joint_groups = len(space.groups)
            self._groups = {group.path: GroupWriter(building, group) for group in groups}
            building.rename(self.path)
            for group in self._groups.values():
                group.moved_to(self.path)
            sync_folder(session)
        except OSError as error:
            raise RecordingError(f"cannot create {self.path}: {error.strerror}", "free or mount the disk") from None
        self._steps, self._chunks, self._events = (self._groups[name] for name in ("steps", "chunks", "events"))
        self._joints, self._commands = self._groups["streams/joint_states"], self._groups["streams/commands"]

    def joint_state(self, sample: JointSample) -> None:
        """A measured state of the joints."""
        self._joints.add(
            {
                "t_ros_ns": sample.t_ros_ns,
                "receive_ns": sample.receive_ns,
                "position": sample.position,
                "velocity": sample.velocity,
            }
        )

    def command(self, sample: CommandSample) -> int:
        """A tick of the filter; returns its index in the stream."""
        return self._commands.add(
            {
                "t_mono_ns": sample.t_mono_ns,
                "t_ros_ns": sample.t_ros_ns,
                "tick": sample.tick,
                "source": sample.source,
                "mode": sample.mode,
                "stage": sample.stage,
                "epoch": sample.epoch,
                "chunk_id": sample.chunk_id,
                "chunk_step": sample.chunk_step,
                "step_us": sample.step_us,
                "target": sample.target,
                "sent": sample.sent,
                "limited": sample.limited,
                "policy": self._nothing if sample.policy is None else sample.policy,
                "operator": self._nothing if sample.operator is None else sample.operator,
                "operator_authority": sample.operator_authority(self._joint_groups),
            }
        )

    def frame(self, camera: str, jpeg: bytes, capture_ns: int, receive_ns: int) -> int:
        """An image; returns its index."""
        group = self._groups[f"cameras/{camera}"]
        record = {"jpeg": jpeg, "capture_ns": capture_ns, "receive_ns": receive_ns, "sequence": group.records}
        return group.add(record)

    def chunk(self, sample: ChunkSample) -> None:
        """A chunk of the policy."""
        info = {
            "policy_id": sample.policy_id,
            "condition": sample.condition,
            "backend": sample.backend,
            "decoder": sample.decoder,
            "join": sample.join,
        }
        nothing = sample.prediction[:0]
        self._chunks.add(
            {
                "chunk_id": sample.chunk_id,
                "epoch": sample.epoch,
                "t_observation_ns": sample.t_observation_ns,
                "t_request_ns": sample.t_request_ns,
                "t_ready_ns": sample.t_ready_ns,
                "receive_ns": sample.receive_ns,
                "dt_s": sample.dt_s,
                "execute": sample.execute,
                "policy_index": sample.policy_index,
                "cfg_beta": sample.cfg_beta,
                "seed": sample.seed,
                "inference_ms": sample.inference_ms,
                "decoder_steps": sample.decoder_steps,
                "frozen": sample.frozen,
                "skipped": sample.skipped,
                "clipped": sample.clipped,
                "round_trip_ms": sample.round_trip_ms,
                "prediction": sample.prediction,
                "base": nothing if sample.base is None else sample.base,
                "residual": nothing if sample.residual is None else sample.residual,
                "gate": nothing[:, 0] if sample.gate is None else sample.gate,
                "info_json": json.dumps(info).encode(),
            }
        )

    def event(self, event: EventSample) -> None:
        """Something that happened."""
        times = {"t_mono_ns": event.t_mono_ns, "t_ros_ns": event.t_ros_ns}
        text = json.dumps({**times, "type": event.type, "device": event.device, **event.details})
        self._events.add({**times, "json": text.encode()})

    def row(self, row: Row) -> None:
        """A control step."""
        self._steps.add(row.columns(self._nothing))

    @property
    def rows(self) -> int:
        """Control steps so far."""
        return self._steps.records

    @property
    def frames(self) -> int:
        """Images so far, of all cameras."""
        return sum(group.records for path, group in self._groups.items() if path.startswith("cameras/"))

    @property
    def bytes_written(self) -> int:
        """What is on the disk of it so far [bytes]."""
        return sum(group.bytes_written for group in self._groups.values())

    def flush(self) -> None:
        """Append everything to the disk, what rows refer to before the rows.

        Raises:
            RecordingError: the disk is full or not writable.
        """
        try:
            for path, group in self._groups.items():
                if path != "steps":
                    group.flush()
            self._steps.flush()
        except OSError as error:
            raise RecordingError(
                f"cannot write to {self.path}: {error.strerror}", "free space on the disk, or check that it is mounted"
            ) from None

    def close(self, outcome: Outcome, by: str, t_ros_ns: int | None, now: datetime, ended_by: str = "") -> Path:
        """Write what is buffered and finish the episode.

        Args:
            outcome: how it ended, `by` whom and at which time on the ROS clock.
            ended_by: what ended it: an event's name, "shutdown", "recording_fault" ...

        Returns:
            The finished episode.

        Raises:
            RecordingError: the disk refuses; the episode stays open on disk and can be recovered.
        """
        full: RecordingError | None = None
        try:
            self.flush()
        except RecordingError as error:
            full = error  # what was written until then is kept
        self.abandon()
        labelled = iso_time(now) if outcome is not Outcome.UNLABELLED else None
        ending = {
            "outcome": {"value": outcome.value, "by": by, "when": labelled, "t_ros_ns": t_ros_ns},
            "ended_by": ended_by or ("recording_fault" if full else ""),
            "recovered": False,
            "closed_wall": iso_time(now),
        }
        try:
            return seal_episode(self.path, ending, self._full_chunks())
        except OSError as error:
            reason = full or f"cannot finish {self.path}: {error.strerror}"
            raise RecordingError(
                str(reason), "free space on the disk; the episode is kept and can be recovered"
            ) from None

    def _full_chunks(self) -> dict[str, FileHash]:
        """Hashes of the chunk files that are complete, so that finishing a long episode does not read it again."""
        return {
            chunk_path(PurePosixPath(path, spec.name), index, spec.tail).as_posix(): FileHash(
                spec.chunk_rows * spec.row_bytes, digest
            )
            for path, group in self._groups.items()
            for spec, digests in group.full_chunks()
            for index, digest in enumerate(digests)
        }

    def abandon(self) -> None:
        """Close the files and leave the episode open on disk."""
        for group in self._groups.values():
            group.close()


def _opening_attributes(
    session: Path, info: EpisodeInfo, space: JointSpace, control_hz: float, now: datetime
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "episode_id": info.episode_id,
        "session": session.name,
        "task": info.task,
        "instruction": info.instruction,
        "start_stage": info.start_stage,
        "operator": info.operator,
        "supervisor": info.supervisor,
        "demonstration": info.demonstration,
        "session_metadata": dict(info.metadata),
        "takeover": {"way": info.takeover_way, "groups": list(info.operator_groups)},
        "embodiment": "robot",
        "has_action": True,
        **robot_attributes(space),
        "control_hz": control_hz,
        "clocks": CLOCKS,
        "calibration": {},
        "software": {"rove": __version__},
        "opened_wall": iso_time(now),
        "outcome": {"value": Outcome.UNLABELLED.value, "by": "", "when": None, "t_ros_ns": None},
        "committed": False,
        "recovered": False,
    }
