"""What really happened, beside the episodes and never inside them: one JSON object per line.

Only a simulation knows when the policy truly failed and when the operator truly had found in. These are
the answers that live marks and corrected annotations are compared with.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from rove_core.errors import RecordingError

Value = str | int | float | bool | None


class GroundTruthLog:
    """Appends lines to a file that several processes share.

    Every line is one write to a descriptor in append mode, so that lines of two processes never mix.

    Args:
        path: the file; created with its folder when missing. "" keeps no log.

    Raises:
        RecordingError: the file cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self._descriptor: int | None = None
        if not str(path):
            return
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise RecordingError(f"cannot write ground truth to {target}: {error.strerror}") from None

    def write(self, kind: str, episode_id: str, t_ros_ns: int, **facts: Value) -> None:
        """Append one fact.

        Args:
            kind: what happened ("adaptation_end", "policy_failure", ...).
            t_ros_ns: when it happened, ROS clock [ns]: the clock of `t_ros_ns` in the episode.
            facts: what else is known of it.

        Raises:
            RecordingError: the disk refused.
        """
        if self._descriptor is None:
            return
        line = json.dumps({"kind": kind, "episode_id": episode_id, "t_ros_ns": int(t_ros_ns), **facts})
        try:
            os.write(self._descriptor, line.encode() + b"\n")
        except OSError as error:
            raise RecordingError(f"cannot write ground truth: {error.strerror}") from None

    def close(self) -> None:
        """Close the file. Writing afterwards does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
