"""Windows through torch's DataLoader: forked and spawned workers, resumed epochs, collated or read in batches."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from rove_core.joint_space import JointSpace
from rove_core.modes import Mode, Outcome, Source, Stage
from rove_recorder.recording.episode import Ending, EpisodeRecorder
from rove_recorder.recording.records import CameraModel, CommandSample, EpisodeInfo, FrameSample, JointSample
from rove_recorder.recording.resampler import Resampler
from rove_recorder.recording.writer import EpisodeWriter
from rove_recorder.windows.dataset import EpisodeDataset, WindowSpec
from rove_recorder.windows.sampler import ShardedSampler

SPACE = JointSpace.load("iron_r01")
WALL = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
TICK_NS = 5_000_000


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds under the policy."""
    session = tmp_path_factory.mktemp("session")
    writer = EpisodeWriter(session, EpisodeInfo("a", "whiteboard"), SPACE, {"head": CameraModel(64, 48)}, 30.0, WALL)
    recorder = EpisodeRecorder(writer, Resampler(30.0, SPACE.dim, len(SPACE.groups), ("head",)), 200 / 7, 90)
    for tick in range(400):
        t_ns = 10**18 + tick * TICK_NS
        here = SPACE.home + 0.0001 * tick
        if tick % 7 == 0:
            recorder.feed(FrameSample("head", t_ns, t_ns, np.full((48, 64, 3), tick % 250, np.uint8)))
        recorder.feed(JointSample(t_ns, t_ns, here, np.zeros(SPACE.dim)))
        recorder.feed(
            CommandSample(
                t_mono_ns=t_ns,
                t_ros_ns=t_ns,
                tick=tick,
                source=int(Source.POLICY),
                mode=Mode.ROLLOUT.number,
                stage=int(Stage.ROLLOUT),
                epoch=1,
                episode_id="a",
                chunk_id=0,
                chunk_step=-1,
                target=here,
                sent=here,
                limited=np.zeros(SPACE.dim, np.uint8),
            )
        )
    return recorder.close(Ending(Outcome.SUCCESS, "keyboard:test", 10**18, "succeed"), WALL)


@pytest.fixture
def served() -> Iterator[Callable[[Path], str]]:
    """Serves a folder over HTTP and gives its URL."""
    servers: list[ThreadingHTTPServer] = []

    def serve(folder: Path) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder))
        servers.append(server)
        threading.Thread(target=server.serve_forever).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def rows_of(loader: DataLoader) -> list[int]:
    return [row for batch in loader for row in batch["row"].tolist()]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_read_what_the_main_process_reads(episode: Path, start: str) -> None:
    dataset = EpisodeDataset([episode], WindowSpec(horizon=16, history=2), threads=2)
    dataset[[0, 1]]  # the parent has files and threads open before it forks
    sampler = ShardedSampler(len(dataset), seed=4)
    loader = DataLoader(dataset, 8, sampler=sampler, num_workers=2, multiprocessing_context=start)
    seen = []
    for batch in loader:
        assert batch["image.head"].dtype is torch.uint8
        assert batch["image.head"].shape[1:] == (1, 48, 64, 3)
        assert batch["action"].shape[1:] == (16, SPACE.dim)
        seen += batch["row"].tolist()
        expected = dataset[(batch["row"] - dataset[0]["row"]).tolist()]
        torch.testing.assert_close(batch["action"], torch.from_numpy(expected["action"]), rtol=0, atol=0)
        torch.testing.assert_close(batch["image.head"], torch.from_numpy(expected["image.head"]), rtol=0, atol=0)
    assert sorted(seen) == [int(dataset[i]["row"]) for i in range(len(dataset))]


def test_whole_batches_are_the_collated_ones(episode: Path) -> None:
    dataset, sampler = EpisodeDataset([episode]), ShardedSampler(59, seed=1)
    collated = list(DataLoader(dataset, 8, sampler=sampler, drop_last=True))
    whole = list(DataLoader(dataset, batch_size=None, sampler=sampler.batches(8), num_workers=1))
    assert len(collated) == len(whole) == 7
    for one, other in zip(collated, whole, strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key]


def test_an_epoch_goes_on_after_the_batches_that_were_trained_on(episode: Path) -> None:
    dataset = EpisodeDataset([episode])
    sampler = ShardedSampler(len(dataset), seed=2)
    sampler.resume(3)
    everything = rows_of(DataLoader(dataset, 4, sampler=sampler))
    sampler.resume(3, position=5 * 4)
    assert rows_of(DataLoader(dataset, 4, sampler=sampler, num_workers=2)) == everything[20:]


def test_forked_workers_read_from_a_url_that_the_parent_has_open(episode: Path, served: Callable[[Path], str]) -> None:
    dataset = EpisodeDataset([f"{served(episode.parent)}/{episode.name}"])
    expected = [int(dataset[i]["row"]) for i in range(len(dataset))]
    loader = DataLoader(dataset, 8, num_workers=2, multiprocessing_context="fork")
    assert rows_of(loader) == expected


def test_every_block_of_the_page_about_training_data_runs(
    episode: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).parents[2] / "docs/how-to/training-data.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "runs").symlink_to(episode.parent)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)  # noqa: S102
    assert torch.isfinite(names["loss"])
