"""Arrays that grow by appending are zarr arrays once they are sealed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from rove_core.errors import EpisodeError
from rove_recorder.episode_format.appending import ArrayAppender, GroupWriter
from rove_recorder.episode_format.schema import ArraySpec, GroupSpec, Layout
from rove_recorder.episode_format.storage import ArrayFolder, array_rows, records_on_disk

SPECS = (
    ArraySpec("wide", "float64", (50,)),
    ArraySpec("scalar", "int64"),
    ArraySpec("flag", "bool"),
    ArraySpec("huge", "float32", (70_000,)),  # two rows do not fit into a chunk
)


@settings(max_examples=40, deadline=None)
@given(spec=st.sampled_from(SPECS), batches=st.lists(st.integers(0, 7), max_size=8), keep=st.integers(0, 30))
def test_what_was_appended_is_what_zarr_reads_after_sealing(spec: ArraySpec, batches: list[int], keep: int) -> None:
    rng = np.random.default_rng(0)
    blocks = [rng.integers(0, 2, (count, *spec.tail)).astype(spec.dtype) for count in batches]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / spec.name
        appender = ArrayAppender(path, spec)
        for block in blocks:
            appender.append(block)
        appender.close()
        everything = np.concatenate([np.empty((0, *spec.tail), spec.dtype), *blocks])
        array = ArrayFolder(path)
        assert array.rows_on_disk() == len(everything)
        keep = min(keep, len(everything))
        array.seal(keep)
        np.testing.assert_array_equal(zarr.open_array(path, mode="r")[:], everything[:keep])
        np.testing.assert_array_equal(ArrayFolder(path).read(0, keep), everything[:keep])


def test_rows_cross_chunks(tmp_path: Path) -> None:
    spec = ArraySpec("numbers", "int64")
    count = 2 * spec.chunk_rows + 17
    appender = ArrayAppender(tmp_path / "numbers", spec)
    appender.append(np.arange(count))
    appender.close()
    array = ArrayFolder(tmp_path / "numbers")
    array.seal(count)
    first = spec.chunk_rows - 3
    np.testing.assert_array_equal(array.read(first, first + 6), np.arange(first, first + 6))
    assert len(list((tmp_path / "numbers" / "c").iterdir())) == 3


def test_a_row_that_is_cut_in_the_middle_does_not_count(tmp_path: Path) -> None:
    appender = ArrayAppender(tmp_path / "wide", SPECS[0])
    appender.append(np.ones((4, 50)))
    appender.close()
    array = ArrayFolder(tmp_path / "wide")
    with array.chunk_path(0).open("r+b") as file:
        file.truncate(3 * array.row_bytes + 11)
    assert array.rows_on_disk() == 3


def test_a_truncated_chunk_of_a_finished_array_is_an_error_that_names_it(tmp_path: Path) -> None:
    appender = ArrayAppender(tmp_path / "wide", SPECS[0])
    appender.append(np.ones((4, 50)))
    appender.close()
    array = ArrayFolder(tmp_path / "wide")
    array.seal(4)
    with array.chunk_path(0).open("r+b") as file:
        file.truncate(100)
    with pytest.raises(EpisodeError, match=r"wide/c/0/0 is truncated"):
        array.read(0, 4)


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.binary(max_size=40), min_size=1, max_size=12),
    cut=st.integers(0, 600),
    victim=st.sampled_from(["text", "offsets", "number"]),
)
def test_a_record_counts_only_when_it_is_complete_in_every_array(texts: list[bytes], cut: int, victim: str) -> None:
    arrays = (
        ArraySpec("text", "uint8", layout=Layout.RAGGED, offsets="offsets"),
        ArraySpec("offsets", "int64", layout=Layout.OFFSETS),
        ArraySpec("number", "int64"),
    )
    with tempfile.TemporaryDirectory() as folder:
        group = GroupWriter(Path(folder), GroupSpec("log", arrays))
        for number, text in enumerate(texts):
            group.add({"text": text, "number": number})
        group.flush()
        group.close()
        chunk = Path(folder) / "log" / victim / "c" / "0"
        if chunk.exists():
            with chunk.open("r+b") as file:
                file.truncate(min(cut, chunk.stat().st_size))
        read = {array.name: ArrayFolder(Path(folder) / "log" / array.name) for array in arrays}
        records = records_on_disk(read)
        assert 0 <= records <= len(texts)
        offsets = read["offsets"].read(0, records + 1) if records else np.zeros(1, np.int64)
        size = array_rows(read["text"], read, records)
        data = read["text"].read(0, size).tobytes()
        assert [data[offsets[i] : offsets[i + 1]] for i in range(records)] == texts[:records]
        assert read["number"].read(0, records).tolist() == list(range(records))
