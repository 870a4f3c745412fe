"""`rove bench loader`: random windows of a data set per second, next to LeRobotDataset, numpy and JPEG alone.

The episodes are made for it by the recorder's own parts: three 640x480 cameras at 30 Hz whose textured images move,
about 50 KB each at quality 90. A window has 16 actions and one image of each camera. Everything runs in turns in one
run; LeRobot 0.6.1 reads the same attempts, converted by `rove_recorder.formats.lerobot`, in its own environment
(`make lerobot`, or ROVE_LEROBOT_PYTHON names its interpreter).
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rove_core.errors import RoveError
from rove_recorder.bench.attempts import CAMERAS, record_attempt
from rove_recorder.episode_format.storage import AnyArray
from rove_recorder.reader import open_episode
from rove_recorder.windows.dataset import EpisodeDataset, WindowSpec
from rove_recorder.windows.images import decode_jpeg
from rove_recorder.windows.window_index import WindowFilter

HORIZON = 16
BATCH = 32
PEER = Path(__file__).with_name("lerobot_windows.py")
IntArray = npt.NDArray[np.int64]


Measure: TypeAlias = Callable[[float], float]  # for so many seconds -> windows per second


def run(quick: bool) -> dict[str, Any]:
    """Measure. Takes ten minutes, most of which make the data; one when `quick`."""
    episodes, seconds, measured_s, rounds = (2, 8.0, 1.0, 3) if quick else (6, 45.0, 4.0, 7)
    with tempfile.TemporaryDirectory(prefix="rove-loader-") as folder, ExitStack() as stack:
        root = Path(folder)
        paths = [record_attempt(root / "session", f"attempt-{number}", seconds, number) for number in range(episodes)]
        figures: dict[str, Any] = {"machine_cores": os.cpu_count(), "episodes": _facts(paths)}
        peer = _lerobot(paths, root, stack)
        figures["lerobot"] = peer.facts if isinstance(peer, _LeRobot) else {"not_measured": peer}
        readers = _images(paths)
        if isinstance(peer, _LeRobot):
            readers["lerobot_windows_per_s"] = peer.measure
        figures |= _in_turns(readers, measured_s, rounds)
        figures |= _in_turns(_states(paths, root), measured_s / 4, rounds)
    return figures | _ratios(figures)


def _ratios(figures: Mapping[str, Any]) -> dict[str, float]:
    pairs = {
        "one_thread_vs_decoding_alone": ("windows_per_s_one_thread", "decoding_alone_per_s_one_thread"),
        "states_vs_memmap": ("state_windows_per_s", "memmap_state_windows_per_s"),
        "windows_vs_lerobot": ("windows_per_s", "lerobot_windows_per_s"),
        "one_by_one_vs_lerobot": ("windows_per_s_one_by_one", "lerobot_windows_per_s"),
    }
    return {name: round(figures[a] / figures[b], 2) for name, (a, b) in pairs.items() if b in figures}


def _facts(paths: Sequence[Path]) -> dict[str, Any]:
    episodes = [open_episode(path) for path in paths]
    sizes = [int(episode.group(f"cameras/{camera}")["offsets"][-1]) for episode in episodes for camera in CAMERAS]
    frames = sum(len(episode.frames(camera)) for episode in episodes for camera in CAMERAS)
    return {
        "count": len(paths),
        "rows": sum(episode.rows for episode in episodes),
        "images": frames,
        "jpeg_kb": round(sum(sizes) / frames / 1024, 1),
    }


def _images(paths: Sequence[Path]) -> dict[str, Measure]:
    """Windows with three images: in batches by two threads and by one, one by one, and such JPEGs from memory."""
    keep = WindowFilter(valid_only=False)
    one = EpisodeDataset(paths, WindowSpec(HORIZON), keep)
    two = EpisodeDataset(paths, WindowSpec(HORIZON), keep, threads=2)
    jpegs = _jpegs(paths)

    def decode(windows: IntArray) -> None:
        for number in windows.tolist():
            for camera in range(len(CAMERAS)):
                decode_jpeg(jpegs[(number * len(CAMERAS) + camera) % len(jpegs)], "memory")

    readers: dict[str, Callable[[IntArray], object]] = {
        "windows_per_s": lambda windows: two.__getitems__(windows.tolist()),
        "windows_per_s_one_thread": lambda windows: one.__getitems__(windows.tolist()),
        "windows_per_s_one_by_one": lambda windows: [two[number] for number in windows.tolist()],
        "decoding_alone_per_s_one_thread": decode,
    }
    return {name: partial(_random_windows, read, len(one)) for name, read in readers.items()}


def _jpegs(paths: Sequence[Path]) -> list[npt.NDArray[np.uint8]]:
    frames = [open_episode(path).frames(camera) for path in paths for camera in CAMERAS]
    return [np.frombuffer(camera.jpeg(number), np.uint8) for number in range(0, 200, 5) for camera in frames]


def _states(paths: Sequence[Path], root: Path) -> dict[str, Measure]:
    """Windows of 16 states without images, as batches, against slices of one array that somebody made of them all."""
    spec = WindowSpec(horizon=0, history=HORIZON - 1, observations=("state",), cameras=())
    dataset = EpisodeDataset(paths, spec, WindowFilter(valid_only=False))
    np.save(
        root / "states.npy", np.concatenate([open_episode(path).steps["state"].astype(np.float32) for path in paths])
    )
    mapped = np.load(root / "states.npy", mmap_mode="r")
    count = min(len(dataset), len(mapped) - HORIZON)

    def slices(windows: IntArray) -> AnyArray:
        return np.stack([mapped[row : row + HORIZON] for row in windows.tolist()])

    return {
        "state_windows_per_s": partial(_random_windows, dataset.__getitem__, count),
        "memmap_state_windows_per_s": partial(_random_windows, slices, count),
    }


def _random_windows(read: Callable[[IntArray], object], count: int, seconds: float) -> float:
    generator = np.random.default_rng(0)
    began, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        read(generator.integers(0, count, BATCH))
        done += BATCH
    return done / passed


def _in_turns(readers: Mapping[str, Measure], measured_s: float, rounds: int) -> dict[str, float]:
    """Windows a second of each reader: the median of `rounds` rounds, in which all of them have their turn."""
    for measure in readers.values():
        measure(0.1)
    speeds = [{name: measure(measured_s) for name, measure in readers.items()} for _ in range(rounds)]
    return {name: round(median(speed[name] for speed in speeds), 1) for name in readers}


class _LeRobot:
    """LeRobotDataset on the same attempts, in a process of its own. `facts`: what it says of itself."""

    def __init__(self, python: Path, root: Path, stack: ExitStack) -> None:
        self._log = root.with_suffix(".log")
        self._process = subprocess.Popen(
            [str(python), str(PEER), str(root), str(HORIZON)],
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stack.enter_context(self._log.open("w")),
            text=True,
        )
        stack.enter_context(self._process)  # closing its input ends it
        self.facts: dict[str, Any] = self._answer()

    def measure(self, seconds: float) -> float:
        """Random windows per second. Raises RoveError when the process ended."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe, see above
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return float(self._answer()["windows_per_s"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - a pipe, see above
        line = self._process.stdout.readline()
        if not line:
            words = self._log.read_text().strip().splitlines() or ["it said nothing"]
            raise RoveError(f"LeRobot's process ended with exit code {self._process.wait()}", words[-1])
        return dict(json.loads(line))


def _lerobot(paths: Sequence[Path], root: Path, stack: ExitStack) -> _LeRobot | str:
    """LeRobot on the converted attempts, or why not."""
    python = Path(os.environ.get("ROVE_LEROBOT_PYTHON", ".venv-lerobot/bin/python")).absolute()
    if not python.is_file():
        return f"no {python}: make lerobot, or set ROVE_LEROBOT_PYTHON"
    from rove_recorder.formats import writer
    from rove_recorder.formats.options import Options

    try:
        writer("lerobot")(paths, root / "lerobot", Options())
        return _LeRobot(python, root / "lerobot", stack)
    except RoveError as error:
        return f"{error}; {error.hint}"
