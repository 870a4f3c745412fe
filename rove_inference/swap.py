"""Another policy beside the running one: loaded in a thread of its own, and when it may take over."""

from __future__ import annotations

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
    RoveError that says why not. What nobody takes out of the future is freed with it.
    """

    def __init__(self, load: Callable[[Path], Policy]) -> None:
        """Args:
        load: blocks until the bundle at a path is ready; called in the loading thread.
        """
        self._load = load
        self._thread: threading.Thread | None = None

    def begin(self, path: Path) -> Future[Policy]:
        """Start to load the bundle at `path`.

        Raises:
            PolicyError: another one is being loaded.
        """
        if self._thread is not None and self._thread.is_alive():
            raise PolicyError(f"busy: {self._thread.name} is not done", "wait for its answer, then ask again")
        future: Future[Policy] = Future()
        # A daemon: a load that hangs (a network drive) must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._run, args=(path, future), name=f"loading '{path.name}'", daemon=True
        )
        self._thread.start()
        return future

    def close(self) -> None:
        """Wait for a load that is under way, but not for long."""
        if self._thread is not None:
            self._thread.join(CLOSE_WAIT_S)

    def _run(self, path: Path, future: Future[Policy]) -> None:
        try:
            policy = self._load(path)
        except Exception as error:  # noqa: BLE001 - the edge of the thread: whoever waits must hear of it
            future.set_exception(error)
        else:
            future.set_result(policy)


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
