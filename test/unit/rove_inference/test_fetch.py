"""Bundles from a web server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rove_core.errors import BundleError, ConfigError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import load_bundle
from rove_inference.fetch import fetch
from rove_inference.offers import OfferFolder


class Handler(SimpleHTTPRequestHandler):
    """Serves files, sends `/moved` on to another host, and keeps count."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "http://example.invalid/policy.yaml")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def asked() -> list[str]:
    """Paths that were asked for."""
    return []


@pytest.fixture
def server(tiny: Path, asked: list[str]) -> Iterator[str]:
    """Serves the folder around the tiny bundle."""
    handler = type("Counting", (Handler,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tiny.parent))) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_a_bundle_arrives_whole_and_once(
    server: str, tiny: Path, asked: list[str], tmp_path: Path, space: JointSpace
) -> None:
    path, fetched = fetch(f"{server}/tiny", tmp_path / "policies", space)
    assert fetched
    assert load_bundle(path, space).policy_id == load_bundle(tiny, space).policy_id
    assert path.name == load_bundle(tiny, space).policy_id.replace("@", "-")
    asked.clear()
    assert fetch(f"{server}/tiny/", tmp_path / "policies", space) == (path, False)
    assert asked == ["/tiny/policy.yaml"]


def test_the_last_line_of_a_list_is_the_newest(server: str, tiny: Path, tmp_path: Path, space: JointSpace) -> None:
    (tiny.parent / "nightly.txt").write_text("# by the cluster\nolder\ntiny\n\n")
    assert fetch(f"{server}/nightly.txt", tmp_path / "policies", space)[1]
    (tiny.parent / "nightly.txt").write_text("# nothing yet\n")
    with pytest.raises(BundleError, match="lists no bundle"):
        fetch(f"{server}/nightly.txt", tmp_path / "policies", space)


def test_what_is_not_whole_is_not_offered_and_goes_on_where_it_stopped(
    server: str, tiny: Path, asked: list[str], tmp_path: Path, space: JointSpace
) -> None:
    model = (tiny / "model.onnx").read_bytes()
    (tiny / "model.onnx").write_bytes(model[:-1])
    policies = tmp_path / "policies"
    with pytest.raises(BundleError, match="SHA-256"):
        fetch(f"{server}/tiny", policies, space)
    (tiny / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"cannot fetch .*model\.onnx: "):
        fetch(f"{server}/tiny", policies, space)
    folder = OfferFolder(policies, space)
    folder.look()
    assert folder.look().offers == ()
    (tiny / "model.onnx").write_bytes(model)
    assert fetch(f"{server}/tiny", policies, space)[1]
    folder.look()
    assert len(folder.look().offers) == 1


@pytest.mark.parametrize("url", ["http://example.invalid/b", "ftp://127.0.0.1/b", "file:///etc"])
def test_only_https_or_this_machine(url: str, tmp_path: Path, space: JointSpace) -> None:
    with pytest.raises(ConfigError, match="fetched with https"):
        fetch(url, tmp_path, space)


def test_being_sent_on_to_a_server_without_https_is_refused(server: str, tmp_path: Path, space: JointSpace) -> None:
    with pytest.raises(ConfigError, match=r"example\.invalid.*https"):
        fetch(f"{server}/moved", tmp_path, space)
