"""What the robot saw last: pictures and joint positions that belong together in time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from rove_core.clocks import NS_PER_S
from rove_inference.preprocess import Image

# The robot's own sensor in a table of latencies, beside the cameras' names.
JOINTS = "joints"

# At 200 Hz this is half a second: more than a picture can be behind and still be used.
KEPT_STATES = 100


@dataclass(frozen=True, slots=True)
class Observation:
    """One moment. Pictures are as they came, not yet cropped or resized.

    Attributes:
        stamp_ns: capture time of the newest picture (of the joint state when there are no cameras), ROS clock [ns].
        oldest_ns: capture time of the oldest part.
        state: joint positions [rad], shape (dim,), in JointSpace order, at or just before `stamp_ns`.
        images: camera name -> RGB, shape (height, width, 3).
    """

    stamp_ns: int
    oldest_ns: int
    state: npt.NDArray[np.float64]
    images: Mapping[str, Image]


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no observation to act on."""

    reason: str


class ObservationBuffer:
    """Newest picture per camera and the last joint states. Safe to fill and read from different threads.

    Stamps are capture times on the ROS clock, once the sensor's latency is taken off. A stamp that is older than
    the one before (a driver that restarted, a clock that jumped) starts the history of that sensor anew; nothing is
    reordered. Before the first sample of every sensor `newest` says which one is missing.
    """

    def __init__(
        self, cameras: Sequence[str], max_age_s: float, latency_s: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        """Args:
        cameras: whose pictures an observation needs.
        max_age_s: how old any part of an observation may be, and how far its parts may lie apart [s].
        latency_s: by how much a sensor's stamps are later than the moment that it shows [s], camera name or `JOINTS`;
            0 for those that are not named.
        """
        self._latency_ns = {sensor: int(seconds * NS_PER_S) for sensor, seconds in latency_s.items()}
        self._max_age_ns = int(max_age_s * NS_PER_S)
        self._lock = threading.Lock()
        self._images: dict[str, tuple[int, Image] | None] = dict.fromkeys(cameras)
        self._states: deque[tuple[int, npt.NDArray[np.float64]]] = deque(maxlen=KEPT_STATES)

    def add_image(self, camera: str, stamp_ns: int, image: Image) -> None:
        """Take a picture; it is kept as it is and must not be changed afterwards."""
        stamp_ns -= self._latency_ns.get(camera, 0)
        with self._lock:
            self._images[camera] = (stamp_ns, image)

    def add_state(self, stamp_ns: int, position: npt.NDArray[np.float64]) -> None:
        """Take joint positions [rad] in JointSpace order."""
        stamp_ns -= self._latency_ns.get(JOINTS, 0)
        with self._lock:
            if self._states and stamp_ns < self._states[-1][0]:
                self._states.clear()
            self._states.append((stamp_ns, position))

    def newest(self, now_ns: int) -> Observation | Missing:
        """The newest moment of which every part is there and fresh enough."""
        with self._lock:
            images = dict(self._images)
            states = list(self._states)
        for camera, entry in images.items():
            if entry is None:
                return Missing(f"no picture from camera '{camera}' yet")
            if now_ns - entry[0] > self._max_age_ns:
                return Missing(f"newest picture of camera '{camera}' is {(now_ns - entry[0]) / NS_PER_S:.2f} s old")
        if not states:
            return Missing("no joint states yet")
        pictures = {camera: entry for camera, entry in images.items() if entry is not None}
        stamp_ns = max((entry[0] for entry in pictures.values()), default=states[-1][0])
        found = next(((ns, position) for ns, position in reversed(states) if ns <= stamp_ns), None)
        if found is None:
            return Missing("all joint states are newer than the picture: sensor clocks differ, or the picture is late")
        state_ns, state = found
        if stamp_ns - state_ns > self._max_age_ns or now_ns - state_ns > self._max_age_ns:
            return Missing(f"newest joint state is {(now_ns - state_ns) / NS_PER_S:.2f} s old")
        oldest_ns = min([state_ns, *(entry[0] for entry in pictures.values())])
        return Observation(stamp_ns, oldest_ns, state, {camera: entry[1] for camera, entry in pictures.items()})
