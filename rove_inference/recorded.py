"""Recorded episodes as a policy sees them: observations, and what the robot was told to do after each.

Reads the arrays with zarr, as docs/reference/episode-format.md specifies them: what runs policies must not depend on
what records them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import zarr

from rove_core.errors import EpisodeError
from rove_core.joint_space import JointSpace
from rove_core.modes import Source, Stage
from rove_inference.observation import KEPT_STATES, Missing, Observation, ObservationBuffer
from rove_inference.preprocess import Image

SCHEMA_VERSION = 1
# Rows further apart than so many periods have something missing between them.
GAP_PERIODS = 1.5

Floats = npt.NDArray[np.float64]


class RecordedEpisode:
    """One finished episode.

    Attributes:
        attrs: of the episode.
        t_ros_ns: time of the rows, ROS clock [ns], shape (n,).
        state, sent: measured and commanded joint positions [rad], shape (n, dim).
        control: whose target was followed, as `rove_core.modes.Source`, shape (n,).
    """

    def __init__(self, path: str | Path) -> None:
        """Read what is small; pictures are read when they are asked for.

        Raises:
            EpisodeError: no finished episode of a version that is known here, or a damaged one.
        """
        self.path = Path(path)
        if self.path.suffix != ".zarr" or not self.path.is_dir():
            raise EpisodeError(
                f"no finished episode at {path}",
                "an episode is a folder that ends in .zarr; `rove episodes recover` finishes one that was cut off",
            )
        try:
            self._root = zarr.open_group(self.path, mode="r")
        except (OSError, ValueError, KeyError) as error:
            raise EpisodeError(f"{path} is not a zarr group: {error}") from None
        self.attrs: dict[str, Any] = dict(self._root.attrs)
        kind = (self.attrs.get("format"), self.attrs.get("schema_version"))
        if kind != ("rove.episode", SCHEMA_VERSION):
            raise EpisodeError(f"{path} is {kind[0]} version {kind[1]}, expected rove.episode version {SCHEMA_VERSION}")
        self._columns: dict[str, npt.NDArray[Any]] = {}
        self.t_ros_ns: npt.NDArray[np.int64] = self._array("steps/t_ros_ns")
        self.state: Floats = self._array("steps/state")
        self.sent: Floats = self._array("steps/command_sent")
        self.control: npt.NDArray[np.uint8] = self._array("steps/control")
        self._joint_ns: npt.NDArray[np.int64] = self._array("streams/joint_states/t_ros_ns")
        self._joint_position: Floats = self._array("streams/joint_states/position")
        self._frames = lru_cache(maxsize=64)(self._frame)

    @property
    def control_hz(self) -> float:
        """Rows per second."""
        return float(self.attrs["control_hz"])

    def check_robot(self, space: JointSpace) -> None:
        """Refuse an episode of other joints. Raises EpisodeError."""
        if self.attrs["robot"] != space.robot or tuple(self.attrs["joint_names"]) != space.names:
            raise EpisodeError(f"{self.path.name} was recorded on robot '{self.attrs['robot']}' with other joints")

    def segments(self) -> list[tuple[int, int]]:
        """Runs of rows [start, stop) in which one controller moved the robot: a chunk may be compared inside one."""
        moved = (self.control == Source.POLICY) | (self.control == Source.OPERATOR)
        moved &= self._array("steps/stage") != Stage.NONE
        segment = self._array("steps/segment_id")
        gap_ns = GAP_PERIODS * 1e9 / self.control_hz
        ends = np.ones(len(moved) + 1, bool)
        ends[1:-1] = (np.diff(segment) != 0) | (np.diff(self.t_ros_ns) > gap_ns) | (np.diff(moved) != 0)
        borders = np.flatnonzero(ends).tolist()
        return [(a, b) for a, b in pairwise(borders) if moved[a]]

    def observation(self, row: int, cameras: Sequence[str], max_age_s: float) -> Observation | Missing:
        """What a policy would have been asked with at the time of a row, by the rules that hold on the robot.

        Raises:
            EpisodeError: a camera was not recorded, or a picture cannot be decoded.
        """
        now_ns = int(self.t_ros_ns[row])
        buffer = ObservationBuffer(cameras, max_age_s)
        for camera in cameras:
            if camera not in self.attrs["cameras"]:
                raise EpisodeError(f"{self.path.name} has no camera '{camera}'", f"it has {self.attrs['cameras']}")
            index = int(self._column(f"steps/camera_index_{camera}")[row])
            if index >= 0:
                capture_ns = int(self._column(f"cameras/{camera}/capture_ns")[index])
                buffer.add_image(camera, capture_ns, self._frames(camera, index))
        end = int(np.searchsorted(self._joint_ns, now_ns, side="right"))
        for sample in range(max(end - KEPT_STATES, 0), end):
            buffer.add_state(int(self._joint_ns[sample]), self._joint_position[sample])
        return buffer.newest(now_ns)

    def commands(self, segment: tuple[int, int], times_ns: npt.NDArray[np.int64]) -> Floats:
        """What the driver was told at some times, interpolated between rows.

        Returns:
            [rad], shape (len(times_ns), dim); NaN outside the segment.
        """
        start, stop = segment
        rows_ns = self.t_ros_ns[start:stop]
        answer = np.full((len(times_ns), self.sent.shape[1]), np.nan)
        inside = (times_ns >= rows_ns[0]) & (times_ns <= rows_ns[-1])
        place = np.interp(times_ns[inside] - rows_ns[0], rows_ns - rows_ns[0], np.arange(stop - start))
        before = np.minimum(place.astype(np.intp), max(stop - start - 2, 0))
        after = np.minimum(before + 1, stop - start - 1)
        share = (place - before)[:, None]
        answer[inside] = (1 - share) * self.sent[start + before] + share * self.sent[start + after]
        return answer

    def _frame(self, camera: str, index: int) -> Image:
        start, stop = (int(bound) for bound in self._column(f"cameras/{camera}/offsets")[index : index + 2])
        jpeg = np.asarray(self._root[f"cameras/{camera}/jpeg"][start:stop])  # type: ignore[index]
        picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        if picture is None:
            raise EpisodeError(f"{self.path.name}: picture {index} of camera '{camera}' is not a JPEG")
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)

    def _column(self, name: str) -> npt.NDArray[Any]:
        """A small array, kept."""
        if name not in self._columns:
            self._columns[name] = self._array(name)
        return self._columns[name]

    def _array(self, name: str) -> npt.NDArray[Any]:
        try:
            return np.asarray(self._root[name][:])  # type: ignore[index]
        except (KeyError, OSError, ValueError) as error:
            raise EpisodeError(f"{self.path.name}: cannot read array '{name}': {error}") from None
