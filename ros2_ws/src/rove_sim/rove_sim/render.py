"""Pictures of the simulated cameras, drawn off-screen in a thread of their own from copied states."""

from __future__ import annotations

import copy
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

# Off-screen without a display, in software when there is no GPU. MuJoCo reads this when it is first imported.
os.environ.setdefault("MUJOCO_GL", "egl")
# The software rasteriser's own threads would take the second core from the rest of the stack and gain little.
os.environ.setdefault("LP_NUM_THREADS", "1")

import mujoco
import numpy as np
import numpy.typing as npt

from rove_core.errors import ConfigError, RoveError, nearest
from rove_sim.world import Snapshot

# A camera that falls behind skips pictures instead of collecting a delay.
QUEUE = 2


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture.

    Attributes:
        camera: its name. stamp_ns: of the physics instant it shows. rgb: uint8, shape (height, width, 3).
    """

    camera: str
    stamp_ns: int
    rgb: npt.NDArray[np.uint8]


class CameraPainter:
    """Draws snapshots of one model. Must be made, used and closed in one thread: it owns a GL context."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        """Raises RoveError when there is no GL to draw with."""
        self.source = model
        # A copy of our own: pictures change opacities, physics changes contact bits and welds.
        self._model = copy.copy(model)
        self._model.vis.global_.offwidth = max(width, 16)
        self._model.vis.global_.offheight = max(height, 16)
        self._data = mujoco.MjData(self._model)
        self._opacity = self._model.geom_rgba[:, 3].copy()
        try:
            self._renderer = mujoco.Renderer(self._model, height, width, max_geom=model.ngeom + 50)
        except Exception as error:  # each GL platform raises its own types
            raise RoveError(
                f"cannot draw off-screen: {error}", "install libegl-mesa0 and libgl1, or see `rove doctor`"
            ) from error
        flags = self._renderer.scene.flags
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_HAZE):
            flags[flag] = False

    def show(self, snapshot: Snapshot) -> None:
        """Take the state to draw."""
        self._data.qpos[:] = snapshot.qpos
        self._data.mocap_pos[:] = snapshot.mocap_pos
        self._data.mocap_quat[:] = snapshot.mocap_quat
        for geom, opacity in snapshot.tints.items():
            self._model.geom_rgba[geom, 3] = self._opacity[geom] * opacity
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)

    def draw(self, camera: str | mujoco.MjvCamera) -> npt.NDArray[np.uint8]:
        """The picture of one camera: rgb, shape (height, width, 3)."""
        self._renderer.update_scene(self._data, camera)
        picture: npt.NDArray[np.uint8] = self._renderer.render()
        return picture

    def close(self) -> None:
        """Free the GL context."""
        self._renderer.close()


class RenderThread:
    """Draws what is submitted, newest first come: a bounded queue that drops its oldest state when full.

    Args:
        model: of the first snapshots; when a snapshot comes with another model, that one is drawn.
        cameras: names of cameras of the model.
        deliver: called in the render thread with every picture.
    """

    def __init__(
        self, model: mujoco.MjModel, cameras: Sequence[str], width: int, height: int, deliver: Callable[[Frame], None]
    ) -> None:
        """Raises ConfigError when the model does not have all of `cameras`."""
        check_cameras(model, cameras)
        self._model = model
        self._cameras = tuple(cameras)
        self._size = (width, height)
        self._deliver = deliver
        self._started: Future[None] = Future()
        self._queue: deque[Snapshot] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="render", daemon=True)
        self.drawn = 0
        self.dropped = 0
        self.draw_ms = 0.0  # mean per picture, of late

    def start(self) -> None:
        """Start drawing. Raises RoveError when there is no GL to draw with."""
        self._thread.start()
        self._started.result()

    def submit(self, snapshot: Snapshot) -> None:
        """Queue a state; never waits."""
        with self._wake:
            if len(self._queue) >= QUEUE:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(snapshot)
            self._wake.notify()

    def close(self) -> None:
        """Finish the picture at hand and end."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            painter = CameraPainter(self._model, *self._size)
        except RoveError as error:
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        try:
            while (snapshot := self._next()) is not None:
                if painter.source is not snapshot.model:
                    painter.close()
                    painter = CameraPainter(snapshot.model, *self._size)
                self._draw(painter, snapshot)
        finally:
            painter.close()

    def _next(self) -> Snapshot | None:
        with self._wake:
            self._wake.wait_for(lambda: self._closing or self._queue)
            return None if self._closing else self._queue.popleft()

    def _draw(self, painter: CameraPainter, snapshot: Snapshot) -> None:
        began = time.perf_counter()
        painter.show(snapshot)
        for camera in self._cameras:
            self._deliver(Frame(camera, snapshot.stamp_ns, painter.draw(camera)))
        took_ms = (time.perf_counter() - began) * 1e3 / max(len(self._cameras), 1)
        self.draw_ms += (took_ms - self.draw_ms) / min(self.drawn + 1, 30)
        self.drawn += 1


def check_cameras(model: mujoco.MjModel, cameras: Sequence[str]) -> None:
    """Raises ConfigError when the robot does not have all of `cameras`."""
    known = [model.camera(index).name for index in range(model.ncam)]
    for camera in cameras:
        if camera not in known:
            raise ConfigError(f"the robot has no camera '{camera}'", nearest(camera, known))


def intrinsics(model: mujoco.MjModel, camera: str, width: int, height: int) -> npt.NDArray[np.float64]:
    """Pinhole matrix K [px], shape (3, 3)."""
    focal = height / 2.0 / np.tan(np.deg2rad(float(model.camera(camera).fovy[0])) / 2.0)
    return np.array([[focal, 0.0, width / 2.0], [0.0, focal, height / 2.0], [0.0, 0.0, 1.0]])
