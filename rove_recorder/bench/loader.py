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
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from rove_core.errors import RoveError
from rove_recorder.bench.attempts import CAMERAS, record_attempt
from rove_recorder.dataset import EpisodeDataset, WindowSpec
from rove_recorder.images import decode_jpeg
from rove_recorder.reader import open_episode
from rove_recorder.window_index import WindowFilter

HORIZON = 16
BATCH = 32
PEER = Path(__file__).with_name("lerobot_windows.py")
IntArray = npt.NDArray[np.int64]


def run(quick: bool) -> dict[str, Any]:
    """Measure. Takes ten minutes, most of which make the data; one when `quick`."""
    episodes, seconds, measured_s, rounds = (2, 8.0, 1.0, 3) if quick else (6, 45.0, 4.0, 7)
    with tempfile.TemporaryDirectory(prefix="rove-loader-") as folder:
        root = Path(folder)
        paths = [record_attempt(root / "session", f"attempt-{number}", seconds, number) for number in range(episodes)]
        figures: dict[str, Any] = {"machine_cores": os.cpu_count(), "episodes": _facts(paths)}
        figures |= _images(paths, measured_s, rounds)
        figures |= _states(paths, root, measured_s / 4, rounds)
        figures["lerobot"] = _lerobot(paths, root, measured_s * rounds)
    peer = figures["lerobot"].get("windows_per_s")
    if peer:
        figures["windows_vs_lerobot"] = round(figures["windows_per_s"] / peer, 2)
        figures["one_by_one_vs_lerobot"] = round(figures["windows_per_s_one_by_one"] / peer, 2)
    return figures


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


def _images(paths: Sequence[Path], measured_s: float, rounds: int) -> dict[str, float]:
    """Windows with three images: in batches by two threads and by one, one by one, and such JPEGs from memory."""
    keep = WindowFilter(valid_only=False)
    one = EpisodeDataset(paths, WindowSpec(HORIZON), keep)
    two = EpisodeDataset(paths, WindowSpec(HORIZON), keep, threads=2)
    jpegs = _jpegs(paths)
    generator = np.random.default_rng(0)

    def decode(windows: IntArray) -> None:
        for number in windows.tolist():
            for camera in range(len(CAMERAS)):
                decode_jpeg(jpegs[(number * len(CAMERAS) + camera) % len(jpegs)], "memory")

    found = _in_turns(
        {
            "windows_per_s": lambda windows: two.__getitems__(windows.tolist()),
            "windows_per_s_one_thread": lambda windows: one.__getitems__(windows.tolist()),
            "windows_per_s_one_by_one": lambda windows: [two[number] for number in windows.tolist()],
            "decoding_alone_per_s_one_thread": decode,
        },
        lambda: generator.integers(0, len(one), BATCH),
        measured_s,
        rounds,
    )
    found["one_thread_vs_decoding_alone"] = round(
        found["windows_per_s_one_thread"] / found["decoding_alone_per_s_one_thread"], 2
    )
    return found


def _jpegs(paths: Sequence[Path]) -> list[npt.NDArray[np.uint8]]:
    frames = [open_episode(path).frames(camera) for path in paths for camera in CAMERAS]
    return [np.frombuffer(camera.jpeg(number), np.uint8) for number in range(0, 200, 5) for camera in frames]


def _states(paths: Sequence[Path], root: Path, measured_s: float, rounds: int) -> dict[str, float]:
    """Windows of 16 states without images, as batches, against slices of one array that somebody made of them all."""
    spec = WindowSpec(horizon=0, history=HORIZON - 1, observations=("state",), cameras=())
    dataset = EpisodeDataset(paths, spec, WindowFilter(valid_only=False))
    states = np.concatenate([open_episode(path).steps["state"].astype(np.float32) for path in paths])
    np.save(root / "states.npy", states)
    mapped = np.load(root / "states.npy", mmap_mode="r")
    generator = np.random.default_rng(1)
    found = _in_turns(
        {
            "state_windows_per_s": lambda windows: dataset[windows],
            "memmap_state_windows_per_s": lambda windows: np.stack(
                [mapped[row : row + HORIZON] for row in windows.tolist()]
            ),
        },
        lambda: generator.integers(0, min(len(dataset), len(mapped) - HORIZON), BATCH),
        measured_s,
        rounds,
    )
    found["states_vs_memmap"] = round(found["state_windows_per_s"] / found["memmap_state_windows_per_s"], 2)
    return found


def _in_turns(
    readers: dict[str, Callable[[IntArray], object]], draw: Callable[[], IntArray], measured_s: float, rounds: int
) -> dict[str, float]:
    """Windows a second of each reader: the median of `rounds` rounds, in which all of them have their turn."""
    speeds: dict[str, list[float]] = {name: [] for name in readers}
    for read in readers.values():
        read(draw())
    for _ in range(rounds):
        for name, read in readers.items():
            began, count = time.perf_counter(), 0
            while (passed := time.perf_counter() - began) < measured_s:
                count += len(windows := draw())
                read(windows)
            speeds[name].append(count / passed)
    return {name: round(median(found), 1) for name, found in speeds.items()}


def _lerobot(paths: Sequence[Path], root: Path, measured_s: float) -> dict[str, Any]:
    """LeRobotDataset on the same attempts; why not, where it is not installed."""
    python = Path(os.environ.get("ROVE_LEROBOT_PYTHON", ".venv-lerobot/bin/python")).absolute()
    if not python.is_file():
        return {"not_measured": f"no {python}: make lerobot, or set ROVE_LEROBOT_PYTHON"}
    from rove_recorder.formats import writer
    from rove_recorder.formats.options import Options

    try:
        began = time.perf_counter()
        writer("lerobot")(paths, root / "lerobot", Options())
        converted_s = time.perf_counter() - began
    except RoveError as error:
        return {"not_measured": f"{error}; {error.hint}"}
    argv = [str(python), str(PEER), str(root / "lerobot"), str(HORIZON), str(measured_s)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"not_measured": (done.stderr.strip().splitlines() or ["it failed without a word"])[-1]}
    return {**json.loads(done.stdout.splitlines()[-1]), "conversion_s": round(converted_s, 1)}
