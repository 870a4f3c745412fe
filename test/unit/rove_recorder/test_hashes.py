"""What is hashed while it is recorded is what anybody finds later, and every change of a finished episode is named."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rove_core.errors import EpisodeError
from rove_core.modes import Mode
from rove_recorder.episode_format.appending import GroupWriter
from rove_recorder.episode_format.hashes import HASHES, hash_episode, problems, read_hashes
from rove_recorder.episode_format.schema import ArraySpec, GroupSpec, Layout
from rove_recorder.episode_format.storage import ArrayFolder
from rove_recorder.reader import open_episode


def test_the_hashes_of_a_closed_episode_are_those_of_its_files(takeover_episode: Path) -> None:
    hashes = read_hashes(takeover_episode)
    assert hashes == hash_episode(takeover_episode)
    files = [path for path in takeover_episode.rglob("*") if path.is_file()]
    names = {path.relative_to(takeover_episode).as_posix() for path in files}
    assert set(hashes.files) == {name for name in names if not name.startswith((HASHES, "annotations/", "derived/"))}
    lines = [f"{file.sha256}  {file.bytes}  {path}\n" for path, file in sorted(hashes.files.items())]
    assert hashes.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert problems(takeover_episode) == []


def test_full_chunks_are_not_read_again_when_an_episode_is_finished(scripted: Callable[[str], Any]) -> None:
    """8 s: the wide arrays of the commands have more than one chunk."""
    episode = scripted("long")
    for _ in range(1600):
        episode.step(Mode.PAUSED)
    episode.recorder.flush()
    known = episode.writer._full_chunks()
    assert "streams/commands/sent/c/0/0" in known
    finished = episode.close()
    hashes = read_hashes(finished)
    assert {path: hashes.files[path] for path in known} == known
    assert hashes == hash_episode(finished)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: (folder / "steps" / "mode" / "c" / "0").unlink(), "steps/mode/c/0 is missing"),
        (lambda folder: shutil.rmtree(folder / "chunks"), "chunks is missing with "),
        (lambda folder: (folder / "steps" / "note").touch(), "steps/note does not belong"),
        (lambda folder: os.truncate(folder / "steps/mode/c/0", 100), "steps/mode/c/0 has 100 bytes"),
        (lambda folder: _flip(folder / "steps/mode/c/0", 7), "steps/mode/c/0 was changed"),
        (lambda folder: _flip(folder / HASHES, 5), "hashes.json is not a list"),
        (lambda folder: _rehash(folder), "hashes.json was changed"),
    ],
)
def test_every_change_is_one_line(takeover_episode: Path, change: Callable[[Path], object], says: str) -> None:
    change(takeover_episode)
    (line,) = problems(takeover_episode)
    assert says in line


def _flip(path: Path, index: int) -> None:
    content = bytearray(path.read_bytes())
    content[index] ^= 1
    path.write_bytes(content)


def _rehash(folder: Path) -> None:
    """Somebody who changes a file and its entry, and forgets the hash of all."""
    content = json.loads((folder / HASHES).read_bytes())
    content["files"]["zarr.json"]["sha256"] = "0" * 64
    (folder / HASHES).write_text(json.dumps(content))


def test_annotations_and_labels_may_come_later(takeover_episode: Path) -> None:
    (takeover_episode / "annotations" / "outcome@1").mkdir()
    (takeover_episode / "annotations" / "outcome@1" / "zarr.json").write_text("{}")
    (takeover_episode / "derived" / "zarr.json").write_text("{}")
    assert problems(takeover_episode) == []


def test_an_episode_from_before_there_were_hashes_has_none(takeover_episode: Path) -> None:
    (takeover_episode / HASHES).unlink()
    assert read_hashes(takeover_episode) is None
    assert problems(takeover_episode) == []


def test_an_algorithm_of_the_future_is_refused(takeover_episode: Path) -> None:
    content = json.loads((takeover_episode / HASHES).read_bytes())
    (takeover_episode / HASHES).write_text(json.dumps({**content, "algorithm": "blake3"}))
    with pytest.raises(EpisodeError, match="blake3"):
        read_hashes(takeover_episode)


@pytest.mark.parametrize("allowed", [0, 5, 700, 4000, 524_288 + 100, 600_000])
def test_a_batch_that_the_disk_took_in_part_is_completed_by_the_next_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    """The disk was full and has room again: nothing is there twice."""
    spec = GroupSpec(
        "images",
        (
            ArraySpec("jpeg", "uint8", layout=Layout.RAGGED, offsets="offsets"),
            ArraySpec("offsets", "int64", layout=Layout.OFFSETS),
            ArraySpec("stamp", "int64"),
        ),
    )
    group, rng = GroupWriter(tmp_path, spec), np.random.default_rng(1)
    images = [rng.bytes(int(size)) for size in rng.integers(1, 100_000, 13)]
    for number, image in enumerate(images):
        group.add({"jpeg": image, "stamp": number})
    write, room = os.write, [allowed]

    def full(handle: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(handle, data[: room[0]])
        room[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            group.flush()
    group.flush()
    group.close()
    arrays = {name: ArrayFolder(tmp_path / "images" / name) for name in ("jpeg", "offsets", "stamp")}
    offsets = arrays["offsets"].read(0, 14)
    assert arrays["stamp"].read(0, 13).tolist() == list(range(13))
    jpeg = arrays["jpeg"].read(0, int(offsets[-1]))
    assert [jpeg[a:b].tobytes() for a, b in itertools.pairwise(offsets)] == images
    assert arrays["jpeg"].rows_on_disk() == len(jpeg)


def test_an_episode_that_was_cut_has_the_hashes_of_what_is_left(scripted: Callable[[str], Any]) -> None:
    """Rows that name a command which is not there are cut off at the end, from chunks that were full."""
    episode = scripted("cut")
    for _ in range(1600):
        episode.step(Mode.PAUSED)
    episode.recorder.flush()
    for _ in range(5000):
        episode.writer.row(replace(episode.recorder._resampler._last_row, command_index=10**6))
    episode.recorder.flush()
    assert "steps/mode/c/0" in episode.writer._full_chunks()
    finished = episode.close()
    assert read_hashes(finished) == hash_episode(finished)
    assert open_episode(finished).rows < 300
