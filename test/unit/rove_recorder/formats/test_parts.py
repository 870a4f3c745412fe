from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rove_core.errors import EpisodeError
from rove_core.modes import Mode, Stage
from rove_recorder.formats.options import Options, Pauses
from rove_recorder.formats.parts import Attempt, parts_of, require_same, shape_of, usable
from rove_recorder.reader import open_episode


def part(mode: Mode, seconds: float, event: str) -> SimpleNamespace:
    """A stretch of a script of ScriptedEpisode."""
    return SimpleNamespace(mode=mode, seconds=seconds, event=event, mark_at_s=None)


def test_parts_are_the_rows_of_the_training_view_split_at_pauses(takeover_episode: Path) -> None:
    attempt = Attempt(open_episode(takeover_episode))
    parts = parts_of(attempt, Options())
    assert np.array_equal(np.concatenate([part.rows for part in parts]), attempt.episode.training_view().rows)
    segments = attempt.episode.steps["segment_id"]
    assert [len(np.unique(segments[part.rows])) for part in parts] == [1] * len(parts)
    assert [part.number for part in parts] == [0, 1, 2]  # rollout, takeover, rollout
    assert [found.last for found in parts] == [False, False, True]


def test_a_part_never_crosses_missing_rows(scripted: Callable[[str], Any]) -> None:
    episode = scripted("gap")
    for _ in range(100):
        episode.step(Mode.ROLLOUT)
    episode.tick += 40  # the filter was dead for 0.2 s
    for _ in range(100):
        episode.step(Mode.ROLLOUT)
    attempt = Attempt(open_episode(episode.close()))
    first, second = parts_of(attempt, Options())
    assert second.rows[0] == first.rows[-1] + 1
    gap_ns = np.diff(attempt.episode.steps["t_mono_ns"][[first.rows[-1], second.rows[0]]])
    assert gap_ns[0] > 0.1e9


def test_without_adaptation_a_takeover_begins_with_the_recovery(takeover_episode: Path) -> None:
    attempt = Attempt(open_episode(takeover_episode))
    rows = np.concatenate([part.rows for part in parts_of(attempt, Options(adaptation=False))])
    assert Stage.ADAPTATION not in attempt.stage[rows]
    assert set(np.unique(attempt.stage[rows])) == {Stage.ROLLOUT, Stage.RECOVERY}


def test_masked_pauses_keep_every_row_that_has_an_image(takeover_episode: Path) -> None:
    attempt = Attempt(open_episode(takeover_episode))
    (part,) = parts_of(attempt, Options(pauses=Pauses.MASK))
    assert np.array_equal(part.rows, np.flatnonzero(attempt.episode.steps["camera_index_head"] >= 0))
    assert np.array_equal(part.rows[part.keep], attempt.episode.training_view().rows)


def test_rows_before_the_first_image_are_left_out_only_where_images_are_wanted(scripted: Callable[[str], Any]) -> None:
    episode = scripted("late camera")
    episode.images = False
    for number in range(200):
        episode.images = number >= 60
        episode.step(Mode.ROLLOUT)
    attempt = Attempt(open_episode(episode.close()))
    (with_images,) = parts_of(attempt, Options())
    (without,) = parts_of(attempt, Options(images=False))
    assert without.rows[0] == 0
    assert with_images.rows[0] == np.flatnonzero(attempt.episode.steps["camera_index_head"] >= 0)[0] > 5


def test_an_attempt_in_which_nobody_moved_the_robot_is_left_out(scripted: Callable[[str], Any]) -> None:
    episode = scripted("paused")
    for _ in range(100):
        episode.step(Mode.PAUSED)
    attempt = Attempt(open_episode(episode.close()))
    assert usable(attempt, Options(), None) == "none of its rows is for training"


def test_attempts_of_another_shape_are_refused_in_one_line(takeover_episode: Path) -> None:
    episode = open_episode(takeover_episode)
    shape = shape_of(episode, Options())
    with pytest.raises(EpisodeError, match=r"cameras head 64x48, the attempts before it have head 32x24"):
        require_same(episode.path, shape, shape_of(episode, Options(size=(32, 24))))


def test_an_attempt_that_ended_in_an_adaptation_did_not_end_in_the_rollout_before_it(
    scripted: Callable[[str], Any],
) -> None:
    episode = scripted("never marked")
    episode.play([part(Mode.ROLLOUT, 0.3, "start"), part(Mode.PAUSED, 0.1, "pause"), part(Mode.TAKEOVER, 0.3, "go")])
    attempt = Attempt(open_episode(episode.close()))
    assert [found.last for found in parts_of(attempt, Options())] == [False, True]
    assert [found.last for found in parts_of(attempt, Options(adaptation=False))] == [False]


def test_a_masked_attempt_ends_where_somebody_moved_the_robot_last(scripted: Callable[[str], Any]) -> None:
    episode = scripted("paused at the end")
    episode.play([part(Mode.ROLLOUT, 0.3, "start"), part(Mode.PAUSED, 0.3, "pause")])
    attempt = Attempt(open_episode(episode.close()))
    (masked,) = parts_of(attempt, Options(pauses=Pauses.MASK))
    assert masked.end == np.flatnonzero(masked.keep)[-1] < len(masked.rows) - 1
