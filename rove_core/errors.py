"""One root for every error that a caller may want to catch.

A message says what was seen, what was allowed and what to do. Each class is also the right builtin,
so that callers who know nothing of this project catch it too.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RoveError(Exception):
    """Root of the errors of this project. `hint` is one line that says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(RoveError, ValueError):
    """A configuration file or value that cannot be used."""


class JointNameError(RoveError, ValueError):
    """Joint names that do not match the robot's: lists the missing, doubled and unknown ones."""

    def __init__(self, missing: Iterable[str] = (), doubled: Iterable[str] = (), unknown: Iterable[str] = ()) -> None:
        self.missing, self.doubled, self.unknown = tuple(missing), tuple(doubled), tuple(unknown)
        parts = [
            f"{label} {', '.join(names)}"
            for label, names in (("missing", self.missing), ("doubled", self.doubled), ("unknown", self.unknown))
            if names
        ]
        super().__init__("joint names do not match the robot: " + "; ".join(parts))


class IllegalEventError(RoveError, ValueError):
    """An event that the current mode does not allow."""


class BundleError(RoveError, ValueError):
    """A policy bundle that cannot be used on this robot."""


class PolicyError(RoveError, RuntimeError):
    """A policy that answered late, wrongly or not at all."""


class WireError(RoveError, ValueError):
    """A frame from the network that is not what its protocol promises."""


class EpisodeError(RoveError, ValueError):
    """An episode on disk that is not what its format promises."""


class RecordingError(RoveError, RuntimeError):
    """Recording is not possible: disk, permissions, another recorder."""


class ExportError(RoveError, RuntimeError):
    """An export that cannot go on: the target refuses, or what it holds is not what was sent."""


class UnreachableError(ExportError, ConnectionError):
    """The target of an export does not answer: the same command goes on another time."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` when something close to `name` is valid, else the list of what is."""
    options = sorted(valid)
    close = get_close_matches(name, options, n=1)
    return f"did you mean '{close[0]}'?" if close else f"valid are: {', '.join(options)}"
