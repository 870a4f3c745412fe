"""The simulation at work: physics paced by the wall clock in its own thread, the driver, what sensors capture.

No ROS here: what is sensed goes to callbacks, called in the physics thread with the stamp of that instant.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rove_core.clocks import NS_PER_S, system_minus_monotonic_ns
from rove_core.errors import RoveError
from rove_core.joint_space import JointSpace
from rove_sim.driver import Driver, DriverCounters, DriverState
from rove_sim.scene import SceneState
from rove_sim.world import TIMESTEP_S, JointReading, Snapshot, World

FloatArray = npt.NDArray[np.float64]

JOINTS_HZ = 200
CAMERA_HZ = 30
SCENE_HZ = 30
# A debt of more than this is not worked off: the machine was suspended or is too slow [s of wall time].
FORGIVE_S = 0.1
# The offset between the wall's and the monotonic clock is measured again when they have drifted by this much.
CLOCK_DRIFT_NS = 1_000_000
# The real-time factor is that of the last so many seconds of wall time.
RTF_WINDOW_S = 1.0


@dataclass(frozen=True, slots=True)
class Health:
    """For diagnostics.

    Attributes:
        real_time_factor: simulated seconds per wall second, of late. forgiven_s: wall time given up for good.
        step_ms: wall time per physics step, of late.
        state: of the driver. mismatch_rad, worst_joint: newest command against the driver's reference.
    """

    real_time_factor: float
    forgiven_s: float
    step_ms: float
    state: DriverState
    mismatch_rad: float
    worst_joint: str
    counters: DriverCounters
    last_refusal: str


@dataclass(frozen=True, slots=True)
class Listener:
    """Who gets what is sensed. All are called in the physics thread and must be quick.

    Attributes:
        on_tick: every tick, with the stamp of its instant [ns], before anything else of it.
        on_joints: encoders, 200 Hz. on_capture: 30 Hz, with `stamp_ns` filled in. on_scene: 30 Hz, likewise.
        on_crash: the thread has ended with this error.
    """

    on_tick: Callable[[int], None]
    on_joints: Callable[[int, JointReading], None]
    on_capture: Callable[[Snapshot], None]
    on_scene: Callable[[SceneState], None]
    on_crash: Callable[[RoveError], None]


class Simulation:
    """Runs a `World` in a thread. All methods may be called from any thread.

    Args:
        speed: simulated seconds per wall second. At 1 stamps are the system clock; otherwise simulated time
            that begins at the system clock's value at the start, so that they are never near zero.
    """

    def __init__(self, space: JointSpace, task: str, seed: int, speed: float, listener: Listener) -> None:
        """Raises ConfigError for a task or robot that there is not."""
        self.world = World(space, task)
        self.world.reset(task, seed, 0)
        self._space = space
        self._speed = speed
        self._listener = listener
        self._lock = threading.Lock()  # the driver: commands come in another thread
        self._driver = Driver(space, self.world.observe().position)
        self._requests: list[tuple[tuple[str, int, int], Future[None]]] = []
        self._stop = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="physics", daemon=True)
        self._sim_ns = 0
        self._start_ns = 0  # monotonic time at which simulated time was 0, had there been no pause
        self._base_ns = time.time_ns()
        self._clock_offset_ns = system_minus_monotonic_ns()
        self._forgiven_ns = 0
        self._rtf = 1.0
        self._step_ms = 0.0

    def start(self) -> None:
        """Let time run."""
        self._thread.start()

    def close(self) -> None:
        """Stop time; requests that are waiting fail."""
        self._stop.set()
        self._thread.join()

    def command(self, names: Sequence[str], position: FloatArray) -> str:
        """Give the driver a command; "" or why it was refused. See `Driver.command`."""
        with self._lock:
            return self._driver.command(names, position, self._sim_ns)

    def set_estop(self, stopped: bool) -> None:
        """Latch or release the driver's emergency stop."""
        with self._lock:
            self._driver.set_estop(stopped)

    def reset(self, task: str, seed: int, start_stage: int, timeout_s: float = 5.0) -> None:
        """Set the scene and wait until it stands.

        Raises:
            ConfigError: no such task or stage. RoveError: the simulation does not run.
        """
        done: Future[None] = Future()
        with self._lock:
            if self._ended:
                raise RoveError("the simulation has ended")
            self._requests.append(((task, seed, start_stage), done))
        try:
            done.result(timeout_s)
        except TimeoutError:
            raise RoveError("the simulation does not answer") from None

    def health(self) -> Health:
        """How it goes."""
        with self._lock:
            return Health(
                real_time_factor=self._rtf,
                forgiven_s=self._forgiven_ns / NS_PER_S,
                step_ms=self._step_ms,
                state=self._driver.state,
                mismatch_rad=self._driver.mismatch_rad,
                worst_joint=self._driver.worst_joint,
                counters=replace(self._driver.counters),
                last_refusal=self._driver.last_refusal,
            )

    # The physics thread

    def _run(self) -> None:
        try:
            self._loop()
        except Exception as error:  # noqa: BLE001 - the thread's outermost edge: say so, the robot stands still
            crash = error if isinstance(error, RoveError) else RoveError(f"the simulation broke: {error!r}")
            self._listener.on_crash(crash)
        finally:
            with self._lock:
                self._ended = True
                requests, self._requests = self._requests, []
            for _, done in requests:
                done.set_exception(RoveError("the simulation has ended"))

    def _loop(self) -> None:
        period_ns = round(NS_PER_S / JOINTS_HZ / self._speed)
        steps = _Share(round(1.0 / TIMESTEP_S), JOINTS_HZ)
        captures, scenes = _Share(CAMERA_HZ, JOINTS_HZ), _Share(SCENE_HZ, JOINTS_HZ)
        deadline_ns = window_ns = self._start_ns = time.monotonic_ns()
        window_sim_ns = 0
        while not self._stop.is_set():
            self._answer_requests()
            self._tick(steps.next())
            self._sense(self._stamp_ns(), capture=captures.next() > 0, scene=scenes.next() > 0)
            deadline_ns += period_ns
            now_ns = time.monotonic_ns()
            if now_ns - window_ns > RTF_WINDOW_S * NS_PER_S:
                self._rtf = (self._sim_ns - window_sim_ns) / (now_ns - window_ns)
                window_ns, window_sim_ns = now_ns, self._sim_ns
            late_ns = now_ns - deadline_ns
            if late_ns > FORGIVE_S * NS_PER_S:
                deadline_ns += late_ns
                self._start_ns += late_ns
                self._forgiven_ns += late_ns
            elif late_ns < 0:
                time.sleep(-late_ns / NS_PER_S)

    def _answer_requests(self) -> None:
        with self._lock:
            requests, self._requests = self._requests, []
        for (task, seed, start_stage), done in requests:
            try:
                self.world.reset(task, seed, start_stage)
            except RoveError as error:
                done.set_exception(error)
                continue
            with self._lock:
                self._driver.resynchronise(self.world.observe().position)
            done.set_result(None)

    def _tick(self, steps: int) -> None:
        dt_s = steps * TIMESTEP_S
        with self._lock:
            reference = self._driver.step(self.world.observe().position, self._sim_ns, dt_s)
        self.world.set_reference(reference)
        began = time.perf_counter()
        self.world.step(steps)
        took_ms = (time.perf_counter() - began) * 1e3 / steps
        self._step_ms += 0.01 * (took_ms - self._step_ms)
        self._sim_ns += round(dt_s * NS_PER_S)

    def _sense(self, stamp_ns: int, *, capture: bool, scene: bool) -> None:
        self._listener.on_tick(stamp_ns)
        self._listener.on_joints(stamp_ns, self.world.observe())
        if capture:
            self._listener.on_capture(replace(self.world.snapshot(), stamp_ns=stamp_ns))
        if scene:
            self._listener.on_scene(self.world.scene().model_copy(update={"stamp_ns": stamp_ns}))

    def _stamp_ns(self) -> int:
        """ROS clock of the instant that the world shows now [ns]."""
        if self._speed != 1.0:
            return self._base_ns + self._sim_ns
        offset_ns = system_minus_monotonic_ns()
        if abs(offset_ns - self._clock_offset_ns) > CLOCK_DRIFT_NS:
            self._clock_offset_ns = offset_ns
        return self._start_ns + self._sim_ns + self._clock_offset_ns


class _Share:
    """Deals `amount` per `ticks` ticks out evenly in whole numbers: 500 over 200 gives 2, 3, 2, 3."""

    def __init__(self, amount: int, ticks: int) -> None:
        self._amount, self._ticks, self._rest = amount, ticks, 0

    def next(self) -> int:
        """How much falls to the next tick."""
        whole, self._rest = divmod(self._rest + self._amount, self._ticks)
        return whole
