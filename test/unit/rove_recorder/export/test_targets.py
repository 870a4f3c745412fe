"""Every kind of target keeps the same promises; ssh and S3 over real sockets."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from rove_core.errors import ExportError, UnreachableError
from rove_recorder.episode_format.hashes import FileHash, hash_file
from rove_recorder.export import s3_target
from rove_recorder.export.targets import Item, SourceChangedError, Target, open_target


def item(key: str, content: bytes) -> Item:
    return Item(key, FileHash(len(content), hashlib.sha256(content).hexdigest()), content)


def test_what_was_sent_is_listed_read_and_held(target: Target, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3_000_000))
    items = [Item("r/e.zarr/a/c/0", hash_file(path), path), item("r/e.zarr/zarr.json", b"{}"), item("r/x", b"")]
    for one in items:
        target.put(one)
    target.sync()
    assert target.list("r/e.zarr") == {"r/e.zarr/a/c/0": 3_000_000, "r/e.zarr/zarr.json": 2}
    assert target.list("nothing") == {}
    assert target.read("r/e.zarr/zarr.json") == b"{}"
    assert target.held([*items, item("r/other", b"?")]) == {one.key for one in items}


def test_a_copy_with_other_content_is_not_held(target: Target) -> None:
    target.put(item("r/a", b"one"))
    assert target.held([item("r/a", b"two")]) == set()


def test_a_file_that_changed_never_gets_its_name(target: Target, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"as recorded")
    expected = hash_file(path)
    for now in (b"As recorded", b"short", b"longer than recorded"):
        path.write_bytes(now)
        with pytest.raises(SourceChangedError, match="was changed"):
            target.put(Item("r/file", expected, path))
    path.unlink()
    with pytest.raises(SourceChangedError, match="cannot be read"):
        target.put(Item("r/file", expected, path))
    assert target.list("r") == {}
    target.put(item("r/next", b"the target goes on"))
    assert target.list("r") == {"r/next": 18}


def test_reading_what_is_not_there_is_an_error_of_one_line(target: Target) -> None:
    target.put(item("r/a", b"one"))
    with pytest.raises(ExportError) as error:
        target.read("r/b")
    assert "\n" not in str(error.value)


def test_s3_sends_a_large_file_in_parts_and_knows_it_by_its_etag(
    s3_server: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_target, "PART_BYTES", 5 << 20)
    target = open_target("s3://bucket/fleet")
    path = tmp_path / "video"
    path.write_bytes(os.urandom((12 << 20) + 7))
    large = Item("d/video", hash_file(path), path)
    target.put(large)
    assert target.list("d") == {"d/video": large.expected.bytes}
    monkeypatch.setattr(s3_target.S3Target, "_content", None)  # reading it back would fail
    assert target.held([large]) == {"d/video"}


def test_s3_stores_nothing_of_a_large_file_that_changed(
    s3_server: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_target, "PART_BYTES", 5 << 20)
    target = open_target("s3://bucket/fleet")
    path = tmp_path / "video"
    path.write_bytes(bytes(12 << 20))
    expected = hash_file(path)
    path.write_bytes(bytes((12 << 20) - 1) + b"!")
    with pytest.raises(SourceChangedError, match="was changed"):
        target.put(Item("d/video", expected, path))
    assert target.list("d") == {}


def test_a_bucket_that_does_not_exist_is_refused_and_not_tried_again(s3_server: object) -> None:
    with pytest.raises(ExportError) as error:
        open_target("s3://no-bucket/x").put(item("a", b"a"))
    assert not isinstance(error.value, UnreachableError)


def test_a_server_that_does_not_answer_is_unreachable(
    ssh_server: object, s3_server: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_target, "RETRIES", 0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for url in ("s3://bucket/fleet", "ssh://someone@127.0.0.1:1/folder"):
        with pytest.raises(UnreachableError) as error:
            open_target(url).list("r")
        assert "\n" not in str(error.value)


def test_ssh_without_the_right_key_is_refused_and_not_tried_again(ssh_server: object, tmp_path: Path) -> None:
    config = tmp_path / "other"
    config.write_text(f"IdentityFile /none\nHostKeyAlias the-target\nUserKnownHostsFile {tmp_path}/sshd/known_hosts\n")
    with pytest.raises(ExportError, match="Permission denied") as error:
        open_target(ssh_server.url, ssh_config=config).list("r")  # type: ignore[attr-defined]
    assert not isinstance(error.value, UnreachableError)


def test_ssh_says_what_the_other_end_refuses(ssh_server: object) -> None:
    target = open_target(ssh_server.url_of(Path("/proc/nothing")), ssh_config=ssh_server.config)  # type: ignore[attr-defined]
    with pytest.raises(ExportError, match="/proc/nothing") as error:
        target.list("r")
    assert not isinstance(error.value, UnreachableError)


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "ssh://host", "ssh://-oProxyCommand=id/x", "ssh://u:secret@host/x", "s3://", "s3://b/p?x=1"]
)
def test_other_urls_are_named_as_such(url: str) -> None:
    pytest.importorskip("obstore")
    with pytest.raises(ExportError, match=r"cannot export to|is not (ssh|s3)://"):
        open_target(url)
