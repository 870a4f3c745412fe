"""One run of an export: choose, check, send, verify, publish."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from rove_core import __version__
from rove_core.errors import EpisodeError, ExportError, RoveError, UnreachableError
from rove_recorder.episode_format.hashes import FileHash, hashes_of
from rove_recorder.export.contents import (
    Content,
    dataset_content,
    episode_content,
    packed_content,
    reasons_against,
)
from rove_recorder.export.layout import plain_name
from rove_recorder.export.manifest import ZARR, Entry, Manifest, counted, in_force
from rove_recorder.export.plan import candidates, since_last, unfinished
from rove_recorder.export.sender import Batch, Sender
from rove_recorder.export.state import ExportState
from rove_recorder.export.summary import Refused, Summary
from rove_recorder.export.targets import Item, SourceChangedError, Target
from rove_recorder.formats import writer
from rove_recorder.formats.options import Options
from rove_recorder.reader import open_episode

DEFAULT_JOBS: Final = 4


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be exported.

    Attributes:
        root: folder with episodes. robot: this machine's name at the target. kind: "zarr" or a format of
            rove_recorder.formats. select: SQL condition. since_last: only what is newer than the last manifest.
        packed: new episodes as one zip file each. force: flagged episodes too. trust_journal: see Sender.
        dry_run: send nothing.
    """

    root: Path
    robot: str
    kind: str = ZARR
    select: str = ""
    since_last: bool = False
    packed: bool = False
    force: bool = False
    trust_journal: bool = True
    dry_run: bool = False
    jobs: int = DEFAULT_JOBS
    format_options: Options = Options()  # noqa: RUF009 - frozen


Say = Callable[[str], None]


def export(order: Order, target: Target, now: datetime, say: Say = lambda _: None) -> Summary:
    """Send what the target lacks and publish a manifest of it, when all of it is there.

    An episode that must not go, or whose files changed, is refused and the others go. When the target stops answering
    the run ends, with `interrupted` in the summary; the next one goes on where it stopped.

    Args:
        now: wall time. say: gets a line per episode.

    Raises:
        EpisodeError: no such folder, not a condition. ConfigError: no such format.
        ExportError: another export to the same target runs, or the target refuses.
    """
    plain_name(order.robot, "name of the robot")
    if "://" not in target.url and Path(target.url).is_relative_to(order.root.absolute()):
        raise ExportError(f"{target.url} is inside of {order.root}", "its copies would be exported with the next run")
    if order.kind != ZARR:
        writer(order.kind)  # one line now, not after an hour of checking
    summary = Summary(target.url, order.robot, now, order.dry_run)
    state = ExportState(order.root, target.url, order.robot)
    start_s = time.monotonic()
    try:
        if not order.trust_journal:
            state.forget()
        _Run(order, target, state, summary, say).go()
    except UnreachableError as error:
        summary.interrupted = str(error)
    except RoveError as error:
        summary.interrupted = str(error)
        raise
    finally:
        summary.seconds = time.monotonic() - start_s
        if not order.dry_run:
            state.keep_summary(summary.as_json())
        state.close()
    return summary


class _Run:
    def __init__(self, order: Order, target: Target, state: ExportState, summary: Summary, say: Say) -> None:
        self._order, self._target, self._state, self._summary, self._say = order, target, state, summary, say
        manifests, damaged = state.manifests(target, order.robot)
        summary.notes += damaged
        # A clock that went back would hide what is new: then all is looked at.
        since = since_last(manifests, order.kind, order.select) if order.since_last else None
        self._since = since if since is not None and since < summary.started else None
        # Names of manifests sort by time, and the last one counts: a clock that went back must not change that.
        newest = max((manifest.created for manifest in manifests), default=summary.started - timedelta(seconds=1))
        self._created = max(summary.started, newest + timedelta(seconds=1))
        self._published = in_force(manifests)

    def go(self) -> None:
        if number := unfinished(self._order.root):
            self._summary.notes.append(f"{number} unfinished: being recorded, or left behind (rove episodes recover)")
        contents = self._episodes() if self._order.kind == ZARR else self._data_set()
        if self._order.dry_run:
            for content in contents:
                self._count(content, len(content.items), sum(item.expected.bytes for item in content.items), 0)
            return
        under_way: deque[Batch] = deque()
        entries: list[Entry] = []
        with Sender(self._target, self._state, self._order.jobs, self._order.trust_journal) as sender:
            for content in contents:
                under_way.append(sender.send(content))
                # Packed episodes wait on the disk: no more of them than are being sent.
                crowded = self._order.packed and len(under_way) > self._order.jobs
                while under_way and (crowded or under_way[0].done()):
                    entries += self._arrived(under_way.popleft())
                    crowded = False
            for batch in under_way:
                entries += self._arrived(batch)
        self._publish(entries)

    def _arrived(self, batch: Batch) -> list[Entry]:
        """Its entry when all of it is there; waits for that."""
        try:
            batch.wait()
        except SourceChangedError as error:
            self._refuse(batch.content.name, [str(error)])
            return []
        if batch.content.scratch is not None:
            batch.content.scratch.unlink()
        self._count(batch.content, batch.sent, batch.sent_bytes, batch.kept)
        return [batch.content.entry]

    def _episodes(self) -> Iterator[Content]:
        order = self._order
        for path in candidates(order.root, order.select, self._since):
            try:
                content = episode_content(path, order.robot, self._published)
                reasons = reasons_against(path, order.force, hash_arrays=order.dry_run) if content else []
            except UnreachableError:
                raise
            except (EpisodeError, ExportError) as error:
                self._refuse(str(path), [str(error)])
                continue
            if content is None:
                self._summary.already_there += 1
            elif reasons:
                self._refuse(str(path), reasons)
            elif order.packed and content.entry.new and not order.dry_run:
                yield from self._packed(content, path)
            else:
                yield content

    def _packed(self, content: Content, path: Path) -> Iterator[Content]:
        try:
            yield packed_content(content, path, self._state.folder / "work")
        except (EpisodeError, SourceChangedError) as error:
            self._refuse(str(path), [str(error)])

    def _data_set(self) -> Iterator[Content]:
        """The episodes that are in no data set of this format yet, as one more of them."""
        order = self._order
        converted = {
            source for entry in self._published.values() if entry.kind == order.kind for source in entry.sources
        }
        fresh: dict[str, Path] = {}
        for path in candidates(order.root, order.select, self._since):
            try:
                sha256 = hashes_of(path).sha256
                reasons = [] if sha256 in converted else reasons_against(path, order.force, hash_arrays=True)
            except EpisodeError as error:
                reasons, sha256 = [str(error)], ""
            if reasons:
                self._refuse(str(path), reasons)
            elif sha256 in converted:
                self._summary.already_there += 1
            else:
                fresh[sha256] = path
        if fresh and order.dry_run:
            self._summary.notes.append(f"would convert {len(fresh)} episodes into a {order.kind} data set")
        elif fresh:
            yield self._converted(fresh)

    def _converted(self, episodes: dict[str, Path]) -> Content:
        order, paths = self._order, list(episodes.values())
        work = self._state.folder / "work"
        # Whole when it is there, and the same for the same episodes and options: a run that was cut need not convert
        # again.
        wanted = "".join([*sorted(episodes), order.format_options.model_dump_json()])
        out = work / f"{order.kind}-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
        rows = out.with_name(f"{out.name}.rows")
        if not (out.exists() and rows.exists()):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            self._say(f"converting {len(paths)} episodes to {order.kind}")
            report = writer(order.kind)(paths, out, order.format_options)
            for line in report.lines():
                self._say(line)
            rows.write_text(str(report.rows))
        newest = max(str(open_episode(path).attrs["opened_wall"]) for path in paths)
        day = datetime.fromisoformat(newest)
        return dataset_content(out, order.kind, order.robot, day, episodes, int(rows.read_text()))

    def _publish(self, entries: list[Entry]) -> None:
        if entries:
            self._target.sync()
            order, summary = self._order, self._summary
            ordered = tuple(sorted(entries, key=lambda entry: entry.path))
            manifest = Manifest(
                robot=order.robot,
                software=__version__,
                created=self._created,
                kind=order.kind,
                select=order.select,
                counts=counted(ordered),
                entries=ordered,
            )
            content = manifest.content()
            summary.manifest = manifest.key()
            expected = FileHash(len(content), hashlib.sha256(content).hexdigest())
            self._target.put(Item(summary.manifest, expected, content))
            self._target.sync()
        self._state.forget()
        shutil.rmtree(self._state.folder / "work", ignore_errors=True)

    def _refuse(self, path: str, reasons: list[str]) -> None:
        self._summary.refused.append(Refused(path, tuple(reasons)))
        for reason in reasons:
            self._say(f"refused {path}: {reason}")

    def _count(self, content: Content, sent: int, sent_bytes: int, kept: int) -> None:
        summary, entry = self._summary, content.entry
        if entry.kind != ZARR:
            summary.data_sets += 1
        elif entry.new:
            summary.episodes.append(entry.episode)
        else:
            summary.annotated += 1
        summary.sent_files += sent
        summary.sent_bytes += sent_bytes
        summary.kept_files += kept
        self._say(
            f"{'would send' if summary.dry_run else 'sent'} {content.name}: {sent} files, {sent_bytes / 1e6:.1f} MB"
        )
