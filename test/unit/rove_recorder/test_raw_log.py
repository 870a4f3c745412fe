"""The raw messages beside an episode: an MCAP file that is complete, or completed after a kill."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from mcap.reader import make_reader

from rove_recorder.recording import raw_log
from rove_recorder.recording.raw_log import RawLog, Topic, complete
from rove_recorder.recording.recovery import recover

TOPICS = {name: Topic(name, "std_msgs/msg/String", "string data") for name in ("/first", "/second")}
DEADLINE_S = 10.0


def _messages(path: Path) -> list[tuple[str, int, bytes]]:
    with path.open("rb") as file:
        reader = make_reader(file)
        assert reader.get_summary() is not None
        return [(channel.topic, message.log_time, message.data) for _, channel, message in reader.iter_messages()]


def test_messages_of_an_episode_and_from_just_before_are_in_its_file(tmp_path: Path) -> None:
    log = RawLog(TOPICS)
    log.start()
    log.put("/first", b"before", 1)
    log.put("/first", bytes(100_000), 1)
    log.begin(tmp_path / "attempt-part2.zarr")
    log.put("/first", b"one", 2)
    log.put("/second", b"two", 3)
    log.end()
    log.put("/first", b"after", 4)
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["attempt-part2.mcap"]
    assert _messages(tmp_path / "attempt-part2.mcap") == [
        ("/first", 1, b"before"),
        ("/first", 2, b"one"),
        ("/second", 3, b"two"),
    ]
    with (tmp_path / "attempt-part2.mcap").open("rb") as file:
        (metadata,) = make_reader(file).iter_metadata()
    assert metadata.metadata == {"episode": "attempt-part2.zarr", "session": tmp_path.name}


def test_an_episode_that_was_never_ended_is_finished_when_the_log_is_closed(tmp_path: Path) -> None:
    log = RawLog(TOPICS)
    log.start()
    log.begin(tmp_path / "attempt.zarr")
    log.put("/first", b"one", 2)
    log.close()
    assert _messages(tmp_path / "attempt.mcap") == [("/first", 2, b"one")]


@pytest.mark.parametrize("cut", [1, 70_000, 300_000])
def test_what_a_kill_left_behind_is_completed_up_to_the_last_whole_chunk(tmp_path: Path, cut: int) -> None:
    session = tmp_path / "session"
    session.mkdir()
    log = RawLog(TOPICS)
    log.start()
    log.begin(session / "attempt.zarr")
    sent = [("/first", number, os.urandom(1000)) for number in range(1, 1001)]
    for name, t_ns, data in sent:
        log.put(name, data, t_ns)
    log.close()
    finished = session / "attempt.mcap"
    content = finished.read_bytes()
    end_of_data = content.rindex(sent[-1][2]) + 1000
    killed = session / "attempt.mcap.open"
    killed.write_bytes(content[: end_of_data - cut])
    finished.unlink()
    (session / "dead.zarr.open.partial").mkdir()
    assert recover(tmp_path) == []  # no episode was open
    assert sorted(path.name for path in session.iterdir()) == [".recorder.lock", "attempt.mcap"]
    messages = _messages(finished)
    assert messages == sent[: len(messages)]
    assert len(messages) > 1000 - (cut + 2 * raw_log.CHUNK_BYTES) / 1000
    assert complete(session) == []


def test_messages_that_find_no_room_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_log, "MAX_WAITING_BYTES", 2500)
    log = RawLog(TOPICS)  # its thread does not run yet
    log.begin(tmp_path / "attempt.zarr")
    for number in range(5):
        log.put("/first", bytes(1000), number)
    assert log.dropped == 3
    log.start()
    log.close()
    assert len(_messages(tmp_path / "attempt.mcap")) == 2


def test_an_error_of_the_disk_ends_the_file_and_is_told(tmp_path: Path) -> None:
    log = RawLog(TOPICS)
    log.start()
    log.begin(tmp_path / "nowhere" / "attempt.zarr")
    log.put("/first", b"one", 2)
    deadline = time.monotonic() + DEADLINE_S
    while not log.error:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert log.error == "the raw log ended: No such file or directory"
    log.end()
    log.begin(tmp_path / "attempt.zarr")
    log.put("/first", b"one", 2)
    log.close()
    assert log.error == ""
    assert _messages(tmp_path / "attempt.mcap") == [("/first", 2, b"one")]
