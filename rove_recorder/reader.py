"""Reading episodes: lazily, without ROS, finished ones and ones that are still being written, here or behind a URL."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError, nearest
from rove_recorder.episode_format.locations import Location, beside_packed, children, local, locate
from rove_recorder.episode_format.schema import FORMAT, OPEN_SUFFIX, SCHEMA_VERSION, SUFFIX, Layout
from rove_recorder.episode_format.segmenter import (
    ProgressMark,
    StageSpan,
    marks_of_takeovers,
    progress_marks,
    segment,
)
from rove_recorder.episode_format.storage import (
    METADATA,
    AnyArray,
    ArrayFolder,
    array_rows,
    read_metadata,
    records_on_disk,
)
from rove_recorder.labels.annotations import (
    Annotation,
    EpisodeOutcome,
    MarkTime,
    marks_in_force,
    outcome_of,
    read_annotations,
)
from rove_recorder.labels.derived import read_derived
from rove_recorder.windows.images import Image, decode_jpeg, jpeg_size
from rove_recorder.windows.training_view import TrainingView, training_view

# How many records each group keeps, written before an episode is sealed; only in folders that are still open.
SEALING = "sealing.json"


def open_episode(path: str | Path) -> Episode:
    """Open an episode.

    Args:
        path: a folder (`.zarr`), also one that is still written to (`.zarr.open`); a packed episode (`.zarr.zip`); or
            the URL of either when it is finished.

    Raises:
        EpisodeError: no episode there, another schema version, damaged metadata, or a server that does not answer.
    """
    return Episode(locate(path), beside_packed(path))


class ArrayGroup(Mapping[str, AnyArray]):
    """The arrays of a group as a mapping; each is loaded when it is first asked for, and kept."""

    def __init__(self, location: Location, finished: bool, records: int | None = None) -> None:
        self.location = location
        self.arrays: dict[str, ArrayFolder] = {}
        for name, data in children(location, METADATA).items():
            metadata = read_metadata(location / name, data)
            if metadata.get("node_type") == "array":
                self.arrays[name] = ArrayFolder(location / name, metadata)
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

    def __contains__(self, name: object) -> bool:
        """Without reading the array, as the one that Mapping makes of `__getitem__` would."""
        return name in self.arrays

    @property
    def folder(self) -> Path:
        """The group's folder on this machine. Raises EpisodeError when it is elsewhere."""
        return local(self.location)

    def rows_of(self, name: str, start: int, stop: int) -> AnyArray:
        """Rows [start, stop) of an array, read from disk and not kept.

        Raises:
            EpisodeError: no such array, or a damaged one.
        """
        return self._array(name).read(start, stop)

    def record(self, name: str, index: int) -> AnyArray:
        """Record `index` of a ragged array."""
        start, stop = (int(bound) for bound in self[self._array(name).offsets][index : index + 2])
        return self.rows_of(name, start, stop)

    def _array(self, name: str) -> ArrayFolder:
        try:
            return self.arrays[name]
        except KeyError:
            raise EpisodeError(f"{self.location} has no array '{name}'", nearest(name, self.arrays)) from None


class Frames(Sequence[Image]):
    """The images of one camera, decoded when asked for: (height, width, 3) uint8 RGB."""

    def __init__(self, group: ArrayGroup) -> None:
        self._group = group

    def __len__(self) -> int:
        return self._group.records

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image]: ...
    def __getitem__(self, index: int | slice) -> Image | list[Image]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return decode_jpeg(self._record(index), f"{self._group.location}: image {index}")

    def jpeg(self, index: int) -> bytes:
        """Image `index` as it was stored."""
        return self._record(index).tobytes()

    def _record(self, index: int) -> AnyArray:
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        return self._group.record("jpeg", index % len(self))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the first image; what is known of the camera when there is none, 0 when nothing is."""
        if not len(self):
            return int(self.attributes.get("height", 0)), int(self.attributes.get("width", 0))
        start, stop = (int(bound) for bound in self._group.rows_of("offsets", 0, 2))
        return jpeg_size(self._group.rows_of("jpeg", start, stop), f"{self._group.location}: image 0")

    @property
    def capture_ns(self) -> npt.NDArray[np.int64]:
        """Capture times [ns, ROS clock], shape (n,)."""
        return self._group["capture_ns"]

    @property
    def attributes(self) -> dict[str, Any]:
        """What is known of the camera: width, height, K ..."""
        return dict(read_metadata(self._group.location).get("attributes", {}))


class Episode:
    """One attempt. Arrays and images are read when they are asked for.

    Attributes:
        location: its folder, here or behind a URL.
        finished: whether it was closed or recovered, so that nothing will change any more.
        attrs: the attributes of the episode.
    """

    def __init__(self, location: Location, beside: Location | None = None) -> None:
        self.location = location
        self._beside = beside
        if not location.is_dir():
            # A web server that lists no folders looks the same, and its annotations would go unseen.
            raise EpisodeError(f"no episode at {location}", "an episode is a folder that ends in .zarr")
        self.finished = not location.name.endswith(OPEN_SUFFIX)
        self.attrs: dict[str, Any] = dict(read_metadata(location).get("attributes", {}))
        if self.attrs.get("format") != FORMAT:
            raise EpisodeError(f"{location} is a zarr group but not an episode: attribute 'format' is not '{FORMAT}'")
        version = self.attrs.get("schema_version")
        if version != SCHEMA_VERSION:
            raise EpisodeError(
                f"{location} has schema version {version}, this reader knows {SCHEMA_VERSION}", "update rove_recorder"
            )
        self._plan: dict[str, int] = {}
        if not self.finished and (self.path / SEALING).is_file():
            self._plan = json.loads((self.path / SEALING).read_bytes())

    def group(self, path: str) -> ArrayGroup:
        """A group by its path inside the episode, as in "streams/commands".

        Raises:
            EpisodeError: there is none.
        """
        folder = self.location / path
        if not folder.is_dir():
            raise EpisodeError(f"{self.location} has no group '{path}'")
        return ArrayGroup(folder, self.finished, self._plan.get(path))

    @property
    def path(self) -> Path:
        """The episode's folder on this machine. Raises EpisodeError when it is elsewhere."""
        return local(self.location)

    @property
    def episode_id(self) -> str:
        """Name of the attempt."""
        return str(self.attrs.get("episode_id", self.location.name.removesuffix(".open").removesuffix(SUFFIX)))

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
            raise EpisodeError(f"{self.location} has no camera '{camera}'", nearest(camera, self.cameras))
        return Frames(self.group(f"cameras/{camera}"))

    def events(self) -> list[dict[str, Any]]:
        """Every event in order: `type`, `device`, `t_mono_ns`, `t_ros_ns` and what else is known of it."""
        group = self.group("events")
        offsets, data = group["offsets"], group["json"].tobytes()
        try:
            return [json.loads(data[offsets[i] : offsets[i + 1]]) for i in range(group.records)]
        except ValueError:
            raise EpisodeError(f"{group.location}: an event is not valid JSON") from None

    @property
    def outcome(self) -> EpisodeOutcome:
        """How the attempt ended, as annotations have it, else as it was recorded.

        Raises:
            EpisodeError: an annotation is damaged.
        """
        return outcome_of(self.attrs["outcome"], self.annotations())

    def annotations(self) -> list[Annotation]:
        """What was said about the attempt afterwards, every version. Raises EpisodeError when one is damaged."""
        found = {annotation.name: annotation for annotation in read_annotations(self.location)}
        if self._beside is not None:
            found |= {annotation.name: annotation for annotation in read_annotations(self._beside)}
        return sorted(found.values(), key=lambda annotation: (annotation.set, annotation.n))

    def derived(self, name: str) -> dict[str, AnyArray]:
        """Labels that were computed from the episode: name -> array with one entry per row.

        Args:
            name: of the labels, when they were computed in one way only; else with the hash: "returns@3f21ab00c9d1".

        Raises:
            EpisodeError: no such labels, more than one, or annotations came after they were computed.
        """
        return read_derived(self, name)

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

    def frame_at(self, row: int, camera: str) -> Image | None:
        """The image that was the newest of a camera in a row; None when there was none yet.

        Raises:
            EpisodeError: no such camera, or a damaged image. IndexError: no such row.
        """
        frames = self.frames(camera)
        index = int(self.steps[f"camera_index_{camera}"][row])
        return None if index < 0 else frames[index]

    def training_view(self, valid_only: bool = False) -> TrainingView:
        """The rows to learn from; `valid_only` also leaves out those with stale observations."""
        steps = self.steps
        valid = steps["valid"] if valid_only else None
        return training_view(
            steps["control"], steps["stage"], steps["segment_id"], steps["t_mono_ns"], self.control_hz, valid
        )
