"""When an episode opens and closes, with which outcome, and what happens when the disk refuses."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rove_core.errors import RecordingError
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode
from rove_recorder.checking.check import check_episode
from rove_recorder.reader import Episode, open_episode
from rove_recorder.recording import inbox
from rove_recorder.recording.inbox import MAX_IMAGE_BYTES, Inbox
from rove_recorder.recording.recorder import Recorder
from rove_recorder.recording.records import CommandSample, FrameSample, ModeSample
from rove_recorder.recording.settings import RecorderConfig, RecorderState

DEADLINE_S = 10.0
MakeMode = Callable[..., ModeSample]


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.005)


@pytest.fixture
def session(tmp_path: Path) -> Path:
    return tmp_path / "session"


@pytest.fixture
def recorder(session: Path) -> Iterator[Recorder]:
    made = Recorder(RecorderConfig(out_dir=str(session), min_free_mb=1, sync_period_s=0), JointSpace.load("iron_r01"))
    made.start()
    yield made
    made.close()


def command(recorder: Recorder, number: int, episode_id: str = "attempt") -> CommandSample:
    home, t_ns = recorder._space.home, 10**10 + number * 5_000_000
    nothing = np.zeros(len(home), np.uint8)
    return CommandSample(t_ns, t_ns, number, 1, 1, 1, 1, episode_id, 0, -1, home, home, nothing)


def tick(recorder: Recorder, number: int, episode_id: str = "attempt") -> None:
    recorder.put(command(recorder, number, episode_id))


def finished(session: Path) -> list[Episode]:
    return [open_episode(path) for path in sorted(session.glob("*.zarr"))]


@pytest.mark.parametrize(
    ("event", "outcome"),
    [("succeed", "success"), ("fail", "failure"), ("abort", "aborted"), ("reset", "aborted"), ("clear", "unlabelled")],
)
def test_the_event_that_leads_to_idle_is_the_outcome(
    recorder: Recorder, session: Path, mode_sample: MakeMode, event: str, outcome: str
) -> None:
    recorder.put(mode_sample(Mode.ROLLOUT, 1, "start"))
    for number in range(100):
        tick(recorder, number)
    recorder.put(mode_sample(Mode.IDLE, 2, event, episode_id=""))
    wait(lambda: recorder.status.last_outcome == outcome)
    (episode,) = finished(session)
    assert episode.attrs["outcome"]["value"] == outcome
    assert episode.attrs["outcome"]["by"] == "keyboard:test"
    assert episode.attrs["task"] == "toaster"
    assert episode.rows == 15
    assert recorder.status.state is RecorderState.IDLE


def test_heartbeats_of_the_same_mode_are_not_recorded(recorder: Recorder, session: Path, mode_sample: MakeMode) -> None:
    for _ in range(5):
        recorder.put(mode_sample(Mode.ROLLOUT, 1, "start"))
    recorder.put(mode_sample(Mode.IDLE, 2, "fail", episode_id=""))
    wait(lambda: finished(session))
    (episode,) = finished(session)
    assert [event["type"] for event in episode.events()] == ["mode", "mode"]


def test_what_came_just_before_the_mode_is_in_the_episode(
    recorder: Recorder, session: Path, mode_sample: MakeMode
) -> None:
    for number in range(20):
        tick(recorder, number)
    recorder.put(FrameSample("head", 10**10 - 1, 10**10, np.zeros((8, 8, 3), np.uint8)))
    recorder.put(mode_sample(Mode.ROLLOUT, 1, "start"))
    recorder.put(mode_sample(Mode.IDLE, 2, "fail", episode_id=""))
    wait(lambda: finished(session))
    (episode,) = finished(session)
    assert episode.streams["commands"].records == 20
    assert episode.steps["camera_index_head"].tolist() == [0, 0, 0]


def test_images_of_the_next_scene_are_not_in_the_episode(
    recorder: Recorder, session: Path, mode_sample: MakeMode
) -> None:
    ended = mode_sample(Mode.IDLE, 2, "succeed", episode_id="")
    recorder.put(mode_sample(Mode.ROLLOUT, 1, "start"))
    for number in range(40):
        tick(recorder, number)
    recorder.put(ended)
    for capture_ns in (ended.t_ros_ns, ended.t_ros_ns + 1):
        recorder.put(FrameSample("head", capture_ns, capture_ns, np.zeros((8, 8, 3), np.uint8)))
    wait(lambda: recorder.status.last_outcome == "success")
    (episode,) = finished(session)
    assert len(episode.frames("head")) == 1


def test_commands_of_another_attempt_are_not_recorded(recorder: Recorder, session: Path, mode_sample: MakeMode) -> None:
    recorder.put(mode_sample(Mode.ROLLOUT, 1, "start"))
    tick(recorder, 0, "another")
    recorder.put(mode_sample(Mode.IDLE, 2, "fail", episode_id=""))
    wait(lambda: finished(session))
    assert finished(session)[0].streams["commands"].records == 0


def test_a_new_attempt_ends_the_one_before(recorder: Recorder, session: Path, mode_sample: MakeMode) -> None:
    recorder.put(mode_sample(Mode.ROLLOUT, 1, "start"))
    recorder.put(mode_sample(Mode.ROLLOUT, 3, "start", episode_id="second"))
    wait(lambda: recorder.status.episode_id == "second")
    assert [episode.episode_id for episode in finished(session)] == ["attempt"]


def test_closing_the_recorder_aborts_the_open_attempt(session: Path, mode_sample: MakeMode) -> None:
    recorder = Recorder(RecorderConfig(out_dir=str(session), min_free_mb=1), JointSpace.load("iron_r01"))
    recorder.start()
    recorder.put(mode_sample(Mode.ROLLOUT, 1, "start"))
    recorder.close()
    (episode,) = finished(session)
    assert episode.attrs["outcome"]["value"] == "aborted"
    assert episode.attrs["ended_by"] == "shutdown"


@pytest.mark.parametrize("clock", ["t_mono_ns", "t_ros_ns"])
def test_what_comes_after_a_clock_that_was_set_back_is_a_further_part(
    recorder: Recorder, session: Path, mode_sample: MakeMode, clock: str
) -> None:
    recorder.put(mode_sample(Mode.ROLLOUT, 1, "start"))
    for number in range(600):
        sample = command(recorder, number)
        recorder.put(sample if number < 400 else replace(sample, **{clock: getattr(sample, clock) - 1_900_000_000}))
    recorder.put(mode_sample(Mode.IDLE, 2, "succeed", episode_id=""))
    wait(lambda: recorder.status.last_outcome == "success")
    first, second = (open_episode(session / f"attempt{part}.zarr") for part in ("", "-part2"))
    assert [episode.streams["commands"].records for episode in (first, second)] == [400, 200]
    assert [episode.rows for episode in (first, second)] == [60, 30]
    assert [episode.attrs["ended_by"] for episode in (first, second)] == ["clock_went_back", "succeed"]
    for episode in (first, second):
        assert check_episode(episode) == []
        (flag,) = [flag for flag in episode.attrs["flags"] if flag["code"] == "clock_went_back"]
        assert flag["detail"] == "the stamps of commands went back by 1.895 s"


def test_a_command_that_was_overtaken_does_not_end_the_episode(
    recorder: Recorder, session: Path, mode_sample: MakeMode
) -> None:
    recorder.put(mode_sample(Mode.ROLLOUT, 1, "start"))
    for number in (*range(100), 50, 98, 99, *range(100, 200)):
        tick(recorder, number)
    recorder.put(mode_sample(Mode.IDLE, 2, "succeed", episode_id=""))
    wait(lambda: recorder.status.last_outcome == "success")
    (episode,) = finished(session)
    assert episode.streams["commands"].records == 200
    (event,) = [event for event in episode.events() if event["type"] == "clock_went_back"]
    assert event["count"] == 2
    assert check_episode(episode) == []


def test_a_second_recorder_is_refused(recorder: Recorder, session: Path) -> None:
    second = Recorder(RecorderConfig(out_dir=str(session)), JointSpace.load("iron_r01"))
    with pytest.raises(RecordingError, match="another recorder"):
        second.start()


def test_a_restarted_recorder_continues_the_attempt_as_another_part(session: Path, mode_sample: MakeMode) -> None:
    for _ in range(2):
        recorder = Recorder(RecorderConfig(out_dir=str(session), min_free_mb=1), JointSpace.load("iron_r01"))
        recorder.start()
        recorder.put(mode_sample(Mode.ROLLOUT, 1, "start"))
        recorder.close()
    first, second = (open_episode(session / f"attempt{part}.zarr") for part in ("", "-part2"))
    assert second.attrs["continues"] == first.episode_id


def test_too_little_room_is_a_fault_that_says_what_to_do(session: Path, mode_sample: MakeMode) -> None:
    config = RecorderConfig(out_dir=str(session), min_free_mb=10**9)
    with pytest.raises(RecordingError, match="MiB free") as error:
        Recorder(config, JointSpace.load("iron_r01")).start()
    assert "delete finished episodes" in error.value.hint


def test_a_disk_that_refuses_is_a_fault_and_the_episode_until_then_is_kept(
    recorder: Recorder, session: Path, mode_sample: MakeMode
) -> None:
    recorder.put(mode_sample(Mode.ROLLOUT, 1, "start"))
    for number in range(200):
        tick(recorder, number)
    wait(lambda: recorder.status.rows > 20)
    wait(lambda: open_episode(session / "attempt.zarr.open").rows > 20)
    # A limit on the size of files is a real error of write(2), like a full disk.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        for number in range(200, 900):
            tick(recorder, number)
        wait(lambda: recorder.status.state is RecorderState.FAULT)
        assert "File too large" in recorder.status.message
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    wait(lambda: recorder.status.state is RecorderState.IDLE)  # there is room again
    recorder.close()
    left = [*session.glob("*.zarr"), *session.glob("*.zarr.open")]
    assert open_episode(left[0]).rows >= 20


def test_commands_that_find_no_room_in_the_queue_are_an_event(
    recorder: Recorder, session: Path, mode_sample: MakeMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.put(mode_sample(Mode.ROLLOUT, 1, "start"))
    wait(lambda: recorder.status.state is RecorderState.RECORDING)
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "MAX_RECORDS", 0)
        for number in range(7):
            tick(recorder, number)
    assert recorder._inbox.records_dropped == 7
    wait(lambda: recorder.status.records_dropped == 7)
    recorder.put(mode_sample(Mode.IDLE, 2, "fail", episode_id=""))
    wait(lambda: finished(session))
    events = [event for event in finished(session)[0].events() if event["type"] == "record_drop"]
    assert sum(event["count"] for event in events) == 7


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = RecorderConfig(out_dir=str(tmp_path / "file" / "session"))
    with pytest.raises(RecordingError, match="cannot create"):
        Recorder(config, JointSpace.load("iron_r01")).start()


def test_images_that_find_no_room_in_the_queue_are_counted() -> None:
    queue = Inbox()
    image = np.zeros((1000, 1000, 3), np.uint8)
    room = MAX_IMAGE_BYTES // image.nbytes
    for _ in range(room + 3):
        queue.put(FrameSample("head", 0, 0, image))
    records, lost = queue.take()
    assert len(records) == room
    assert lost == {"head": 3}
    queue.put(FrameSample("head", 0, 0, image))
    assert len(queue.take()[0]) == 1
