"""A folder of another machine, through the system's OpenSSH.

`ssh` is driven as a process, so that keys, agents, known hosts, jump hosts and whatever else stands in ~/.ssh/config
just work. At the other end a shell runs RECEIVER, which needs nothing but a POSIX shell and GNU coreutils and
findutils; an account that may only use sftp cannot tell the hash of what it holds and will not do.
"""

from __future__ import annotations

import queue
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from rove_core.errors import ExportError, UnreachableError
from rove_recorder.export.layout import PART_SUFFIX
from rove_recorder.export.targets import Item, Target

# One request a line: a verb, its arguments, the path last. Content follows its line as raw bytes. Answers are lines.
# `read` of a POSIX shell takes no byte beyond its line from a pipe, and `head -c` none beyond its count. What a
# connection that was cut is still writing has another temporary name than what comes after it.
RECEIVER: Final = """
set -u
command -v sha256sum >/dev/null || { echo "no sha256sum here" >&2; exit 70; }
case $1 in "~/"*) root=$HOME/${1#??} ;; *) root=$1 ;; esac
mkdir -p -- "$root" && cd -- "$root" || exit 73
echo ready
sum_of() { s=$(sha256sum < "$1") && echo "${s%% *}"; }
while read -r verb size sum path; do
  case $verb in
  put)
    folder=${path%/*}; name=${path##*/}; part=$folder/.$name.$$.part
    { [ -d "$folder" ] || mkdir -p -- "$folder"; } && head -c "$size" > "$part" || exit 74
    found=$(sum_of "$part") || exit 74
    if [ "$found" = "$sum" ]; then
      mv -f -- "$part" "$path" || exit 74
      for old in "$folder/.$name."*.part; do [ ! -e "$old" ] || rm -f -- "$old"; done
    fi
    echo "$found" ;;
  list) [ -d "$path" ] && { find "$path" -type f -printf "%s %p\\n" || exit 74; }; echo end ;;
  get) if [ -f "$path" ]; then stat -c %s -- "$path"; cat -- "$path"; else echo missing; fi ;;
  hash) if [ -f "$path" ]; then echo "$(stat -c %s -- "$path") $(sum_of "$path")"; else echo missing; fi ;;
  sync) { sync -f . || sync; } 2>&1 >/dev/null; echo done ;;
  esac
done
"""

# The connection is given up when the other end is silent for 3 x 15 s, or does not answer for 15 s at the start.
_OPTIONS: Final = (
    *("-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15"),
    *("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"),
)
_EXIT_SSH: Final = 255  # ssh itself failed; any other code is the receiver's
# What ssh says when trying again would not help.
_REFUSALS: Final = ("Permission denied", "Host key verification failed", "REMOTE HOST IDENTIFICATION", "Bad owner")
# As many hashes are asked for before the answers are read: both ends' pipes hold that much.
_HASHES_AT_ONCE: Final = 100


class SshTarget(Target):
    """A folder behind ssh; each job has a connection of its own, kept for the whole export."""

    def __init__(self, url: str, jobs: int, config: Path | None = None) -> None:
        parts = urlsplit(url)
        path = unquote(parts.path)
        if not parts.hostname or parts.hostname.startswith("-") or path in ("", "/") or parts.password:
            raise ExportError(
                f"'{url}' is not ssh://[user@]host[:port]/folder", "a folder below the home is ssh://host/~/folder"
            )
        self.url = url
        port = ("-p", str(parts.port)) if parts.port else ()
        user = ("-l", parts.username) if parts.username else ()
        custom = ("-F", str(config)) if config else ()
        self._root = path[1:] if path.startswith("/~/") else path
        receiver = f"exec sh -c {shlex.quote(RECEIVER)} rove {shlex.quote(self._root)}"
        self._command = ("ssh", *custom, *_OPTIONS, *port, *user, "--", parts.hostname, receiver)
        self._free: queue.LifoQueue[_Connection | None] = queue.LifoQueue()
        for _ in range(jobs):
            self._free.put(None)  # connected when first needed

    def put(self, item: Item) -> None:
        with self._connection() as connection:
            expected = item.expected
            connection.ask(f"put {expected.bytes} {expected.sha256} {item.key}")
            for piece in item.pieces():
                connection.write(piece)
            if connection.answer() != expected.sha256:
                raise ExportError(f"{self.url}: {item.key} arrived differently from what was sent", "run it again")

    def list(self, prefix: str) -> dict[str, int]:
        found = {}
        with self._connection() as connection:
            connection.ask(f"list - - {prefix}")
            while (line := connection.answer()) != "end":
                size, _, path = line.partition(" ")
                if not path.endswith(PART_SUFFIX):
                    found[path] = int(size)
        return found

    def read(self, key: str) -> bytes:
        with self._connection() as connection:
            connection.ask(f"get - - {key}")
            size = connection.answer()
            if size == "missing":
                raise ExportError(f"{self.url} has no {key}")
            return connection.read(int(size))

    def held(self, items: Sequence[Item]) -> set[str]:
        found = set()
        with self._connection() as connection:
            for start in range(0, len(items), _HASHES_AT_ONCE):
                some = items[start : start + _HASHES_AT_ONCE]
                connection.ask("\n".join(f"hash - - {item.key}" for item in some))
                for item in some:
                    if connection.answer() == f"{item.expected.bytes} {item.expected.sha256}":
                        found.add(item.key)
        return found

    def sync(self) -> None:
        with self._connection() as connection:
            connection.ask("sync - - -")
            connection.answer()

    def close(self) -> None:
        while not self._free.empty():
            connection = self._free.get_nowait()
            if connection is not None:
                connection.close()

    @contextmanager
    def _connection(self) -> Iterator[_Connection]:
        """One that nobody else uses. After an error it is closed: what the other end waits for is not known then."""
        connection = self._free.get()
        try:
            connection = connection or _Connection(self._command, self.url)
            yield connection
        except BaseException:
            if connection is not None:
                connection.close()
            connection = None
            raise
        finally:
            self._free.put(connection)


class _Connection:
    """A process of ssh with the receiver at its other end."""

    def __init__(self, command: Sequence[str], url: str) -> None:
        self._url = url
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the connection
        try:
            self._ssh = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints, bufsize=0
            )
        except OSError as error:
            self._complaints.close()
            raise ExportError(f"cannot run ssh: {error.strerror}", "install the OpenSSH client") from None
        assert self._ssh.stdin is not None and self._ssh.stdout is not None  # noqa: S101, PT018 - for mypy
        self._to, self._from = self._ssh.stdin, self._ssh.stdout
        self._unread = b""
        try:
            while self.answer() != "ready":  # a login shell may greet first
                pass
        except BaseException:
            self.close()
            raise

    def ask(self, line: str) -> None:
        """Send a request."""
        self.write(line.encode() + b"\n")

    def write(self, data: bytes) -> None:
        """Send all of it."""
        left = memoryview(data)
        try:
            while left:
                left = left[self._to.write(left) or 0 :]
        except OSError:
            raise self._broken() from None

    def answer(self) -> str:
        """The next line."""
        while (end := self._unread.find(b"\n")) < 0:
            self._unread += self._receive()
        line, self._unread = self._unread[:end], self._unread[end + 1 :]
        return line.decode(errors="replace")

    def read(self, size: int) -> bytes:
        """The next bytes."""
        while len(self._unread) < size:
            self._unread += self._receive()
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def close(self) -> None:
        """End it, whatever it was doing."""
        for pipe in (self._to, self._from):
            with suppress(OSError):
                pipe.close()
        self._ssh.terminate()
        self._ssh.wait()
        self._complaints.close()

    def _receive(self) -> bytes:
        data = self._from.read(1 << 16)
        if not data:
            raise self._broken()
        return data

    def _broken(self) -> ExportError:
        """Why the connection ended."""
        with suppress(OSError):
            self._to.close()
        code = self._ssh.wait()
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        why = lines[-1] if lines else f"ssh ended with {code}"
        if code != _EXIT_SSH:
            return ExportError(f"{self._url}: {why}", "check the disk and permissions there")
        if any(refusal in line for line in lines for refusal in _REFUSALS):
            return ExportError(f"{self._url}: {why}", "try `ssh -o BatchMode=yes` with the same host first")
        return UnreachableError(f"{self._url}: {why}", "check the network, then run it again")
