"""Attempts as a LeRobot dataset: tables in parquet, one video image per row. docs/reference/other-formats.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rove_core import __version__
from rove_core.errors import EpisodeError
from rove_core.modes import Mode, Source, Stage
from rove_recorder.formats.lerobot_columns import (
    IMAGES,
    Place,
    columns_of,
    episode_facts,
    table_features,
    video_features,
)
from rove_recorder.formats.lerobot_statistics import (
    Aggregate,
    FeatureStatistics,
    ImageStatistics,
    feature_statistics,
)
from rove_recorder.formats.lerobot_v21 import FilesV21
from rove_recorder.formats.lerobot_v30 import FilesV30
from rove_recorder.formats.options import LeRobotVersion, Options, Report
from rove_recorder.formats.parts import Attempt, Part, Shape, nothing_to_convert, parts_of, picture, shape_of, usable
from rove_recorder.formats.work_folder import WorkFolder
from rove_recorder.reader import Episode, open_episode

# LeRobot's timestamps are float32: later ones are further from their images than the .1 ms that its loader allows.
MAX_EPISODE_S = 2048

_FILES: dict[LeRobotVersion, type[FilesV30 | FilesV21]] = {
    LeRobotVersion.V3_0: FilesV30,
    LeRobotVersion.V2_1: FilesV21,
}


def write(episodes: Sequence[Path], out: Path, options: Options) -> Report:
    """Convert finished episodes, in the order given, into the dataset `out`.

    Every video is decoded again and compared with its rows before the dataset appears. Memory does not grow with
    the number of attempts.

    Raises:
        EpisodeError: `out` exists, nothing can be converted, attempts do not fit together, or one is damaged.
    """
    skipped: list[tuple[Path, str]] = []
    with WorkFolder(out) as folder, ExitStack() as stack:
        dataset: _Dataset | None = None
        for path in episodes:
            attempt = Attempt(open_episode(path))
            why = usable(attempt, options, dataset.shape if dataset else None)
            if why:
                skipped.append((path, why))
                continue
            if dataset is None:
                dataset = stack.enter_context(_Dataset(folder.path, attempt.episode, options))
            dataset.add(attempt)
        if dataset is None:
            raise nothing_to_convert(skipped)
        dataset.finish()
        folder.publish()
    return Report(out, dataset.attempts, dataset.episodes, dataset.rows, dataset.left_out, tuple(skipped))


class _Dataset:
    """A dataset in the making, shaped like its first attempt."""

    def __init__(self, root: Path, first: Episode, options: Options) -> None:
        self.shape = shape_of(first, options)
        if not self.shape.control_hz.is_integer():
            raise EpisodeError(
                f"{first.path}: {self.shape.control_hz} rows per second, LeRobot wants a whole number",
                "this attempt cannot become a LeRobot dataset",
            )
        self.attempts = self.episodes = self.rows = self.left_out = 0
        self._root, self._options = root, options
        self._fps = int(self.shape.control_hz)
        self._tasks: list[str] = []
        self._all = Aggregate()
        self._about = _about(first, options)
        sizes = {IMAGES + camera: size for camera, size in self.shape.cameras.items()}
        self._files = _FILES[options.version](root, sizes, self._fps)
        self._pool = ThreadPoolExecutor(max(len(sizes), 1), "camera")

    def add(self, attempt: Attempt) -> None:
        """Every part of an attempt."""
        attrs = attempt.episode.attrs
        task = str(attrs["instruction"] or attrs["task"])
        if task not in self._tasks:
            self._tasks.append(task)
        used = 0
        for part in parts_of(attempt, self._options):
            self._add_part(attempt, part, self._tasks.index(task))
            used += len(part.rows)
        self.attempts += 1
        self.left_out += attempt.episode.rows - used

    def _add_part(self, attempt: Attempt, part: Part, task_index: int) -> None:
        if self.shape.cameras and len(part.rows) > MAX_EPISODE_S * self._fps:
            raise EpisodeError(
                f"{attempt.episode.path}: {len(part.rows) / self._fps / 60:.0f} minutes in one LeRobot episode, "
                f"its loader finds images only up to {MAX_EPISODE_S / 60:.0f}",
                "convert with pauses=split, or with images=false",
            )
        columns = columns_of(attempt, part, Place(self.episodes, self.rows, task_index), self._fps)
        # The encoder and the JPEG decoder leave the interpreter alone: cameras go side by side.
        jobs = {
            IMAGES + camera: self._pool.submit(self._images, attempt.episode, part, camera)
            for camera in self.shape.cameras
        }
        statistics = {name: feature_statistics(values) for name, values in columns.items()}
        statistics |= {key: job.result() for key, job in jobs.items()}
        facts = {
            "episode_index": self.episodes,
            "tasks": [self._tasks[task_index]],
            "length": len(part.rows),
            **episode_facts(attempt, part),
        }
        self._files.add(columns, facts, statistics)
        self._all.add(statistics)
        self.episodes += 1
        self.rows += len(part.rows)

    def _images(self, episode: Episode, part: Part, camera: str) -> FeatureStatistics:
        video = self._files.video(IMAGES + camera, self.episodes)
        frames = episode.frames(camera)
        statistics = ImageStatistics()
        for index in episode.steps[f"camera_index_{camera}"][part.rows].tolist():
            image = picture(frames, index, self.shape.cameras[camera])
            video.add(image)
            statistics.add(image)
        return statistics.result()

    def finish(self) -> None:
        """Complete the files, and describe them."""
        info = {
            "robot_type": self.shape.robot,
            "total_episodes": self.episodes,
            "total_frames": self.rows,
            "total_tasks": len(self._tasks),
            "fps": self._fps,
            "splits": {"train": f"0:{self.episodes}"},
            "features": table_features(self.shape) | video_features(self.shape, self._fps),
        }
        self._files.finish(info, self._tasks, self._all.statistics)
        meta = self._root / "meta"
        (meta / "hil.json").write_text(json.dumps(self._about, indent=4), encoding="utf-8")
        (meta / "modality.json").write_text(json.dumps(_modality(self._about, self.shape), indent=4), encoding="utf-8")

    def __enter__(self) -> _Dataset:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        self._files.__exit__()


def _about(episode: Episode, options: Options) -> dict[str, Any]:
    """What LeRobot has no place for: how it was converted, the robot, the cameras, what the numbers mean."""
    attrs = episode.attrs
    return {
        "options": options.model_dump(mode="json"),
        "robot": attrs["robot"],
        "joint_groups": attrs["joint_groups"],
        "joint_limits": attrs["joint_limits"],
        "cameras": {camera: episode.frames(camera).attributes for camera in episode.cameras},
        "software": {"rove": __version__},
        "hil.control": {source.name.lower(): int(source) for source in Source},
        "hil.mode": {mode.value.lower(): mode.number for mode in Mode},
        "hil.stage": {stage.name.lower(): int(stage) for stage in Stage},
    }


def _modality(about: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """`meta/modality.json` of Isaac GR00T: which joints are which group, and what the cameras are called."""
    groups = {name: {"start": start, "end": stop} for name, (start, stop) in about["joint_groups"].items()}
    return {
        "state": groups,
        "action": groups,
        "video": {camera: {"original_key": IMAGES + camera} for camera in shape.cameras},
        "annotation": {"human.task_description": {"original_key": "task_index"}},
    }
