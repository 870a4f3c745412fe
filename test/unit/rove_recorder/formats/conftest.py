"""What the tests of formats share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rove_core.modes import Mode, Outcome
from rove_recorder.formats import writer
from rove_recorder.formats.options import Report, parse_options

Convert = Callable[..., Report]


def part(mode: Mode, seconds: float, event: str, mark_at_s: float | None = None) -> SimpleNamespace:
    """A stretch of a script of ScriptedEpisode."""
    return SimpleNamespace(mode=mode, seconds=seconds, event=event, mark_at_s=mark_at_s)


@pytest.fixture
def two_attempts(scripted: Callable[[str], Any]) -> list[Path]:
    """A success with a takeover in which progress was marked, and a failure."""
    success, failure = scripted("takeover"), scripted("failed")
    success.play(
        [
            part(Mode.ROLLOUT, 0.3, "start"),
            part(Mode.PAUSED, 0.1, "pause"),
            part(Mode.ALIGNING, 0.1, "takeover"),
            part(Mode.TAKEOVER, 0.5, "go", mark_at_s=0.2),
            part(Mode.PAUSED, 0.1, "hand_back"),
            part(Mode.ROLLOUT, 0.25, "resume"),
        ]
    )
    failure.play([part(Mode.ROLLOUT, 0.3, "start")])
    return [success.close(), failure.close(Outcome.FAILURE)]


@pytest.fixture
def convert(tmp_path: Path) -> Convert:
    """Converts into a folder of the test: `convert("lerobot", episodes, "size=64x48")`."""

    def run(name: str, episodes: list[Path], *options: str, out: str = "out") -> Report:
        return writer(name)(episodes, tmp_path / out, parse_options(options))

    return run
