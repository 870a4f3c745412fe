"""What an episode keeps of the policy's chunks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rove_core.modes import Mode
from rove_recorder.checking.check import check_episode
from rove_recorder.reader import open_episode
from rove_recorder.recording.records import ChunkSample
from rove_recorder.recording.recovery import recover

LATER_ARRAYS = (
    *("decoder_steps", "frozen", "skipped", "clipped", "round_trip_ms"),
    *("base", "base_offsets", "residual", "residual_offsets", "gate", "gate_offsets"),
)


def test_a_chunk_says_how_it_was_made_and_what_its_adapter_did(scripted: Callable[[str], Any]) -> None:
    episode = scripted("adapter")
    prediction = np.tile(episode.space.home, (4, 1)).astype(np.float32)
    plain = ChunkSample(1, 1, 10, 11, 12, 13, 1 / 30, 2, prediction)
    adapted = replace(
        plain,
        chunk_id=2,
        backend="onnx",
        decoder="consistency",
        join="rtc",
        decoder_steps=1,
        frozen=3,
        skipped=2,
        clipped=5,
        round_trip_ms=7.5,
        base=prediction - 0.25,
        residual=np.full_like(prediction, 0.5),
        gate=np.linspace(0, 1, 4, dtype=np.float32),
    )
    for chunk in (plain, adapted, plain):
        episode.recorder.feed(chunk)
    for _ in range(40):
        episode.step(Mode.ROLLOUT)
    chunks = open_episode(episode.close()).chunks
    assert [len(chunks.record("base", index)) for index in range(3)] == [0, 4, 0]
    np.testing.assert_array_equal(chunks.record("base", 1), adapted.base)
    np.testing.assert_array_equal(chunks.record("residual", 1), adapted.residual)
    np.testing.assert_array_equal(chunks.record("gate", 1), adapted.gate)
    np.testing.assert_array_equal(chunks.record("prediction", 2), prediction)
    columns = {name: chunks[name][1] for name in ("decoder_steps", "frozen", "skipped", "clipped", "round_trip_ms")}
    assert columns == {"decoder_steps": 1, "frozen": 3, "skipped": 2, "clipped": 5, "round_trip_ms": 7.5}
    info = json.loads(chunks.record("info_json", 1).tobytes())
    assert (info["backend"], info["decoder"], info["join"]) == ("onnx", "consistency", "rtc")


@pytest.mark.parametrize("finished", [True, False])
def test_an_episode_without_the_later_arrays_of_chunks_is_as_good(
    scripted: Callable[[str], Any], finished: bool
) -> None:
    """As recorded before they existed, finished or torn off by a crash."""
    episode = scripted("old")
    episode.epoch = 1
    episode.chunk()
    for _ in range(200):
        episode.step(Mode.ROLLOUT)
    episode.writer.flush()
    folder = episode.close() if finished else episode.writer.path
    episode.writer.abandon()
    for name in LATER_ARRAYS:
        shutil.rmtree(folder / "chunks" / name)
    (folder / "hashes.json").unlink(missing_ok=True)  # which came later still
    if not finished:
        ((folder, done),) = recover(folder.parent)
        assert done == "recovered"
    old = open_episode(folder)
    assert old.chunks.records == 1
    assert old.chunks.record("prediction", 0).shape == (16, 50)
    assert check_episode(old) == []
