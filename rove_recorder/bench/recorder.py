"""`rove bench recorder`: the recorder under full load, over real DDS, next to what else could record it.

Three 640x480 cameras at 30 Hz, 50 joints and commands at 200 Hz, chunks and events. Reported are the recorder's share
of a core, what it did not record of what was sent, how old a row is when it is on the disk, and its memory.

By itself it measures longer: `python -m rove_recorder.bench.recorder --attempts 12 --seconds 300 --csv memory.csv`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mcap.data_stream import ReadDataStream
from mcap.reader import make_reader
from mcap.records import MessageIndex

import rove_core
from rove_core.errors import RoveError
from rove_recorder.bench.watching import DiskWatch, ImagesRemoved, ProcessWatch
from rove_recorder.episode_format.hashes import read_hashes
from rove_recorder.reader import Episode, open_episode

CAMERAS = ("head", "left_wrist", "right_wrist")
# A domain of its own, unless one is given: a robot on this network must not hear the benchmark.
DEFAULT_DOMAIN = "86"
PROFILE = Path(rove_core.__file__).parent / "ros" / "fastdds_profile.xml"
FULL_S, QUICK_S = 600.0, 20.0
# Of raw messages, 85 MB/s: a minute is enough to know what they cost, ten would fill many a disk.
RAW_S = 60.0
LEROBOT_S = 60.0
LEROBOT_WRITER = Path(__file__).with_name("lerobot_writer.py")
# Of a record in an MCAP file: its opcode and its length.
INDEX_HEADER_BYTES = 9
END_S = 60.0
# Of an attempt's beginning, which is left out of what must be there: its cameras are still being discovered.
SETTLE_S = 1.0


def run(quick: bool) -> dict[str, Any]:
    """Measure. Takes a quarter of an hour, a minute when `quick`.

    Raises:
        RoveError: a process did not start or failed; its last words are in the message.
    """
    seconds = QUICK_S if quick else FULL_S
    figures: dict[str, Any] = {"machine_cores": os.cpu_count(), "attempt_s": seconds}
    figures["recorder"] = record(1, seconds)
    figures["raw_mcap"] = record_raw(min(seconds, RAW_S))
    figures["lerobot"] = record_with_lerobot(min(seconds, LEROBOT_S))
    return figures


def record(attempts: int, seconds: float, samples: Path | None = None) -> dict[str, Any]:
    """Record `attempts` of `seconds` each. `samples`: CSV file for CPU and memory over time."""
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="rove-bench-", dir=os.environ.get("TMPDIR")))
        )
        session, sent = folder / "session", folder / "sent.npz"
        recorder = stack.enter_context(Running("recorder_node", ros_parameters(session)))
        watch = stack.enter_context(ProcessWatch(recorder.pid))
        disk = stack.enter_context(DiskWatch(session))
        stack.enter_context(ImagesRemoved(session))
        opened = _load(stack, sent, attempts, seconds)
        recorder.end()
        episodes = [open_episode(path) for path in sorted(session.glob("*.zarr"))]
        if len(episodes) != len(opened):
            raise RoveError(f"{len(episodes)} episodes of {len(opened)} attempts in {session}")
        checked = [_missing(episode, sent, begin, end) for episode, (begin, end) in zip(episodes, opened, strict=True)]
        size = sum(hashes.bytes for path in session.glob("*.zarr") if (hashes := read_hashes(path)))
        if samples is not None:
            _write_csv(samples, watch.samples)
        begin, end = int(opened[0][0]), int(opened[-1][1])
        return {
            "attempts": attempts,
            "cpu_share": round(watch.cpu_share(begin, end), 3),
            **watch.memory(begin, end),
            "row_on_disk_after_s": disk.latency_s(),
            **{name: sum(found[name] for found in checked) for name in checked[0]},
            "episode_mb_per_s": round(size / 1e6 / (attempts * seconds), 2),
        }


def record_raw(seconds: float) -> dict[str, Any]:
    """The same topics, written as they are by mcap's writer in Python."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rove-bench-")))
        path, sent = folder / "raw.mcap", folder / "sent.npz"
        writer = stack.enter_context(Running("raw_recorder", [str(path), *CAMERAS]))
        watch = stack.enter_context(ProcessWatch(writer.pid))
        opened = _load(stack, sent, 1, seconds)
        writer.end()
        begin, end = (int(moment) for moment in opened[0])
        robot, images = np.load(sent), np.load(sent.with_suffix(".images.npz"))
        counts = _counts(path, begin + int(SETTLE_S * 1e9), end)
        frames = sum(len(_within(images[camera], begin, end)) for camera in CAMERAS)
        return {
            "seconds": seconds,
            "cpu_share": round(watch.cpu_share(begin, end), 3),
            **watch.memory(begin, end),
            "frames_sent": frames,
            "frames_written": sum(count for topic, count in counts.items() if topic.startswith("/camera/")),
            "ticks_sent": len(_within(robot["sent_ns"], begin, end)),
            "commands_written": counts.get("/rove/command_trace", 0),
            "mb_per_s": round(path.stat().st_size / 1e6 / (seconds + 2 * SETTLE_S), 1),
        }


def _counts(path: Path, begin_ns: int, end_ns: int) -> dict[str, int]:
    """Messages per topic that were received in a time, from the file's own indices: images are not read."""
    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
        if summary is None:
            raise RoveError(f"{path} was not finished")
        counts: dict[str, int] = {}
        for chunk in summary.chunk_indexes:
            for channel, offset in chunk.message_index_offsets.items():
                file.seek(offset + INDEX_HEADER_BYTES)
                index = MessageIndex.read(ReadDataStream(file))
                topic = summary.channels[channel].topic
                counts[topic] = counts.get(topic, 0) + sum(begin_ns < stamp < end_ns for stamp, _ in index.records)
    return counts


def record_with_lerobot(seconds: float) -> dict[str, Any]:
    """LeRobot's writer with streaming video, fed directly; why not, where it is not installed."""
    python = Path(os.environ.get("ROVE_LEROBOT_PYTHON", ".venv-lerobot/bin/python")).absolute()
    if not python.is_file():
        return {"not_measured": f"no {python}: make lerobot, or set ROVE_LEROBOT_PYTHON"}
    from rove_recorder.ros.load import pictures

    with tempfile.TemporaryDirectory(prefix="rove-bench-") as folder:
        images = Path(folder, "images.npy")
        np.save(images, np.stack(pictures(0)))
        argv = [str(python), str(LEROBOT_WRITER), str(Path(folder, "dataset")), str(images), str(seconds)]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "SVT_LOG": "1"}
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"not_measured": (done.stderr.strip().splitlines() or ["it failed without a word"])[-1]}
    return {"seconds": seconds, **json.loads(done.stdout.splitlines()[-1])}


def _load(stack: ExitStack, sent: Path, attempts: int, seconds: float) -> npt.NDArray[np.int64]:
    """Play the robot to its end; when each attempt began and ended [ns, ROS clock]."""
    images = stack.enter_context(Running("load", ["images", "--cameras", *CAMERAS, "--out", str(sent)]))
    arguments = ["robot", "--attempts", str(attempts), "--seconds", str(seconds), "--out", str(sent)]
    robot = stack.enter_context(Running("load", arguments))
    robot.wait(attempts * (seconds + END_S))
    images.end()
    opened: npt.NDArray[np.int64] = np.load(sent)["open_ns"]
    return opened


def _missing(episode: Episode, sent: Path, begin_ns: int, end_ns: int) -> dict[str, int]:
    """What was sent during an attempt and what of it is not in the episode, by stamps, message by message."""
    robot, images = np.load(sent), np.load(sent.with_suffix(".images.npz"))
    streams = episode.streams
    found = {"rows": episode.rows, "frames_sent": 0, "frames_lost": 0}
    for camera in CAMERAS:
        times = _within(images[camera], begin_ns, end_ns)
        found["frames_sent"] += len(times)
        found["frames_lost"] += int(np.isin(times, episode.frames(camera).capture_ns, invert=True).sum())
    times = _within(robot["sent_ns"], begin_ns, end_ns)
    found["ticks_sent"] = len(times)
    found["joint_states_lost"] = int(np.isin(times, streams["joint_states"]["t_ros_ns"], invert=True).sum())
    found["commands_lost"] = int(np.isin(times, streams["commands"]["t_ros_ns"], invert=True).sum())
    return found


def _within(times: npt.NDArray[np.int64], begin_ns: int, end_ns: int) -> npt.NDArray[np.int64]:
    return times[(times > begin_ns + SETTLE_S * 1e9) & (times < end_ns)]


def ros_parameters(session: Path) -> list[str]:
    """Arguments of recorder_node."""
    parameters = {"out_dir": session, "cameras": f"[{','.join(CAMERAS)}]", "min_free_mb": 1}
    return ["--ros-args", *(part for name, value in parameters.items() for part in ("-p", f"{name}:={value}"))]


class Running:
    """A module under rove_recorder.ros as a process, ended by SIGINT."""

    def __init__(self, module: str, arguments: Sequence[str], python: str = sys.executable) -> None:
        environment = {"ROS_DOMAIN_ID": DEFAULT_DOMAIN} | os.environ
        environment |= {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "FASTDDS_DEFAULT_PROFILES_FILE": str(PROFILE)}
        self._name = module
        self._log = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - closed at the end of the `with` block
        argv = [python, "-m", f"rove_recorder.ros.{module}", *arguments]
        self._process = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=self._log)
        self.pid = self._process.pid

    def wait(self, timeout_s: float) -> None:
        """Until it ends by itself. Raises RoveError when it fails."""
        if self._process.wait(timeout_s) != 0:
            self._log.seek(0)
            last = (self._log.read().strip().splitlines() or ["no output"])[-1]
            raise RoveError(f"{self._name}: {last}", "rove doctor says whether ROS 2 works here")

    def end(self) -> None:
        """Interrupt it and wait. Raises RoveError when it failed."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        self.wait(END_S)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()


def _write_csv(path: Path, samples: Sequence[Mapping[str, float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(samples[0]))
        writer.writeheader()
        writer.writerows(samples)


def main() -> None:
    """A measurement as long as one likes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=QUICK_S)
    parser.add_argument("--csv", type=Path, help="CPU and memory every second")
    options = parser.parse_args()
    json.dump(record(options.attempts, options.seconds, options.csv), sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
