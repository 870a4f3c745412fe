"""A folder into which new bundles are copied, and which of them are complete.

Whoever copies need not say when a copy is done: `policy.yaml` holds the SHA-256 of every file of its bundle, so a copy
that is under way, was cut short or was damaged on its way does not pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rove_core.errors import RoveError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import SPEC_FILE, load_bundle

# Name, size [bytes] and time of change [ns] of every file of a folder.
_Stat = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A bundle that is complete and for this robot. It has not been run yet: the swap does that.

    Attributes:
        written_ns: when its `policy.yaml` was last changed, as the file system says [ns since 1970].
    """

    path: Path
    policy_id: str
    index: int
    written_ns: int


@dataclass(frozen=True, slots=True)
class Look:
    """What a look into the folder found.

    Attributes:
        offers: complete bundles, oldest first.
        incomplete: other folders with a `policy.yaml` -> why they are not offered.
    """

    offers: tuple[Offer, ...] = ()
    incomplete: Mapping[str, str] = field(default_factory=dict)

    def besides(self, policy_id: str) -> list[Offer]:
        """What is offered to a robot on which `policy_id` is in force, oldest first.

        When that one came out of the folder itself, what is older than it is not offered again.
        """
        running = [offer.written_ns for offer in self.offers if offer.policy_id == policy_id]
        return [o for o in self.offers if o.policy_id != policy_id and o.written_ns >= max(running, default=0)]


@dataclass(slots=True)
class _Seen:
    stat: _Stat
    offer: Offer | None = None
    lacks: str = "just arrived"
    judged: bool = False


class OfferFolder:
    """A watched folder, one bundle per folder in it. Those whose name begins with a dot are left alone.

    A bundle is judged when nothing in it has changed since the look before, and again after every change; so a
    copy under way costs no hashing. The folder may be missing (a drive that is not mounted yet): then nothing is
    offered. Called from one thread.
    """

    def __init__(self, folder: str | Path, space: JointSpace) -> None:
        self.folder = Path(folder)
        self._space = space
        self._seen: dict[str, _Seen] = {}

    def look(self) -> Look:
        """Look again."""
        children = _bundle_folders(self.folder)
        self._seen = {name: seen for name, seen in self._seen.items() if name in children}
        for name, path in children.items():
            stat = _stat(path)
            seen = self._seen.get(name)
            if seen is None or seen.stat != stat:
                self._seen[name] = _Seen(stat)
            elif not seen.judged:
                self._judge(path, seen)
        offers = sorted((s.offer for s in self._seen.values() if s.offer), key=lambda o: (o.written_ns, o.path.name))
        return Look(tuple(offers), {name: s.lacks for name, s in self._seen.items() if s.offer is None})

    def _judge(self, path: Path, seen: _Seen) -> None:
        seen.judged = True
        odd = [name for name, _, _ in seen.stat if not ((path / name).is_file() or (path / name).is_dir())]
        if odd:  # reading a pipe or a device would never end
            seen.lacks = f"{odd[0]} is no plain file"
            return
        try:
            bundle = load_bundle(path, self._space)
            written_ns = (path / SPEC_FILE).stat().st_mtime_ns
        except RoveError as error:
            seen.lacks = str(error)
        except OSError as error:  # taken away while it was read
            seen.lacks = f"cannot read it: {error.strerror}"
        else:
            seen.offer = Offer(path, bundle.policy_id, bundle.spec.index, written_ns)


def _bundle_folders(folder: Path) -> dict[str, Path]:
    """Name -> path of the folders in `folder` that have a policy.yaml."""
    try:
        children = sorted(folder.iterdir())
    except OSError:
        return {}
    return {path.name: path for path in children if not path.name.startswith(".") and (path / SPEC_FILE).is_file()}


def _stat(folder: Path) -> _Stat:
    """What changes when somebody writes into `folder`; files that vanish meanwhile are left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((str(path.relative_to(folder)), status.st_size, status.st_mtime_ns))
    return tuple(found)
