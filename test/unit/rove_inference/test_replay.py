"""A policy on an episode that the recorder wrote: observations, differences, the page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from rove_core.errors import EpisodeError
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode, Outcome, Source, Stage
from rove_inference.comparison_page import ticks, write_page
from rove_inference.loading import load_policy
from rove_inference.observation import Missing
from rove_inference.query import Query
from rove_inference.recorded import RecordedEpisode
from rove_inference.replay import replay, report
from rove_recorder.recording.episode import Ending, EpisodeRecorder
from rove_recorder.recording.records import CameraModel, CommandSample, EpisodeInfo, FrameSample, JointSample
from rove_recorder.recording.resampler import Resampler
from rove_recorder.recording.writer import EpisodeWriter

TICK_NS = 5_000_000
START_NS = 40_000_000_000
ROS_NS = 1_700_000_000_000_000_000
WALL = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
# What the tiny policy does when it sees white: .001 rad a step of 1/30 s.
LEAN_RADPS = 0.03
# A row's command is up to a tick of the filter later than the row.
TICK_RAD = LEAN_RADPS * TICK_NS * 1e-9

Record = Callable[..., Path]


@pytest.fixture
def record(tmp_path: Path, space: JointSpace) -> Record:
    """Records seconds of (who moves, how long): joints lean as the tiny policy leans for white, plus `offset` rad."""

    def write(parts: list[tuple[Source, float]], offset: float = 0.0, cameras: bool = True) -> Path:
        session = tmp_path / "session"
        session.mkdir()
        models = {"head": CameraModel(32, 24)} if cameras else {}
        info = EpisodeInfo("attempt", "whiteboard", "wipe the whiteboard")
        writer = EpisodeWriter(session, info, space, models, 30.0, WALL)
        recorder = EpisodeRecorder(writer, Resampler(30.0, space.dim, len(space.groups), tuple(models)), 30.0, 95)
        tick, moved, stage_of = 0, 0, {Source.POLICY: Stage.ROLLOUT, Source.OPERATOR: Stage.ADAPTATION}
        mode_of = {Source.POLICY: Mode.ROLLOUT, Source.OPERATOR: Mode.TAKEOVER, Source.HOLD: Mode.PAUSED}
        for epoch, (source, seconds) in enumerate(parts, 1):
            for _ in range(round(seconds * 200)):
                t_ns = START_NS + tick * TICK_NS
                state = space.clip(space.home + LEAN_RADPS * moved * TICK_NS * 1e-9)
                if cameras and tick % 7 == 0:
                    picture = np.full((24, 32, 3), 255, np.uint8)
                    recorder.feed(FrameSample("head", t_ns + ROS_NS, t_ns + ROS_NS, picture))
                recorder.feed(JointSample(t_ns + ROS_NS, t_ns + ROS_NS, state, np.zeros(space.dim)))
                sent = state + offset
                recorder.feed(
                    CommandSample(
                        t_mono_ns=t_ns,
                        t_ros_ns=t_ns + ROS_NS,
                        tick=tick,
                        source=int(source),
                        mode=mode_of[source].number,
                        stage=int(stage_of.get(source, Stage.NONE)),
                        epoch=epoch,
                        episode_id="attempt",
                        chunk_id=0,
                        chunk_step=-1,
                        target=sent,
                        sent=sent,
                        limited=np.zeros(space.dim, np.uint8),
                        operator=sent if source == Source.OPERATOR else None,
                        policy=sent if source == Source.POLICY else None,
                    )
                )
                tick, moved = tick + 1, moved + (source != Source.HOLD)
        return recorder.close(Ending(Outcome.SUCCESS, "test", START_NS + ROS_NS, "succeed"), WALL)

    return write


def test_a_policy_that_does_what_was_done_differs_by_nothing(record: Record, tiny: Path, space: JointSpace) -> None:
    episode = RecordedEpisode(record([(Source.POLICY, 2.0), (Source.HOLD, 0.5), (Source.OPERATOR, 2.0)]))
    done = replay(load_policy(tiny, space), episode, Query(), 0.3)
    figures = report(done, space, execute=16)
    assert figures["answers"] == 8  # every 16 of 60 rows, twice
    assert figures["all"]["max"] < 1.01 * TICK_RAD
    assert figures["by_control"].keys() == {"policy", "human"}
    assert figures["groups"].keys() == space.groups.keys()
    assert figures["all"]["hold_mean_abs"] > 20 * TICK_RAD


def test_a_difference_is_measured_where_it_is(record: Record, tiny: Path, space: JointSpace) -> None:
    episode = RecordedEpisode(record([(Source.OPERATOR, 1.0)], offset=0.01))
    figures = report(replay(load_policy(tiny, space), episode, Query(), 0.3), space, execute=16)
    assert figures["all"]["mean_abs"] == pytest.approx(0.01, abs=TICK_RAD)
    assert figures["joints"]["head_yaw"]["rms"] == pytest.approx(0.01, abs=TICK_RAD)
    assert figures["mean_abs_by_step"][0] == pytest.approx(0.01, abs=TICK_RAD)


def test_nothing_is_compared_across_the_end_of_a_segment(record: Record, tiny: Path, space: JointSpace) -> None:
    episode = RecordedEpisode(record([(Source.POLICY, 1.0), (Source.HOLD, 1.0), (Source.OPERATOR, 1.0)]))
    for answer in replay(load_policy(tiny, space), episode, Query(), 0.3).answers:
        (start, stop) = next(segment for segment in episode.segments() if segment[0] <= answer.row < segment[1])
        known = np.isfinite(answer.recorded[:, 0])
        assert known.sum() == pytest.approx(stop - answer.row, abs=1)
        assert not known[stop - start :].any()


def test_the_state_is_the_one_at_the_pictures_time(record: Record) -> None:
    episode = RecordedEpisode(record([(Source.POLICY, 1.0)]))
    observation = episode.observation(10, ["head"], 0.3)
    assert not isinstance(observation, Missing)
    assert observation.stamp_ns <= episode.t_ros_ns[10]
    assert (observation.stamp_ns - START_NS - ROS_NS) % (7 * TICK_NS) == 0
    assert observation.oldest_ns == observation.stamp_ns


def test_pictures_that_are_too_old_are_counted_not_acted_on(record: Record, tiny: Path, space: JointSpace) -> None:
    episode = RecordedEpisode(record([(Source.POLICY, 1.0)]))
    done = replay(load_policy(tiny, space), episode, Query(), max_age_s=1e-6, every=5)
    assert "picture of camera 'head' is" in next(iter(done.unanswered))


def test_what_is_no_episode_for_this_policy_is_one_line(record: Record, tiny: Path, space: JointSpace) -> None:
    with pytest.raises(EpisodeError, match="no finished episode"):
        RecordedEpisode(tiny)
    path = record([(Source.POLICY, 0.5)], cameras=False)
    with pytest.raises(EpisodeError, match="no camera 'head'"):
        replay(load_policy(tiny, space), RecordedEpisode(path), Query(), 0.3)
    metadata = json.loads((path / "zarr.json").read_text())
    metadata["attributes"]["schema_version"] = 9
    (path / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(EpisodeError, match="version 9, expected"):
        RecordedEpisode(path)


def test_an_episode_in_which_nobody_moved_the_robot_has_nothing_to_compare(
    record: Record, tiny: Path, space: JointSpace
) -> None:
    with pytest.raises(EpisodeError, match="nobody moved the robot"):
        replay(load_policy(tiny, space), RecordedEpisode(record([(Source.HOLD, 0.5)])), Query(), 0.3)


def test_a_damaged_episode_names_the_array(record: Record) -> None:
    path = record([(Source.POLICY, 0.5)])
    shutil.rmtree(path / "steps" / "state")
    with pytest.raises(EpisodeError, match="steps/state"):
        RecordedEpisode(path)


def test_the_page_shows_two_joints_of_every_group(
    record: Record, tiny: Path, space: JointSpace, tmp_path: Path
) -> None:
    episode = RecordedEpisode(record([(Source.POLICY, 1.0), (Source.OPERATOR, 1.0)]))
    done = replay(load_policy(tiny, space), episode, Query(), 0.3)
    write_page(tmp_path / "out/page.html", episode, "tiny@1", 16, done, report(done, space, 16))
    page = (tmp_path / "out/page.html").read_text(encoding="utf-8")
    drawings = ["<svg" + part.split("</svg>")[0] + "</svg>" for part in page.split("<svg")[1:]]
    assert len(drawings) == 1 + 2 * len(space.groups)
    for drawing in drawings:
        ElementTree.fromstring(drawing)  # noqa: S314 - our own
    assert 'class="human"' in page
    assert 'class="policy"' in page


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0.0, 1.0, 5) == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(-0.013, 0.021, 4) == pytest.approx([-0.01, 0.0, 0.01, 0.02])
