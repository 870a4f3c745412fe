"""Sending files over several connections at once, what is already there excepted."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

from rove_recorder.export.contents import Content
from rove_recorder.export.state import ExportState
from rove_recorder.export.targets import Item, SourceChangedError, Target

# Files that wait for a connection, per connection: enough to keep all of them busy, few enough to forget nothing.
_WAITING: Final = 4


@dataclass(slots=True)
class Batch:
    """The files of one content on their way.

    Attributes:
        sent, sent_bytes: files of it that this run sends. kept: those that were there.
    """

    content: Content
    kept: int
    sent: int = 0
    sent_bytes: int = 0
    futures: list[Future[None]] = field(default_factory=list)

    def done(self) -> bool:
        """Whether nothing of it is on its way any more."""
        return all(future.done() for future in self.futures)

    def wait(self) -> None:
        """Return when all of it is there; raises what stopped it."""
        for future in self.futures:
            future.result()
        self.futures.clear()


class Sender:
    """Sends contents in order, the files of several of them at a time.

    Args:
        jobs: connections. trust_journal: take what an earlier run saw arrive as there when its size is right;
            else the target is asked for the hash of everything that it has.
    """

    def __init__(self, target: Target, state: ExportState, jobs: int, trust_journal: bool = True) -> None:
        self._target, self._state, self._trust = target, state, trust_journal
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="export")
        self._room = threading.BoundedSemaphore(jobs * (1 + _WAITING))
        self._failure: BaseException | None = None

    def send(self, content: Content) -> Batch:
        """Send what the target lacks of it; returns when the last file waits for a connection.

        Raises:
            ExportError: the target does not answer or refuses.
        """
        there = self._there(content)
        batch = Batch(content, kept=len(there))
        for item in content.items:
            if item.key in there:
                continue
            self._room.acquire()
            if self._failure is not None:
                self._room.release()
                raise self._failure
            batch.futures.append(self._pool.submit(self._put, item))
            batch.sent += 1
            batch.sent_bytes += item.expected.bytes
        return batch

    def _there(self, content: Content) -> set[str]:
        """Keys of what is at the target, whole and right."""
        sizes = self._target.list(content.entry.path)
        candidates = [item for item in content.items if sizes.get(item.key) == item.expected.bytes]
        seen = {item.key for item in candidates if self._trust and self._state.has(item.key, item.expected.sha256)}
        asked = [item for item in candidates if item.key not in seen]
        held = self._target.held(asked) if asked else set()
        for item in asked:
            if item.key in held:
                self._state.arrived(item.key, item.expected.sha256)
        return seen | held

    def _put(self, item: Item) -> None:
        try:
            if self._failure is not None:  # the target is gone for all: do not try each file
                raise self._failure
            self._target.put(item)
            self._state.arrived(item.key, item.expected.sha256)
        except SourceChangedError:
            raise
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._room.release()

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            self._failure = self._failure or error
        self._pool.shutdown(wait=True, cancel_futures=error is not None)
