"""An episode as a Rerun recording, read back with Rerun."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rove_core.errors import EpisodeError
from rove_recorder.reader import open_episode
from rove_recorder.views.playback import save


def test_without_rerun_it_says_what_to_install(
    takeover_episode: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(EpisodeError, match="needs Rerun") as caught:
        save(open_episode(takeover_episode), tmp_path / "a.rrd")
    assert "rove_hil[rerun]" in caught.value.hint


@pytest.fixture
def recorded(takeover_episode: Path, tmp_path: Path) -> dict[str, list[Any]]:
    """Entity -> its batches of rows."""
    chunk = pytest.importorskip("rerun.chunk")
    path = tmp_path / "shown" / "episode.rrd"
    save(open_episode(takeover_episode), path)
    found: dict[str, list[Any]] = {}
    for part in chunk.RrdReader(str(path)).stream():
        found.setdefault(str(part.entity_path), []).append(part)
    return found


def test_every_image_and_command_is_in_it(recorded: dict[str, list[Any]], takeover_episode: Path) -> None:
    episode = open_episode(takeover_episode)

    def rows(entity: str) -> int:
        return sum(part.num_rows for part in recorded[entity] if not part.is_static)

    assert rows("/cameras/head") == len(episode.frames("head"))
    for kind in ("target", "sent"):
        assert rows(f"/joints/left_arm/{kind}") == episode.streams["commands"].records
    assert rows("/control/stage") == rows("/chunks/steps_left") == episode.rows
    assert rows("/events") > len(episode.events())


def test_what_was_sent_is_what_is_shown(recorded: dict[str, list[Any]], takeover_episode: Path) -> None:
    episode = open_episode(takeover_episode)
    (part,) = [part for part in recorded["/joints/head/sent"] if not part.is_static]
    table = part.to_record_batch()
    (column,) = [name for name in table.schema.names if "scalars" in name]
    start, stop = episode.attrs["joint_groups"]["head"]
    shown = np.array(table.column(column).to_pylist())
    assert np.array_equal(shown, episode.streams["commands"]["sent"][:, start:stop])


def test_a_place_that_cannot_be_written_is_one_line(takeover_episode: Path, tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    with pytest.raises(EpisodeError, match="cannot write"):
        save(open_episode(takeover_episode), tmp_path)
