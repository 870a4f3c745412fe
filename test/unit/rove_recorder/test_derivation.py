"""Derived labels: computed once, whole or not there, stale when annotations come later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import zarr

from rove_core.errors import ConfigError, EpisodeError
from rove_recorder.cli.derive import configured
from rove_recorder.episode_format.hashes import problems
from rove_recorder.episode_format.storage import AnyArray
from rove_recorder.labels.annotations import annotate
from rove_recorder.labels.derivation import Derivation, derive, derive_all
from rove_recorder.labels.returns import RETURNS, ReturnsConfig
from rove_recorder.reader import Episode, open_episode


@dataclass(frozen=True)
class Scale:
    factor: float = 2.0


def scaled(episode: Episode, config: Scale) -> Mapping[str, AnyArray]:
    return {"state": episode.steps["state"] * config.factor}


def too_short(episode: Episode, config: Scale) -> Mapping[str, AnyArray]:
    return {"state": episode.steps["state"][1:]}


SCALED = Derivation("scaled", Scale(), scaled)


def relabel(path: Path) -> None:
    annotate(
        path, "outcome", "outcome", {"value": "failure"}, by="ann", when=datetime(2026, 5, 5, tzinfo=UTC), tool="test"
    )


def test_labels_are_read_back_by_us_and_by_zarr(takeover_episode: Path) -> None:
    assert derive(takeover_episode, SCALED)
    episode = open_episode(takeover_episode)
    expected = episode.steps["state"] * 2
    assert np.array_equal(episode.derived("scaled")["state"], expected)
    assert np.array_equal(episode.derived(SCALED.group)["state"], expected)
    group = zarr.open_group(takeover_episode / "derived" / SCALED.group, mode="r")
    assert np.array_equal(np.asarray(group["state"]), expected)
    assert group.attrs["config"] == {"factor": 2.0}
    assert problems(takeover_episode) == []


def test_what_is_there_is_not_computed_again(takeover_episode: Path) -> None:
    assert derive(takeover_episode, SCALED)
    before = (takeover_episode / "derived" / SCALED.group).stat()
    assert not derive(takeover_episode, SCALED)
    assert (takeover_episode / "derived" / SCALED.group).stat() == before


def test_another_setting_is_another_group(takeover_episode: Path) -> None:
    other = replace(SCALED, config=Scale(3.0))
    assert other.group != SCALED.group
    derive(takeover_episode, SCALED)
    derive(takeover_episode, other)
    episode = open_episode(takeover_episode)
    with pytest.raises(EpisodeError, match="several labels 'scaled'"):
        episode.derived("scaled")
    assert np.array_equal(episode.derived(other.group)["state"], episode.steps["state"] * 3)


def test_a_correction_makes_labels_stale_until_they_are_computed_again(takeover_episode: Path) -> None:
    derive(takeover_episode, RETURNS)
    assert open_episode(takeover_episode).derived("returns")["reward"][-1] == 0
    relabel(takeover_episode)
    with pytest.raises(EpisodeError, match=r"computed from annotations none, in force are \['outcome@1'\]"):
        open_episode(takeover_episode).derived("returns")
    assert derive(takeover_episode, RETURNS)
    assert open_episode(takeover_episode).derived("returns")["reward"][-1] == -1
    assert [path.name for path in (takeover_episode / "derived").glob(".*")] == []


def test_a_kill_leaves_nothing_that_counts_as_labels(takeover_episode: Path) -> None:
    derive(takeover_episode, SCALED)
    group = takeover_episode / "derived" / SCALED.group
    group.rename(group.with_name(f".{SCALED.group}.1.ab"))  # killed before the rename
    with pytest.raises(EpisodeError, match="no labels 'scaled'"):
        open_episode(takeover_episode).derived("scaled")
    assert derive(takeover_episode, SCALED)


def test_arrays_that_do_not_fit_the_rows_are_refused(takeover_episode: Path) -> None:
    with pytest.raises(EpisodeError, match=r"'state' has 119 entries .* expected 120"):
        derive(takeover_episode, Derivation("short", Scale(), too_short))
    assert [path.name for path in (takeover_episode / "derived").iterdir()] == ["zarr.json"]


def test_an_open_episode_has_no_labels(takeover_episode: Path) -> None:
    path = takeover_episode.rename(takeover_episode.with_name("takeover.zarr.open"))
    with pytest.raises(EpisodeError, match="still open"):
        derive(path, SCALED)


def test_one_that_fails_does_not_stop_the_others(takeover_episode: Path, failed_episode: Path) -> None:
    (failed_episode / "steps" / "state" / "zarr.json").unlink()
    paths = [failed_episode, takeover_episode]
    done = dict(derive_all(paths, SCALED))
    assert done[takeover_episode] == "computed"
    assert "no array 'state'" in done[failed_episode]
    assert dict(derive_all(paths, SCALED))[takeover_episode] == "there"


def test_dask_computes_the_same(takeover_episode: Path, failed_episode: Path) -> None:
    pytest.importorskip("distributed")
    paths = [takeover_episode, failed_episode]
    assert dict(derive_all(paths, RETURNS, workers=2)) == dict.fromkeys(paths, "computed")
    assert dict(derive_all(paths, RETURNS)) == dict.fromkeys(paths, "there")
    assert open_episode(failed_episode).derived("returns")["reward"][-1] == -500


def test_a_scheduler_that_is_not_there_is_one_line(takeover_episode: Path) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(EpisodeError, match="no Dask scheduler answers at tcp"):
        list(derive_all([takeover_episode], SCALED, scheduler="tcp://127.0.0.1:1", timeout_s=0.2))


def test_settings_have_names_and_types() -> None:
    assert configured(RETURNS, ["failure=-300", "mark_ends_return=true"]).config == ReturnsConfig(
        failure=-300.0, mark_ends_return=True
    )
    with pytest.raises(ConfigError, match="no setting 'failre'") as caught:
        configured(RETURNS, ["failre=1"])
    assert "'failure'" in caught.value.hint
    with pytest.raises(ConfigError, match="'many' is no float"):
        configured(RETURNS, ["failure=many"])
