"""Copying a bundle from a web server into a folder, all of it or nothing."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from rove_core.errors import BundleError, ConfigError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import SPEC_FILE, file_sha256, load_bundle, read_spec
from rove_inference.remote.spec import is_local

LIST_SUFFIX = ".txt"

# Of silence of the server [s].
TIMEOUT_S = 30.0
# A policy.yaml is some kilobytes, a list of bundles likewise [bytes].
MOST_TEXT = 1 << 20
BLOCK = 1 << 20


def fetch(url: str, folder: Path, space: JointSpace) -> tuple[Path, bool]:
    """Copy the bundle at `url`, or the last one of a list, to `folder/<name>-<12 digits of its hash>`.

    It is put together in a folder whose name begins with a dot, which nobody takes for a bundle, and gets its name
    when it has every file with its hash. Whole files that are there from an attempt before are not fetched again.

    Args:
        url: of the folder that holds `policy.yaml`, or of a text file (.txt) with one such url per line, which may be
            relative to the list; the last line is the newest.

    Returns:
        Where it is, and whether it was fetched (False: it was there).

    Raises:
        ConfigError: no https, and not this machine either. BundleError: the server does not have it, it is not
            for this robot, or what came is not what its hashes say.
    """
    base = _newest(url) if url.endswith(LIST_SUFFIX) else url
    base = base.rstrip("/") + "/"
    text = _text(urljoin(base, SPEC_FILE))
    folder.mkdir(parents=True, exist_ok=True)
    arriving = folder / f".arriving-{quote(base, safe='')[-100:]}"
    arriving.mkdir(exist_ok=True)
    (arriving / SPEC_FILE).write_bytes(text)
    spec = read_spec(arriving)
    target = folder / f"{spec.name}-{file_sha256(arriving / SPEC_FILE)[:12]}"
    if target.exists():
        shutil.rmtree(arriving)
        return target, False
    for file, expected in spec.files.items():
        path = arriving / file
        if not (path.is_file() and file_sha256(path) == expected):
            path.parent.mkdir(parents=True, exist_ok=True)
            _copy(urljoin(base, quote(file)), path)
    load_bundle(arriving, space)
    arriving.rename(target)
    return target, True


def _newest(url: str) -> str:
    lines = [line.strip() for line in _text(url).decode("utf-8", "replace").splitlines()]
    urls = [line for line in lines if line and not line.startswith("#")]
    if not urls:
        raise BundleError(f"{url} lists no bundle")
    return urljoin(url, urls[-1])


def _text(url: str) -> bytes:
    with _Answer(url) as answer:
        text = answer.read(MOST_TEXT + 1)
    if len(text) > MOST_TEXT:
        raise BundleError(f"{url} is larger than {MOST_TEXT >> 20} MB")
    return text


def _copy(url: str, path: Path) -> None:
    with _Answer(url) as answer, path.open("wb") as file:
        while block := answer.read(BLOCK):
            file.write(block)


class _Answer:
    """What a server sends; every way in which that fails is a BundleError of one line."""

    def __init__(self, url: str) -> None:
        self._url = url
        _check(url)

    def __enter__(self) -> _Answer:
        try:
            self._response = urllib.request.build_opener(_Redirects).open(self._url, timeout=TIMEOUT_S)
        except (OSError, HTTPException) as error:
            raise self._failed(error) from None
        return self

    def read(self, most: int) -> bytes:
        """Up to `most` bytes, none at the end."""
        try:
            return bytes(self._response.read(most))
        except (OSError, HTTPException) as error:
            raise self._failed(error) from None

    def __exit__(self, *_: object) -> None:
        self._response.close()

    def _failed(self, error: Exception) -> BundleError:
        why = error.reason if isinstance(error, urllib.error.URLError) else error
        return BundleError(f"cannot fetch {self._url}: {why}", "what came is kept: fetch again")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to where `_check` allows."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        _check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check(url: str) -> None:
    """The hashes come from the server itself, so it must be the one it claims to be."""
    scheme = urlsplit(url).scheme
    if scheme != "https" and not (scheme == "http" and is_local(url)):
        raise ConfigError(f"'{url}': bundles are fetched with https", "http is for this machine only")
