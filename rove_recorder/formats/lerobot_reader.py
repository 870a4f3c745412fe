"""Reading a LeRobot dataset v3.0 from its files: episode by episode, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from rove_core.errors import EpisodeError, nearest
from rove_recorder.formats.lerobot_columns import ACTION, IMAGES, STATE
from rove_recorder.formats.lerobot_v30 import TASKS_PATH, VERSION

Image = npt.NDArray[np.uint8]

# LeRobot's own: how far a timestamp may be from the image or the frame number that it belongs to [s].
TOLERANCE_S = 1e-4


@dataclass(frozen=True, slots=True)
class LeRobotEpisode:
    """One episode of the dataset: its row in the table of episodes."""

    index: int
    length: int
    task: str
    facts: Mapping[str, Any]


class LeRobotDataset:
    """The files of a dataset.

    Attributes:
        features: as in info.json. cameras: our name -> its feature.

    Raises:
        EpisodeError: there is no dataset, it is of another version, or it has no states and actions.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.info = self._info()
        self.features: dict[str, dict[str, Any]] = self.info["features"]
        self.fps = float(self.info["fps"])
        for name in (STATE, ACTION):
            if name not in self.features:
                raise EpisodeError(f"{root} has no feature '{name}'", nearest(name, self.features))
        self.cameras = {
            name.removeprefix(IMAGES).replace(".", "_").replace("/", "_"): name
            for name, feature in self.features.items()
            if feature["dtype"] in ("video", "image")
        }
        self.tasks = self._tasks()

    def _info(self) -> dict[str, Any]:
        path = self.root / "meta/info.json"
        try:
            info: dict[str, Any] = json.loads(path.read_bytes())
        except OSError as error:
            raise EpisodeError(
                f"no LeRobot dataset at {self.root}: {error.strerror}", "give the folder that holds meta/info.json"
            ) from None
        except ValueError:
            raise EpisodeError(f"{path} is not valid JSON") from None
        version = info.get("codebase_version")
        if version != VERSION:
            raise EpisodeError(
                f"{self.root} is of LeRobot's version {version}, this reads {VERSION}",
                "convert it with lerobot's convert_dataset_v21_to_v30",
            )
        if not {"features", "fps", "data_path"} <= info.keys():
            raise EpisodeError(f"{path} lacks features, fps or data_path")
        return info

    def _tasks(self) -> dict[int, str]:
        table = self._table(self.root / TASKS_PATH).to_pydict()
        # pandas calls an index that has no name so.
        texts = table.get("task", table.get("__index_level_0__", []))
        return dict(zip(table["task_index"], texts, strict=True))

    def _table(self, path: Path, episode: int | None = None) -> pa.Table:
        try:
            return pq.read_table(path, filters=None if episode is None else [("episode_index", "=", episode)])
        except (OSError, pa.ArrowInvalid) as error:
            raise EpisodeError(f"cannot read {path}: {str(error).splitlines()[0]}") from None

    def size(self, camera: str) -> tuple[int, int]:
        """Width, height of a camera's images."""
        feature = self.features[self.cameras[camera]]
        shape = [int(length) for length in feature["shape"]]
        # Some datasets are channel first; `names` tells, where it is there.
        names = feature.get("names") or []
        height, width = shape[1:] if shape[0] == 3 and names[:1] != ["height"] else shape[:2]
        return width, height

    def episodes(self) -> Iterator[LeRobotEpisode]:
        """All of them in order."""
        paths = sorted((self.root / "meta/episodes").glob("*/*.parquet"))
        if not paths:
            raise EpisodeError(f"{self.root} has no table of episodes (meta/episodes)")
        for path in paths:
            table = self._table(path)
            wanted = [name for name in table.column_names if not name.startswith("stats/")]
            for row in table.select(wanted).to_pylist():
                tasks = row.get("tasks") or [""]
                yield LeRobotEpisode(int(row["episode_index"]), int(row["length"]), str(tasks[0]), row)

    def columns(self, episode: LeRobotEpisode) -> dict[str, Any]:
        """The episode's columns: arrays of shape (n,) or (n, D), images as lists of encoded bytes.

        Raises:
            EpisodeError: the table has another length, or times that are not `frame_index / fps`.
        """
        path = self.root / self.info["data_path"].format(
            chunk_index=episode.facts["data/chunk_index"], file_index=episode.facts["data/file_index"]
        )
        table = self._table(path, episode.index)
        if len(table) != episode.length:
            raise EpisodeError(
                f"{path}: episode {episode.index} has {len(table)} rows, its table says {episode.length}"
            )
        found = {name: _values(table.column(name)) for name in table.column_names if name in self.features}
        late = np.abs(np.asarray(found["timestamp"], np.float64) - np.arange(episode.length) / self.fps)
        # Times are float32, which cannot tell more after a quarter of an hour.
        if episode.length and late.max() > TOLERANCE_S + np.spacing(np.float32(episode.length / self.fps)):
            raise EpisodeError(
                f"{path}: episode {episode.index}: timestamp of row {int(late.argmax())} is not frame_index / fps",
                "this dataset leaves out rows without saying where; it cannot be imported",
            )
        return found

    def images(self, episode: LeRobotEpisode, camera: str, columns: Mapping[str, Any]) -> Iterator[Image]:
        """The camera's image of every row, RGB.

        Raises:
            EpisodeError: there are fewer than rows, or one is not at its row's time.
        """
        key = self.cameras[camera]
        if self.features[key]["dtype"] == "image":
            return _decoded(columns[key], f"{self.root}: episode {episode.index}: {key}")
        path = self.root / self.info["video_path"].format(
            video_key=key,
            chunk_index=episode.facts[f"videos/{key}/chunk_index"],
            file_index=episode.facts[f"videos/{key}/file_index"],
        )
        start_s = float(episode.facts[f"videos/{key}/from_timestamp"])
        return video_images(path, start_s, episode.length, self.fps)


def _values(column: pa.ChunkedArray) -> Any:
    values = column.combine_chunks()
    if pa.types.is_struct(values.type):
        return [row["bytes"] for row in values.to_pylist()]
    if pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
        return values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), -1)
    return values.to_numpy(zero_copy_only=False)


def _decoded(encoded: list[bytes], what: str) -> Iterator[Image]:
    for number, data in enumerate(encoded):
        image = cv2.imdecode(np.frombuffer(data or b"", np.uint8), cv2.IMREAD_COLOR) if data else None
        if image is None:
            raise EpisodeError(f"{what}: image {number} cannot be decoded")
        yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def video_images(path: Path, start_s: float, count: int, fps: float) -> Iterator[Image]:
    """`count` images of a video at `start_s`, `start_s` + 1 / `fps` ..., RGB.

    Raises:
        EpisodeError: one is missing or at another time, or the file is no video.
    """
    done = 0
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if stream.time_base is not None and start_s > 0:
                container.seek(int(start_s / stream.time_base), stream=stream, backward=True)
            for frame in container.decode(stream):
                if done == count:
                    break
                wanted = start_s + done / fps
                if frame.time is None or frame.time < wanted - TOLERANCE_S:
                    continue
                if frame.time > wanted + TOLERANCE_S:
                    raise EpisodeError(f"{path}: no image at {wanted:.4f} s, the next is at {frame.time:.4f} s")
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                done += 1
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise EpisodeError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if done < count:
        raise EpisodeError(f"{path} ends after {done} of {count} images from {start_s:.4f} s on")
