"""Statistics in pieces are those of the whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rove_core.errors import EpisodeError
from rove_recorder.reader import open_episode
from rove_recorder.windows.dataset import EpisodeDataset
from rove_recorder.windows.statistics import QUANTILES, array_statistics, dataset_statistics, write_statistics
from rove_recorder.windows.window_index import WindowFilter


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 500), max_size=6), seed=st.integers(0, 9), exact=st.booleans(), holes=st.booleans())
def test_pieces_give_the_statistics_of_the_whole(cuts: list[int], seed: int, exact: bool, holes: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal([0, 1e6, -3], [1, 1e-2, 1e3], (500, 3))
    rows = np.concatenate([rows, np.full((500, 1), 7.0)], axis=1)  # a joint that never moves
    if holes:
        rows[rng.random(rows.shape) < 0.3] = np.nan
    pieces = np.split(rows, sorted(cuts))
    found = array_statistics(lambda: iter(pieces), exact_values=rows.size if exact else 10)
    assert found.count.tolist() == (~np.isnan(rows)).sum(axis=0).tolist()
    np.testing.assert_allclose(found.mean, np.nanmean(rows, axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.std, np.nanstd(rows, axis=0), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(found.min, np.nanmin(rows, axis=0))
    np.testing.assert_array_equal(found.max, np.nanmax(rows, axis=0))
    for name, level in QUANTILES.items():
        if exact:
            np.testing.assert_allclose(found.quantiles[name], np.nanquantile(rows, level, axis=0), rtol=1e-12)
        else:
            # Between the same two numbers as the exact one, give or take a bin.
            low = np.nanquantile(rows, level, axis=0, method="lower") - found.quantile_error
            high = np.nanquantile(rows, level, axis=0, method="higher") + found.quantile_error
            assert ((low <= found.quantiles[name]) & (found.quantiles[name] <= high)).all()


def test_a_joint_without_numbers_has_no_statistics() -> None:
    rows = np.array([[1.0, np.nan], [3.0, np.nan]])
    for exact_values in (100, 1):
        written = array_statistics(lambda: iter([rows]), exact_values).as_json()
        assert written["count"] == [2, 0]
        assert written["mean"] == [2.0, None]
        assert written["max"] == [3.0, None]
        assert written["q50"][1] is None
    with pytest.raises(EpisodeError, match="no rows"):
        array_statistics(lambda: iter(()))


def test_statistics_are_of_the_rows_at_which_windows_start(takeover_episode: Path, tmp_path: Path) -> None:
    dataset = EpisodeDataset([takeover_episode], keep=WindowFilter(valid_only=False))
    found = dataset_statistics(dataset)
    rows, steps = open_episode(takeover_episode).training_view().rows, open_episode(takeover_episode).steps
    assert found["windows"] == len(rows)
    assert found["arrays"].keys() == {"state", "state_velocity", "action"}
    np.testing.assert_allclose(found["arrays"]["action"]["mean"], steps["command_sent"][rows].mean(axis=0))
    np.testing.assert_allclose(found["arrays"]["state"]["q90"], np.quantile(steps["state"][rows], 0.9, axis=0))
    write_statistics(tmp_path / "statistics.json", found)
    assert json.loads((tmp_path / "statistics.json").read_text()) == found
