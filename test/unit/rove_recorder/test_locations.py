"""Episodes behind URLs: over HTTP from a real server, in memory, and from a real S3 server."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
from aiohttp import web

from rove_core.errors import EpisodeError
from rove_recorder.episode_format.packing import pack
from rove_recorder.labels.annotations import annotate
from rove_recorder.reader import Episode, open_episode


@dataclass
class Served:
    """A web server of files that counts what it sends."""

    url: str
    sent: dict[str, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(self.sent.values())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """The session folder of the test over HTTP, with ranges and listings of folders."""
    (tmp_path / "session").mkdir(exist_ok=True)
    loop, server = asyncio.new_event_loop(), Served("")

    @web.middleware
    async def count(request: web.Request, handler: object) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)  # type: ignore[operator]
        if request.headers.get("Range"):
            start, _, end = request.headers["Range"].removeprefix("bytes=").partition("-")
            server.sent[request.path] = server.sent.get(request.path, 0) + int(end) - int(start) + 1
        return response

    async def start() -> web.AppRunner:
        app = web.Application(middlewares=[count])
        app.router.add_static("/data", tmp_path / "session", show_index=True)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/data"
        return runner

    runner = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def into_memory(folder: Path) -> str:
    memory = fsspec.filesystem("memory")
    memory.put(f"{folder}/", f"/{folder.parent.parent.name}/{folder.name}", recursive=True)
    return f"memory://{folder.parent.parent.name}/{folder.name}"


def same(here: Episode, there: Episode) -> None:
    assert there.attrs == here.attrs
    assert there.rows == here.rows > 0
    for name in here.steps:
        np.testing.assert_array_equal(there.steps[name], here.steps[name])
    assert there.stages() == here.stages()
    assert there.outcome == here.outcome
    np.testing.assert_array_equal(there.frames("head")[3], here.frames("head")[3])
    np.testing.assert_array_equal(there.training_view().rows, here.training_view().rows)


def test_an_episode_over_http_is_the_one_on_the_disk(takeover_episode: Path, served: Served) -> None:
    same(open_episode(takeover_episode), open_episode(f"{served.url}/{takeover_episode.name}"))


def test_one_image_costs_its_bytes_and_no_more(takeover_episode: Path, served: Served) -> None:
    there = open_episode(f"{served.url}/{takeover_episode.name}")
    frames = there.frames("head")
    jpeg = frames.jpeg(5)
    sent = {path.partition("cameras/head/")[2]: count for path, count in served.sent.items()}
    assert sent == {"offsets/c/0": 8 * (len(frames) + 1), "jpeg/c/0": len(jpeg)}


def test_an_episode_in_memory_is_the_one_on_the_disk(takeover_episode: Path) -> None:
    same(open_episode(takeover_episode), open_episode(into_memory(takeover_episode)))


def test_a_server_without_ranges_gives_the_same_bytes(takeover_episode: Path) -> None:
    handler = partial(_Quiet, directory=takeover_episode.parent)
    with _running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as port:
        there = open_episode(f"http://127.0.0.1:{port}/{takeover_episode.name}")
        here = open_episode(takeover_episode)
        np.testing.assert_array_equal(there.steps.rows_of("state", 7, 9), here.steps["state"][7:9])


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@contextmanager
def _running(server: ThreadingHTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_annotation_made_later_is_seen_behind_a_url(takeover_episode: Path, served: Served) -> None:
    url = f"{served.url}/{takeover_episode.name}"
    assert open_episode(url).outcome.value == "success"
    now = datetime(2026, 5, 5, tzinfo=UTC)
    annotate(takeover_episode, "outcome", "outcome", {"value": "failure"}, by="reviewer", when=now, tool="test")
    assert open_episode(url).outcome.value == "failure"


def test_what_is_not_there_is_one_line_that_names_the_url(takeover_episode: Path, served: Served) -> None:
    with pytest.raises(EpisodeError, match=r"no episode at http://.*/nothing\.zarr"):
        open_episode(f"{served.url}/nothing.zarr")
    with pytest.raises(EpisodeError, match=r"cannot read http://127\.0\.0\.1:9/a\.zarr"):
        open_episode("http://127.0.0.1:9/a.zarr")
    with pytest.raises(EpisodeError, match="cannot open carrier-pigeon://a"):
        open_episode("carrier-pigeon://a.zarr")


def test_a_chunk_that_is_cut_or_gone_is_one_line_that_names_it(takeover_episode: Path) -> None:
    url = into_memory(takeover_episode)
    memory, chunk = fsspec.filesystem("memory"), f"{url.removeprefix('memory:/')}/steps/state/c/0/0"
    memory.pipe_file(chunk, memory.cat_file(chunk)[:1000])
    with pytest.raises(EpisodeError, match=r"memory://.*steps/state/c/0/0 is truncated: 1000 of"):
        open_episode(url).steps["state"]
    memory.rm_file(chunk)
    with pytest.raises(EpisodeError, match=r"cannot read memory://.*steps/state/c/0/0: no such file"):
        open_episode(url).steps["state"]


def test_a_packed_episode_reads_like_its_folder_and_knows_what_was_said_later(
    takeover_episode: Path, served: Served
) -> None:
    target = takeover_episode.parent / "takeover.packed"
    packed = pack(takeover_episode, target)
    for path in (packed, f"{served.url}/takeover.packed/takeover.zarr.zip"):
        same(open_episode(takeover_episode), open_episode(path))
        with pytest.raises(EpisodeError, match=r"takeover\.zarr\.zip/steps has no array 'stat'"):
            open_episode(path).steps["stat"]
    now = datetime(2026, 5, 5, tzinfo=UTC)
    annotate(takeover_episode, "outcome", "outcome", {"value": "failure"}, by="reviewer", when=now, tool="test")
    shutil.copytree(takeover_episode / "annotations", target / "annotations")
    for path in (packed, f"{served.url}/takeover.packed/takeover.zarr.zip"):
        assert open_episode(path).outcome.value == "failure"


def test_what_writes_needs_the_episode_here(takeover_episode: Path) -> None:
    there = open_episode(into_memory(takeover_episode))
    with pytest.raises(EpisodeError, match="can only be read from here"):
        _ = there.path


def test_an_episode_in_a_bucket_is_the_one_on_the_disk(takeover_episode: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        _fill_bucket(f"http://{host}:{port}", takeover_episode)
        same(open_episode(takeover_episode), open_episode(f"s3://robots/night/{takeover_episode.name}"))
    finally:
        server.stop()


def _fill_bucket(endpoint: str, episode: Path) -> None:
    import urllib.request

    from obstore.store import S3Store

    request = urllib.request.Request(f"{endpoint}/robots", method="PUT")  # noqa: S310 - the server of this test
    urllib.request.urlopen(request).close()  # noqa: S310
    store = S3Store("robots", client_options={"allow_http": True})
    for path in episode.rglob("*"):
        if path.is_file():
            store.put(f"night/{path.relative_to(episode.parent).as_posix()}", path.read_bytes())
