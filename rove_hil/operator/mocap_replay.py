"""Plays recorded motion onto the mocap wire at its own rate, as late as a real headset would be."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from rove_core.clocks import ControlClock
from rove_hil.operator.mocap import MocapFrame

NS_PER_MS = 1_000_000


def arrivals_ns(captures_ns: Sequence[int], latency_ms: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """When frames arrive that were captured at `captures_ns` and travelled for `latency_ms`, shape (n,).

    Latencies are used in order, from the first again after the last. The wire keeps the order: a frame that
    travelled fast waits behind a slow one before it, as in a stream of packets.
    """
    captures = np.asarray(captures_ns, dtype=np.int64)
    travel = np.rint(np.resize(latency_ms, captures.shape) * NS_PER_MS).astype(np.int64)
    return np.maximum.accumulate(captures + travel)


def replay(
    frames: Sequence[MocapFrame],
    latency_ms: npt.NDArray[np.floating],
    send: Callable[[MocapFrame], None],
    clock: ControlClock,
    ros_now_ns: Callable[[], int],
    stop: threading.Event,
) -> int:
    """Send `frames` with their capture times moved to now. Returns how many were sent before `stop` was set.

    Args:
        latency_ms: as for `arrivals_ns`.
        clock: paces the replay. ros_now_ns: the clock of the capture stamps, of the same rate.
    """
    start_ns, stamp_start_ns = clock.now_ns(), ros_now_ns()
    first_ns = frames[0].capture_ns if frames else 0
    arrivals = arrivals_ns([frame.capture_ns - first_ns for frame in frames], latency_ms)
    for sent, (frame, arrival_ns) in enumerate(zip(frames, arrivals.tolist(), strict=True)):
        clock.sleep_until_ns(start_ns + arrival_ns)
        if stop.is_set():
            return sent
        send(dataclasses.replace(frame, capture_ns=stamp_start_ns + frame.capture_ns - first_ns))
    return len(frames)
