"""An attempt as a PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from rove_core.errors import EpisodeError
from rove_recorder import cli
from rove_recorder.reader import open_episode
from rove_recorder.views.picture import COLOURS, WIDTH, draw, write_picture


def present(image: np.ndarray) -> set[str]:
    return {kind for kind, colour in COLOURS.items() if (image == colour).all(axis=2).any()}


def test_every_stage_of_the_attempt_is_there(takeover_episode: Path) -> None:
    image = draw(open_episode(takeover_episode))
    assert image.shape[1] == WIDTH
    assert present(image) == {"rollout", "adaptation", "recovery", "paused", "aligning"}


def test_the_bar_is_as_long_as_the_stages(takeover_episode: Path) -> None:
    episode = open_episode(takeover_episode)
    image = draw(episode)
    share = {}
    for kind in ("rollout", "recovery"):
        rows = (image == COLOURS[kind]).all(axis=2).sum(axis=1)
        share[kind] = int(np.bincount(rows[rows > 200]).argmax())
    assert share["rollout"] / share["recovery"] == pytest.approx(1.6 / 0.9, rel=0.1)


def test_show_writes_it(takeover_episode: Path, tmp_path: Path) -> None:
    app, path = Typer(), tmp_path / "pictures" / "attempt.png"
    cli.register(app)
    app.command("other")(lambda: None)
    result = CliRunner().invoke(app, ["episodes", "show", str(takeover_episode), "--png", str(path)])
    assert result.exit_code == 0, result.output
    image: Any = cv2.imread(str(path))
    assert image.shape[1] == WIDTH


def test_what_cannot_be_written_is_one_line(takeover_episode: Path, tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match="cannot write"):
        write_picture(open_episode(takeover_episode), tmp_path)
