"""Another policy beside the running one: loaded in a thread of its own, and when it may take over."""

from __future__ import annotations

import ctypes
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from rove_core.errors import BundleError, PolicyError
from rove_core.modes import Mode
from rove_inference.policy import Policy

SWAP_MODES = frozenset({Mode.IDLE, Mode.PAUSED})

# How long the end of the process waits for a bundle that is being loaded [s]; big ones take minutes.
CLOSE_WAIT_S = 5.0


def check_mode(mode: Mode) -> None:
    """Refuse a swap while somebody moves the robot or is about to.

    Raises:
        PolicyError: in any mode but IDLE and PAUSED.
    """
    if mode not in SWAP_MODES:
        raise PolicyError(
            f"a policy is swapped in IDLE or PAUSED only, the mode is {mode}", "pause, or end the attempt"
        )


class PolicyLoader:
    """Loads one policy at a time, while the caller and the running policy go on.

    A load that was begun always ends in its future: with a policy that is checked and warmed up, or with the
    error that says why not. What nobody takes out of the future is freed with it.

    All loads happen in one thread: with one per load, the C library's allocator would keep the memory of each in
    another arena, and a robot that swaps every night would grow.
    """

    def __init__(self, load: Callable[[Path], Policy]) -> None:
        """Args:
        load: blocks until the bundle at a path is ready; called in the loading thread.
        """
        self._load = load
        self._jobs: queue.SimpleQueue[tuple[Path, Future[Policy]] | None] = queue.SimpleQueue()
        self._loading: tuple[Path, Future[Policy]] | None = None
        self._thread: threading.Thread | None = None

    def begin(self, path: Path) -> Future[Policy]:
        """Start to load the bundle at `path`; called from one thread.

        Raises:
            PolicyError: another one is being loaded.
        """
        if self._loading is not None and not self._loading[1].done():
            raise PolicyError(f"busy: '{self._loading[0].name}' is being loaded", "wait for its answer, then ask again")
        if self._thread is None:
            # A daemon: a load that hangs (a network drive) must not keep the process from ending.
            self._thread = threading.Thread(target=self._run, name="policy loader", daemon=True)
            self._thread.start()
        future: Future[Policy] = Future()
        self._loading = path, future
        self._jobs.put(self._loading)
        return future

    def taken(self) -> None:
        """The last policy was taken out of its future, or is not wanted: keep it alive no longer."""
        self._loading = None

    def close(self) -> None:
        """End the thread; waits for a load that is under way, but not for long."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(CLOSE_WAIT_S)
            self._thread = None

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            path, future = job
            _give_memory_back()
            try:
                future.set_result(self._load(path))
            except Exception as error:  # noqa: BLE001 - the edge of the thread: whoever waits must hear of it
                future.set_exception(error)
            del job, future  # while it waits for the next one, nothing here keeps a policy alive


def _give_memory_back() -> None:
    """Let the allocator return what former policies left; glibc keeps it otherwise (30 MB after a 7 MB model)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def check_cameras(policy: Policy, available: tuple[str, ...]) -> None:
    """Refuse a policy that wants to see what nobody listens to.

    Raises:
        BundleError: its bundle names other cameras.
    """
    wanted = [camera.name for camera in policy.bundle.spec.cameras]
    if not set(wanted) <= set(available):
        raise BundleError(
            f"bundle '{policy.bundle.path.name}' needs cameras {', '.join(wanted)}; "
            f"this node listens to {', '.join(available) or 'none'}",
            "start policy_node anew with this bundle",
        )
