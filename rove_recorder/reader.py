"""Reading episodes: lazily, without ROS, finished ones and ones that are still being written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError, nearest
from rove_core.modes import Source, Stage
from rove_recorder.annotations import (
    Annotation,
    EpisodeOutcome,
    MarkTime,
    marks_in_force,
    outcome_of,
    read_annotations,
)
from rove_recorder.schema import FORMAT, OPEN_SUFFIX, SCHEMA_VERSION, SUFFIX, Layout
from rove_recorder.segmenter import (
    ProgressMark,
    StageSpan,
    marks_of_takeovers,
    neighbours,
    progress_marks,
    segment,
)
from rove_recorder.storage import AnyArray, ArrayFolder, array_rows, read_metadata, records_on_disk

# How many records each group keeps, written before an episode is sealed; only in folders that are still open.
SEALING = "sealing.json"


def open_episode(path: str | Path) -> Episode:
    """Open an episode folder, finished (`.zarr`) or still open (`.zarr.open`).

    Raises:
        EpisodeError: no episode there, another schema version, or damaged metadata.
    """
    return Episode(Path(path))


class ArrayGroup(Mapping[str, AnyArray]):
    """The arrays of a group as a mapping; each is loaded when it is first asked for, and kept."""

    def __init__(self, folder: Path, finished: bool, records: int | None = None) -> None:
        self.folder = folder
        names = sorted(path.parent.name for path in folder.glob("*/zarr.json"))
        nodes = {name: folder / name for name in names if read_metadata(folder / name).get("node_type") == "array"}
        self.arrays = {name: ArrayFolder(node) for name, node in nodes.items()}
        self._loaded: dict[str, AnyArray] = {}
        if finished:
            rows = [array.rows for array in self.arrays.values() if array.layout is Layout.ROW]
            self.records = rows[0] if rows else 0
        else:
            self.records = records_on_disk(self.arrays) if records is None else records
            for array in self.arrays.values():
                array.rows = array_rows(array, self.arrays, self.records)

    def __getitem__(self, name: str) -> AnyArray:
        if name not in self._loaded:
            self._loaded[name] = self.rows_of(name, 0, self._array(name).rows)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def rows_of(self, name: str, start: int, stop: int) -> AnyArray:
        """Rows [start, stop) of an array, read from disk and not kept.

        Raises:
            EpisodeError: no such array, or a damaged one.
        """
        array = self._array(name)
        if array.plain:
            return array.read(start, stop)
        # Somebody rewrote the episode with a compressor: any zarr v3 array is as good.
        import zarr

        return np.asarray(zarr.open_array(array.folder, mode="r")[start:stop])

    def record(self, name: str, index: int) -> AnyArray:
        """Record `index` of a ragged array."""
        start, stop = (int(bound) for bound in self[self._array(name).offsets][index : index + 2])
        return self.rows_of(name, start, stop)

    def _array(self, name: str) -> ArrayFolder:
        try:
            return self.arrays[name]
        except KeyError:
            raise EpisodeError(f"{self.folder} has no array '{name}'", nearest(name, self.arrays)) from None


class Frames(Sequence[npt.NDArray[np.uint8]]):
    """The images of one camera, decoded when asked for: (height, width, 3) uint8 RGB."""

    def __init__(self, group: ArrayGroup) -> None:
        self._group = group

    def __len__(self) -> int:
        return self._group.records

    @overload
    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, index: slice) -> list[npt.NDArray[np.uint8]]: ...
    def __getitem__(self, index: int | slice) -> npt.NDArray[np.uint8] | list[npt.NDArray[np.uint8]]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        image = cv2.imdecode(np.frombuffer(self.jpeg(index), np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise EpisodeError(f"{self._group.folder}: image {index} is not a JPEG")
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def jpeg(self, index: int) -> bytes:
        """Image `index` as it was stored."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        return self._group.record("jpeg", index % len(self)).tobytes()

    @property
    def capture_ns(self) -> npt.NDArray[np.int64]:
        """Capture times [ns, ROS clock], shape (n,)."""
        return self._group["capture_ns"]

    @property
    def attributes(self) -> dict[str, Any]:
        """What is known of the camera: width, height, K ..."""
        return dict(read_metadata(self._group.folder).get("attributes", {}))


class TrainingView:
    """The rows that a trainer may learn from: pauses, alignments and holds are left out.

    Attributes:
        rows: their indices, shape (m,).
    """

    def __init__(self, episode: Episode, valid_only: bool = False) -> None:
        steps = episode.steps
        control = steps["control"]
        moved = (control == Source.POLICY) | (control == Source.OPERATOR)
        keep = moved & (steps["stage"] != Stage.NONE)
        if valid_only:
            keep &= steps["valid"]
        self.rows: npt.NDArray[np.intp] = np.flatnonzero(keep)
        follows = neighbours(steps["t_mono_ns"], episode.control_hz) & (np.diff(steps["segment_id"]) == 0)
        # run[i]: how many rows from i on are kept, contiguous and of one segment.
        run = np.zeros(len(keep), np.int64)
        for row in range(len(keep) - 1, -1, -1):
            if keep[row]:
                run[row] = 1 + (run[row + 1] if row + 1 < len(keep) and follows[row] else 0)
        self._run = run

    def windows(self, horizon: int) -> npt.NDArray[np.intp]:
        """First rows of the windows of `horizon` rows that cross no pause, segment, gap or end."""
        if horizon < 1:
            raise ValueError(f"horizon {horizon}, expected at least 1")
        return np.flatnonzero(self._run >= horizon)


class Episode:
    """One attempt. Arrays and images are read when they are asked for.

    Attributes:
        path: its folder. finished: whether it was closed or recovered, so that nothing will change any more.
        attrs: the attributes of the episode.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_dir():
            raise EpisodeError(f"no episode at {path}", "an episode is a folder that ends in .zarr")
        self.finished = not path.name.endswith(OPEN_SUFFIX)
        self.attrs: dict[str, Any] = dict(read_metadata(path).get("attributes", {}))
        if self.attrs.get("format") != FORMAT:
            raise EpisodeError(f"{path} is a zarr group but not an episode: attribute 'format' is not '{FORMAT}'")
        version = self.attrs.get("schema_version")
        if version != SCHEMA_VERSION:
            raise EpisodeError(
                f"{path} has schema version {version}, this reader knows {SCHEMA_VERSION}", "update rove_recorder"
            )
        self._plan: dict[str, int] = {}
        if not self.finished and (path / SEALING).is_file():
            self._plan = json.loads((path / SEALING).read_bytes())

    def group(self, path: str) -> ArrayGroup:
        """A group by its path inside the episode, as in "streams/commands".

        Raises:
            EpisodeError: there is none.
        """
        folder = self.path / path
        if not folder.is_dir():
            raise EpisodeError(f"{self.path} has no group '{path}'")
        return ArrayGroup(folder, self.finished, self._plan.get(path))

    @property
    def episode_id(self) -> str:
        """Name of the attempt."""
        return str(self.attrs.get("episode_id", self.path.name.removesuffix(".open").removesuffix(SUFFIX)))

    @property
    def control_hz(self) -> float:
        """Rows per second."""
        return float(self.attrs["control_hz"])

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras."""
        return tuple(self.attrs["cameras"])

    @property
    def rows(self) -> int:
        """How many control steps there are."""
        return self.steps.records

    @cached_property
    def steps(self) -> ArrayGroup:
        """One row per control step."""
        return self.group("steps")

    @cached_property
    def streams(self) -> dict[str, ArrayGroup]:
        """Joint states and commands at native rate."""
        return {name: self.group(f"streams/{name}") for name in ("joint_states", "commands")}

    @cached_property
    def chunks(self) -> ArrayGroup:
        """The policy's chunks. `chunks.record("prediction", i)` is the prediction of chunk i, (horizon, dim)."""
        return self.group("chunks")

    def frames(self, camera: str) -> Frames:
        """The images of a camera.

        Raises:
            EpisodeError: no such camera.
        """
        if camera not in self.cameras:
            raise EpisodeError(f"{self.path} has no camera '{camera}'", nearest(camera, self.cameras))
        return Frames(self.group(f"cameras/{camera}"))

    def events(self) -> list[dict[str, Any]]:
        """Every event in order: `type`, `device`, `t_mono_ns`, `t_ros_ns` and what else is known of it."""
        group = self.group("events")
        offsets, data = group["offsets"], group["json"].tobytes()
        try:
            return [json.loads(data[offsets[i] : offsets[i + 1]]) for i in range(group.records)]
        except ValueError:
            raise EpisodeError(f"{group.folder}: an event is not valid JSON") from None

    @property
    def outcome(self) -> EpisodeOutcome:
        """How the attempt ended, as annotations have it, else as it was recorded.

        Raises:
            EpisodeError: an annotation is damaged.
        """
        return outcome_of(self.attrs["outcome"], self.annotations())

    def annotations(self) -> list[Annotation]:
        """What was said about the attempt afterwards, every version. Raises EpisodeError when one is damaged."""
        return read_annotations(self.path)

    def stages(self, proposals: bool = False) -> list[StageSpan]:
        """The stages of the attempt in order, covering every row, with the marks of `marks`."""
        steps, marks = self.steps, self._mark_times(proposals)
        times = {epoch: mark.t_ros_ns for epoch, mark in marks.items()}
        return segment(steps["mode"], steps["epoch"], steps["t_ros_ns"], times)

    def marks(self, proposals: bool = False) -> list[ProgressMark | None]:
        """t_r of each takeover, None where progress was not marked.

        Args:
            proposals: take computed marks (`rove episodes annotate --propose`) where nobody marked progress.

        Raises:
            EpisodeError: an annotation is damaged.
        """
        marks = self._mark_times(proposals)
        times = {epoch: mark.t_ros_ns for epoch, mark in marks.items()}
        sources = {epoch: mark.source for epoch, mark in marks.items()}
        return marks_of_takeovers(self.stages(proposals), times, sources)

    def _mark_times(self, proposals: bool) -> dict[int, MarkTime]:
        return marks_in_force(progress_marks(self.events()), self.annotations(), proposals)

    def training_view(self, valid_only: bool = False) -> TrainingView:
        """The rows to learn from; `valid_only` also leaves out those with stale observations."""
        return TrainingView(self, valid_only)
