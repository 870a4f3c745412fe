"""Our LeRobot datasets read by the real LeRobot, in its own environment (`make test-interop`)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rove_core.modes import Source, Stage
from rove_recorder.formats import writer
from rove_recorder.formats.options import parse_options
from rove_recorder.reader import Episode, open_episode

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-lerobot/bin/python"
PROBE = Path(__file__).parent / "read_lerobot.py"
CHUNK = 4
# Grey levels, mean over an image of the scripted episodes; that of three rows earlier is .8 away.
CODEC_LOSS = 0.7

pytestmark = pytest.mark.skipif(
    not (PYTHON.parent / "lerobot-info").exists(), reason="LeRobot is not installed (Python 3.12): make test-interop"
)

Arrays = dict[str, Any]
Read = Callable[..., Arrays]


@pytest.fixture(scope="module")
def read(attempts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Converts the attempts with these options and gives what LeRobot reads."""

    def convert_and_read(*options: str, what: tuple[str, ...] = ()) -> Arrays:
        folder = tmp_path_factory.mktemp("lerobot")
        writer("lerobot")(attempts, folder / "dataset", parse_options(options))
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "cache")}
        command = [str(PYTHON), str(PROBE), str(folder / "dataset"), str(folder / "out.npz"), *what]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        with np.load(folder / "out.npz") as arrays:
            found = dict(arrays)
        if "about" in found:
            found["about"] = json.loads(found["about"].tobytes())
        return found

    return convert_and_read


@pytest.fixture(scope="module")
def episodes(attempts: list[Path]) -> list[Episode]:
    return [open_episode(path) for path in attempts]


@pytest.fixture(scope="module")
def v30(read: Read) -> Arrays:
    return read()


def attempt_of_rows(found: Arrays) -> np.ndarray:
    """Which attempt each row is of."""
    names = [row["attempt"] for row in found["about"]["episodes"]]
    return np.array([["first", "second"].index(names[number]) for number in found["episode_index"]])


def assert_values_are_the_rows(found: Arrays, episodes: list[Episode]) -> None:
    """Every number that LeRobot gives is the number in our row; images are the row's, but for the codec."""
    for number, episode in enumerate(episodes):
        mine = np.flatnonzero(attempt_of_rows(found) == number)
        rows, steps = found["hil.row"][mine], episode.steps
        sent = steps["command_sent"].astype(np.float32)
        assert np.array_equal(found["observation.state"][mine], steps["state"][rows].astype(np.float32))
        assert np.array_equal(found["action"][mine, 0], sent[rows])
        assert np.array_equal(found["intervention"][mine], steps["control"][rows] == Source.OPERATOR)
        assert np.array_equal(found["hil.t_ros_ns"][mine], steps["t_ros_ns"][rows])
        frames = episode.frames("head")
        for at, row in zip(mine, rows, strict=True):
            image = frames[int(steps["camera_index_head"][row])]
            seen = found["observation.images.head"][at].transpose(1, 2, 0) * 255
            assert np.abs(seen - image).mean() < CODEC_LOSS


def test_lerobot_reads_every_row_as_it_was_recorded(v30: Arrays, episodes: list[Episode]) -> None:
    assert v30["about"]["fps"] == 30
    assert v30["about"]["cameras"] == ["observation.images.head"]
    assert set(v30["about"]["tasks"]) == {"wipe the whiteboard"}
    assert len(v30["index"]) == sum(len(episode.training_view().rows) for episode in episodes)
    assert_values_are_the_rows(v30, episodes)


def test_lerobot_episodes_end_where_attempts_pause(v30: Arrays, episodes: list[Episode]) -> None:
    for number in np.unique(v30["episode_index"]):
        mine = v30["episode_index"] == number
        segment = episodes[attempt_of_rows(v30)[mine][0]].steps["segment_id"][v30["hil.row"][mine]]
        assert len(np.unique(segment)) == 1
        assert np.all(np.diff(v30["hil.row"][mine]) == 1)


def test_chunks_by_delta_timestamps_do_not_cross_a_pause(v30: Arrays, episodes: list[Episode]) -> None:
    attempts = attempt_of_rows(v30)
    for at in range(len(v30["index"])):
        steps = episodes[attempts[at]].steps
        row, pad = int(v30["hil.row"][at]), v30["action_is_pad"][at]
        wanted = steps["command_sent"][row : row + CHUNK].astype(np.float32)
        assert np.array_equal(v30["action"][at][~pad], wanted[: (~pad).sum()])
        assert np.all(steps["segment_id"][row : row + (~pad).sum()] == steps["segment_id"][row])
    assert v30["action_is_pad"].any()


def test_the_table_of_episodes_can_be_filtered_by_outcome(v30: Arrays) -> None:
    rows = v30["about"]["episodes"]
    assert [row["episode_index"] for row in rows if row["attempt"] == "first"] == v30["about"]["successes"]
    assert {row["outcome"] for row in rows} == {"success", "failure"}
    assert v30["next.success"].sum() == 1
    assert v30["next.done"].sum() == 2
    assert v30["next.truncated"].sum() == len(rows) - 2


def test_statistics_are_those_of_the_rows(v30: Arrays) -> None:
    states, found = v30["observation.state"].astype(np.float64), v30["about"]["stats"]["observation.state"]
    assert np.allclose(found["mean"], states.mean(axis=0), atol=1e-9)
    assert np.allclose(found["std"], states.std(axis=0), atol=1e-9)
    assert found["count"] == [len(states)]
    image = v30["about"]["stats"]["observation.images.head"]["mean"]
    assert np.allclose(np.ravel(image), v30["observation.images.head"].mean(axis=(0, 2, 3)), atol=0.02)


def test_a_dataset_without_adaptation_rows_has_none(read: Read, episodes: list[Episode]) -> None:
    found = read("adaptation=false", "images=false")
    assert Stage.ADAPTATION not in found["hil.stage"]
    assert {Stage.ROLLOUT, Stage.RECOVERY} == set(found["hil.stage"].tolist())


def test_masked_pauses_stay_and_are_marked(read: Read, episodes: list[Episode]) -> None:
    found = read("pauses=mask", "images=false")
    assert found["about"]["episodes"][-1]["episode_index"] == 1
    for number, episode in enumerate(episodes):
        mine = attempt_of_rows(found) == number
        kept = found["hil.row"][mine][found["hil.keep"][mine]]
        assert mine.sum() == episode.rows
        assert np.array_equal(kept, episode.training_view().rows)


def test_their_replay_buffer_takes_it(read: Read, v30: Arrays) -> None:
    found = read("images=false", what=("replay",))
    assert np.array_equal(found["action"], v30["action"][:, 0])
    assert np.array_equal(found["is_intervention"].ravel().astype(bool), v30["intervention"])
    assert np.array_equal(found["done"].ravel(), v30["next.done"])
    assert np.array_equal(found["reward"].ravel() == 1, v30["next.success"])
    inside = np.flatnonzero(np.diff(v30["episode_index"]) == 0)
    assert np.array_equal(found["next_state"][inside], found["state"][inside + 1])


def test_their_converter_reads_version_2_1(read: Read, episodes: list[Episode]) -> None:
    found = read("version=v2.1", what=("convert",))
    assert_values_are_the_rows(found, episodes)
