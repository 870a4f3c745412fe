"""An S3-compatible bucket, through obstore (object_store of Apache Arrow).

Credentials, region and endpoint come from the usual AWS_* variables or the instance. A PUT is atomic. It carries the
content's SHA-256 in its signature, so a server that follows the protocol refuses damaged content; what is stored is
confirmed by the ETag where that is the content's MD5, and by reading it back where it is not (encrypted buckets).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from rove_core.errors import ExportError, UnreachableError
from rove_recorder.episode_format.hashes import FileHash
from rove_recorder.export.targets import PIECE_BYTES, Item, Target

# Larger files are sent in parts of this size, of which a job holds two: the ETag is made of the parts' MD5.
PART_BYTES: Final = 16 << 20
# A network that is gone longer than this is for another time [s]; one request may take as long as a slow uplink needs.
RETRIES: Final = 8
RETRY_S: Final = 60
REQUEST_S: Final = 120
CONNECT_S: Final = 10

# Answers after which trying again is of no use: of 4xx all but "timeout" and "too many".
_REFUSED: Final = re.compile(r"status code: 4(?!08|29)\d\d")


class S3Target(Target):
    """Objects below a prefix of a bucket."""

    def __init__(self, url: str, jobs: int) -> None:
        parts = urlsplit(url)
        if not parts.hostname or parts.query or parts.username:
            raise ExportError(
                f"'{url}' is not s3://bucket/prefix", "credentials and endpoint: AWS_* environment variables"
            )
        self.url = url
        self._prefix = parts.path.strip("/")
        insecure = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
        self._store = S3Store(
            parts.netloc,
            client_options={
                "allow_http": insecure,
                "timeout": timedelta(seconds=REQUEST_S),
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "pool_max_idle_per_host": str(jobs),
            },
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": timedelta(seconds=RETRY_S),
                "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=10), "base": 2},
            },
        )

    def put(self, item: Item) -> None:
        etag = _Etag()
        with self._asking():
            if item.expected.bytes <= PART_BYTES:
                content = b"".join(etag.seen(item.pieces(PART_BYTES)))
                stored = obstore.put(self._store, self._key(item.key), content, use_multipart=False)
            else:
                pieces = etag.seen(item.pieces(PART_BYTES))
                stored = obstore.put(self._store, self._key(item.key), pieces, chunk_size=PART_BYTES, max_concurrency=1)
        if not etag.fits(stored["e_tag"]) and self._content(item.key) != item.expected:
            raise ExportError(f"{self.url}: {item.key} reads differently from what was sent", "check the target")

    def list(self, prefix: str) -> dict[str, int]:
        with self._asking():
            return {
                self._relative(found["path"]): found["size"]
                for page in obstore.list(self._store, self._key(prefix) + "/", chunk_size=1000)
                for found in page
            }

    def read(self, key: str) -> bytes:
        with self._asking():
            return bytes(obstore.get(self._store, self._key(key)).bytes())

    def held(self, items: Sequence[Item]) -> set[str]:
        return {item.key for item in items if self._holds(item)}

    def sync(self) -> None:
        """A PUT that was answered is durable."""

    def close(self) -> None:
        """The connections are closed with the process."""

    def _holds(self, item: Item) -> bool:
        try:
            with self._asking():
                found = obstore.head(self._store, self._key(item.key))
        except _MissingError:
            return False
        if found["size"] != item.expected.bytes:
            return False
        if item.source is not None:
            etag = _Etag()
            for _ in etag.seen(item.pieces(PART_BYTES)):
                pass
            if etag.fits(found["e_tag"]):
                return True
        return self._content(item.key) == item.expected

    def _content(self, key: str) -> FileHash:
        """What reading it back gives."""
        digest, size = hashlib.sha256(), 0
        with self._asking():
            for piece in obstore.get(self._store, self._key(key)).stream(min_chunk_size=PIECE_BYTES):
                digest.update(piece)
                size += len(piece)
        return FileHash(size, digest.hexdigest())

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _relative(self, path: str) -> str:
        return path.removeprefix(f"{self._prefix}/") if self._prefix else path

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turn what obstore raises into errors of ours."""
        try:
            yield
        except (NotFoundError, FileNotFoundError) as error:
            raise _MissingError(f"{self.url}: {_first_line(error)}", "is there such a bucket?") from None
        except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
            raise ExportError(
                f"{self.url} refuses: {_first_line(error)}", "check AWS_ACCESS_KEY_ID and the bucket's policy"
            ) from None
        except (BaseError, OSError) as error:
            if _REFUSED.search(str(error)):
                # Without credentials obstore asks the machine's metadata service, whose answer names no cause.
                hint = "check the bucket's name and policy"
                if "AWS_ACCESS_KEY_ID" not in os.environ:
                    hint = "AWS_ACCESS_KEY_ID is not set, and this machine has no role: set the AWS_* variables"
                raise ExportError(f"{self.url} refuses: {_first_line(error)}", hint) from None
            raise UnreachableError(
                f"{self.url}: {_first_line(error)}", "check the network and AWS_ENDPOINT_URL, then run it again"
            ) from None


class _MissingError(ExportError):
    """No such object or bucket."""


class _Etag:
    """The ETag that S3 gives to content that is not encrypted with a customer's key."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def seen(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Passes the pieces on; each is a part of the object, or the only one."""
        for piece in pieces:
            self._parts.append(hashlib.md5(piece, usedforsecurity=False).digest())
            yield piece

    def fits(self, etag: str | None) -> bool:
        """Whether it is the one that the server names."""
        found = (etag or "").strip('"')
        if len(self._parts) == 1 and found == self._parts[0].hex():
            return True
        whole = hashlib.md5(b"".join(self._parts), usedforsecurity=False)
        return found == (f"{whole.hexdigest()}-{len(self._parts)}" if self._parts else whole.hexdigest())


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
