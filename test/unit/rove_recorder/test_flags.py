"""An episode whose streams went over their budget is flagged, with the reason and its share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rove_core.modes import Mode
from rove_recorder.checking.flags import Budget, flags_of
from rove_recorder.reader import open_episode
from rove_recorder.recording.records import CommandSample, FrameSample, JointSample


def test_an_episode_within_its_budget_has_no_flags(takeover_episode: Path) -> None:
    assert open_episode(takeover_episode).attrs["flags"] == []


@pytest.mark.parametrize(
    ("kind", "code", "says"),
    [
        (FrameSample, "camera_over_budget", "camera 'head' older than 0.15 s in 49%"),
        (JointSample, "state_over_budget", "joint state older than 0.05 s in 56%"),
    ],
)
def test_a_stream_that_stops_is_a_flag(scripted: Callable[[str], Any], kind: type, code: str, says: str) -> None:
    episode = scripted("stopped")
    for _ in range(120):
        episode.step(Mode.ROLLOUT)
    episode.recorder._take[kind] = lambda _: None  # the cable is out
    for _ in range(180):
        episode.step(Mode.ROLLOUT)
    finished = open_episode(episode.close())
    (flag,) = finished.attrs["flags"]
    assert flag["code"] == code
    assert flag["detail"].startswith(says)
    assert 0.48 < flag["share"] < 0.57
    assert flags_of(finished) == finished.attrs["flags"]


def test_a_camera_that_stops_while_nobody_moves_the_robot_is_none(scripted: Callable[[str], Any]) -> None:
    episode = scripted("paused")
    for _ in range(120):
        episode.step(Mode.ROLLOUT)
    episode.images = False
    for _ in range(180):
        episode.step(Mode.PAUSED)
    assert open_episode(episode.close()).attrs["flags"] == []


def test_images_that_are_missing_are_a_flag_when_they_are_many(scripted: Callable[[str], Any]) -> None:
    flags = {}
    for dropped in (1, 30):
        episode = scripted(f"dropped{dropped}")
        for _ in range(280):
            episode.step(Mode.ROLLOUT)
        episode.recorder.drop("head", dropped, "overflow")
        flags[dropped] = open_episode(episode.close()).attrs["flags"]
    assert flags[1] == []
    (flag,) = flags[30]
    assert flag["code"] == "frames_dropped"
    assert flag["detail"] == "camera 'head': 30 of 70 images are missing"


def test_ticks_that_are_missing_are_a_flag(scripted: Callable[[str], Any]) -> None:
    episode = scripted("ticks")
    take = episode.recorder._take[CommandSample]
    for number in range(340):
        episode.recorder._take[CommandSample] = (lambda _: None) if 100 <= number < 140 else take
        episode.step(Mode.ROLLOUT)
    (flag,) = open_episode(episode.close()).attrs["flags"]
    assert flag["code"] == "ticks_missing"
    assert flag["detail"] == "40 of 340 ticks of the filter are missing"


def test_a_camera_whose_stamps_go_back_is_a_flag_and_its_old_images_stay_out(scripted: Callable[[str], Any]) -> None:
    episode = scripted("camera")
    for _ in range(280):
        episode.step(Mode.ROLLOUT)
    episode.recorder.feed(FrameSample("head", episode.t_ros_ns - 900_000_000, 0, episode.picture()))
    finished = open_episode(episode.close())
    assert len(finished.frames("head")) == 40
    (flag,) = finished.attrs["flags"]
    assert flag["code"] == "clock_went_back"
    assert "cameras/head went back by 0.865 s" in flag["detail"]


def test_the_same_image_twice_is_one_image(scripted: Callable[[str], Any]) -> None:
    episode = scripted("repeated")
    for _ in range(281):
        episode.step(Mode.ROLLOUT)
    for _ in range(3):
        episode.recorder.feed(FrameSample("head", episode.t_ros_ns - 5_000_000, 0, episode.picture()))
    finished = open_episode(episode.close())
    assert len(finished.frames("head")) == 41
    assert finished.attrs["flags"] == []


def test_the_budget_is_an_attribute_of_the_episode() -> None:
    budget = Budget(0.1, {"head": 0.2}, 0.01, 0.02)
    assert Budget.of({"budgets": budget.attribute()}) == budget
    assert budget.camera_s("head") == 0.2
    assert Budget.of({}) == Budget()
    assert Budget().camera_s("head") == 0.15


def test_an_image_that_was_lost_in_the_queue_is_counted_once(scripted: Callable[[str], Any]) -> None:
    episode = scripted("once")
    take = episode.recorder._take[FrameSample]
    for number in range(280):
        lost = 70 <= number < 105  # 5 images
        episode.recorder._take[FrameSample] = (lambda _: None) if lost else take
        if number == 104:
            episode.recorder.drop("head", 3, "overflow")
        episode.step(Mode.ROLLOUT)
    finished = open_episode(episode.close())
    drops = {event["reason"]: event["count"] for event in finished.events() if event["type"] == "frame_drop"}
    assert drops == {"overflow": 3, "gap": 2}
    assert finished.attrs["frames_dropped"] == {"head": 5}
