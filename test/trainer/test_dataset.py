from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rove_core.errors import EpisodeError
from rove_core.modes import Outcome, Source
from rove_inference.bundle import CameraSpec
from rove_inference.preprocess import prepare_image
from rove_recorder.reader import open_episode
from rove_trainer.dataset import find_episodes, load_windows

Record = Callable[..., Path]
HORIZON = 10


def test_a_window_begins_when_its_picture_was_taken(
    demonstration: Record, line: Callable[[float], np.ndarray], cameras: list[CameraSpec]
) -> None:
    path = demonstration("a", seconds=2.0)
    windows = load_windows([path], cameras, HORIZON)
    episode = open_episode(path)
    index = np.arange(len(windows))
    captures = episode.frames("head").capture_ns[np.unique(episode.steps["camera_index_head"][windows.row])]
    start_s = (captures[windows.image_index["head"]] - episode.steps["t_ros_ns"][0]) * 1e-9
    expected = np.stack([line(t) for t in start_s])
    # The joint state and the command of a row lie within 5 ms of it: the line moves .01 rad a second.
    np.testing.assert_allclose(windows.state(index), expected, atol=0.01 * 0.006)
    chunk, exists = windows.chunk(index, HORIZON)
    assert exists[: -HORIZON - 1].all()
    steps = start_s[:, None] + np.arange(HORIZON) / 30
    expected = np.stack([[line(t) + 0.5 for t in row] for row in steps])
    np.testing.assert_allclose(chunk[exists], expected[exists], atol=0.01 * 0.006)


def test_no_chunk_reaches_past_the_end_or_across_a_pause(demonstration: Record, cameras: list[CameraSpec]) -> None:
    path = demonstration("a", seconds=2.0, pause_s=0.5)
    windows = load_windows([path], cameras, HORIZON)
    steps = open_episode(path).steps
    ends = [*np.flatnonzero(np.diff(steps["segment_id"])).tolist(), len(steps["control"]) - 1]
    for row, length in zip(windows.row, windows.length, strict=True):
        end = min(end for end in ends if end >= row)
        assert length == min(HORIZON, end - row + 1)
    chunk, exists = windows.chunk(np.array([len(windows) - 1]), HORIZON)
    assert exists[0].tolist() == [True] + [False] * (HORIZON - 1)
    np.testing.assert_array_equal(chunk[0, 1:], np.tile(chunk[0, 0], (HORIZON - 1, 1)))


def test_only_rows_under_the_asked_control_are_learnt_from(demonstration: Record, cameras: list[CameraSpec]) -> None:
    path = demonstration("a", seconds=1.0, pause_s=0.5)
    windows = load_windows([path], cameras, HORIZON)
    assert (open_episode(path).steps["control"][windows.row] == Source.OPERATOR).all()
    with pytest.raises(EpisodeError, match="no step under the control of POLICY"):
        load_windows([path], cameras, HORIZON, source=Source.POLICY)


def test_pictures_are_prepared_as_on_the_robot(demonstration: Record, cameras: list[CameraSpec]) -> None:
    path = demonstration("a", seconds=1.0)
    windows = load_windows([path], cameras, HORIZON)
    episode = open_episode(path)
    frame = episode.frames("head")[int(episode.steps["camera_index_head"][windows.row[7]])]
    used = windows.images["head"][windows.image_index["head"][7]]
    np.testing.assert_array_equal(used, prepare_image(frame, cameras[0]))


def test_several_episodes_share_one_numbering(demonstration: Record, cameras: list[CameraSpec]) -> None:
    paths = [demonstration("a", seconds=1.0), demonstration("b", seconds=1.5)]
    both = load_windows(paths, cameras, HORIZON)
    second = load_windows(paths[1:], cameras, HORIZON)
    keep = both.episode == 1
    assert keep.sum() == len(second)
    part, index = both.subset(keep), np.arange(len(second))
    np.testing.assert_array_equal(part.state(index), second.state(index))
    np.testing.assert_array_equal(part.chunk(index, HORIZON)[0], second.chunk(index, HORIZON)[0])
    np.testing.assert_array_equal(
        part.images["head"][part.image_index["head"]], second.images["head"][second.image_index["head"]]
    )


def test_only_successes_are_found(demonstration: Record, tmp_path: Path) -> None:
    good = demonstration("a", seconds=0.5)
    demonstration("b", seconds=0.5, outcome=Outcome.FAILURE)
    assert find_episodes([tmp_path]) == [good]
    with pytest.raises(EpisodeError, match=r"2 episodes in .* none ended as aborted"):
        find_episodes([tmp_path], frozenset({Outcome.ABORTED}))
