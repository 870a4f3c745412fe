"""What an exporter keeps between runs, beside the episodes: only to be quicker; the target decides what it holds."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any, Final

from rove_core.errors import ExportError, UnreachableError
from rove_recorder.episode_format.schema import SUFFIX
from rove_recorder.episode_format.storage import write_atomically
from rove_recorder.export.layout import manifest_folder
from rove_recorder.export.manifest import Manifest, parse_manifest
from rove_recorder.export.targets import Target

FOLDER: Final = ".export"
_JOURNAL: Final = "journal.jsonl"
_SUMMARY: Final = "summary.json"


class ExportState:
    """The folder `.export/<target>` beside the episodes, held until it is closed.

    Args:
        root: the episodes' folder, or one episode. url, robot: which target, and who sends to it.

    Raises:
        ExportError: another export to the same target runs, or the folder cannot be written.
    """

    def __init__(self, root: Path, url: str, robot: str) -> None:
        name = hashlib.sha256(f"{robot}\n{url}".encode()).hexdigest()[:12]
        place = root.parent if root.suffix == SUFFIX else root
        self.folder = place / FOLDER / name
        try:
            (self.folder / "manifests").mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ExportError(
                f"cannot write to {self.folder}: {error.strerror}", "the export keeps its journal beside the episodes"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ExportError(f"another export of {root} to {url} runs", "wait for it, or stop it") from None
        self._arrived = self._read_journal()
        self._journal = (self.folder / _JOURNAL).open("a", encoding="utf-8")
        self._writing = threading.Lock()

    def has(self, key: str, sha256: str) -> bool:
        """Whether an earlier run, or this one, saw this content arrive."""
        return self._arrived.get(key) == sha256

    def arrived(self, key: str, sha256: str) -> None:
        """Note that the target confirmed it. One write of one line: a kill leaves whole lines or drops the last."""
        line = json.dumps([key, sha256]) + "\n"
        with self._writing:
            self._arrived[key] = sha256
            self._journal.write(line)
            self._journal.flush()

    def forget(self) -> None:
        """All of it is in a manifest, or is to be asked for again."""
        with self._writing:
            self._arrived.clear()
            self._journal.truncate(0)

    def manifests(self, target: Target, robot: str) -> tuple[list[Manifest], list[str]]:
        """The robot's manifests at the target in order of time, and a line for each that is damaged.

        Their names hold the hash of their content, so that what was read once need not be read again.
        """
        found, damaged = [], []
        for key in sorted(target.list(manifest_folder(robot))):
            kept = self.folder / "manifests" / Path(key).name
            try:
                if kept.is_file():
                    try:
                        found.append(parse_manifest(key, kept.read_bytes()))
                        continue
                    except ExportError:
                        kept.unlink()
                content = target.read(key)
                found.append(parse_manifest(key, content))
                write_atomically(kept, content)
            except UnreachableError:
                raise
            except ExportError as error:
                damaged.append(str(error))
        return found, damaged

    def keep_summary(self, summary: dict[str, Any]) -> None:
        """For whoever looks in the morning."""
        write_atomically(self.folder / _SUMMARY, (json.dumps(summary, indent=2) + "\n").encode())

    def close(self) -> None:
        """Let others export."""
        self._journal.close()
        os.close(self._lock)

    def _read_journal(self) -> dict[str, str]:
        arrived = {}
        try:
            lines = (self.folder / _JOURNAL).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return {}
        for line in lines:
            try:
                key, sha256 = json.loads(line)
            except (ValueError, TypeError):
                continue  # the last line of a run that was killed
            arrived[key] = sha256
        return arrived
