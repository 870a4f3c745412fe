"""`rove mocap`: record and replay motion capture, measure an operator, make keys."""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from rove_core.clocks import MonotonicClock
from rove_core.errors import ConfigError, WireError
from rove_core.joint_space import JointSpace
from rove_core.keys import read_pair
from rove_hil.cli import keys
from rove_hil.operator import operator_file
from rove_hil.operator.mocap import MocapFrame
from rove_hil.operator.mocap_file import MocapRecorder, read_recording
from rove_hil.operator.mocap_replay import replay as play
from rove_hil.operator.mocap_source import ISAAC, MocapSource, load_frames, open_source
from rove_hil.operator.mocap_wire import MocapPublisher
from rove_hil.operator.t_pose import BodySize, CalibrationError, calibration_of, measure

# How often loops look whether they should end [s].
POLL_S = 0.1
# A source that sends nothing for so long is not there [s].
SILENCE_S = 5.0
# How long a calibration watches for a T-pose that holds [s].
WATCH_S = 30.0
# A calibration looks at the newest frames this often [s].
LOOK_S = 0.25
# Kept for the look back: the last second at any rate, and a bit.
_KEPT_S = 1.2

_Url = Annotated[str, typer.Argument(help="tcp://HOST:PORT, ipc://PATH, mcap:FILE or bvh:FILE.")]
_Robot = Annotated[str, typer.Option(help="Robot name or YAML file.")]
_SourceKey = Annotated[str, typer.Option(help="Public key of the source (.key); none: an open wire.")]
_OwnKey = Annotated[str, typer.Option(help="Own key pair (.key_secret).")]


def register(app: typer.Typer) -> None:
    """Add `mocap` to the command."""
    group = typer.Typer(help="Record and replay motion capture, measure an operator, make keys.", no_args_is_help=True)
    for command in (record, replay, info, calibrate, operators):
        group.command()(command)
    group.command("keys")(keys.new)
    app.add_typer(group, name="mocap")


def record(
    url: _Url,
    file: Annotated[Path, typer.Argument(help="New .mcap file.")],
    seconds: Annotated[float, typer.Option(min=0.0, help="End after so long; 0: until Ctrl-C.")] = 0.0,
    robot: _Robot = "iron_r01",
    source_key: _SourceKey = "",
    own_key: _OwnKey = "",
) -> None:
    """Write what a source sends into a file."""
    source = _open(url, robot, source_key, own_key)
    started = time.monotonic()
    with _interruptible() as stop, MocapRecorder(file) as recorder:
        for frame in _frames(source, stop):
            recorder.write(frame, time.time_ns())
            if seconds and time.monotonic() - started >= seconds:
                break
    source.close()
    lost = f", {source.dropped} overtaken by newer ones" if source.dropped else ""
    refused = f", {source.rejected.total()} refused ({source.last_refusal})" if source.rejected else ""
    typer.echo(f"{file}: {recorder.frames} frames in {time.monotonic() - started:.1f} s{lost}{refused}")


def replay(
    file: Annotated[Path, typer.Argument(help="Recording: .mcap or .bvh.")],
    bind: Annotated[str, typer.Option(help="Where to publish.")] = "tcp://127.0.0.1:5571",
    loop: Annotated[bool, typer.Option(help="Over and over, until Ctrl-C.")] = False,
    latency_ms: Annotated[float, typer.Option(min=0.0, help="Send so much later than captured.")] = 0.0,
    robot: _Robot = "iron_r01",
    own_key: Annotated[str, typer.Option(help="Key pair of this source (.key_secret): encrypts the wire.")] = "",
    receivers: Annotated[Path | None, typer.Option(help="Folder of public keys of those who may receive.")] = None,
) -> None:
    """Send a recording onto the wire, at its own rate, as if captured now."""
    frames = load_frames(file, JointSpace.load(robot))
    publisher = MocapPublisher(bind, keys=read_pair(own_key) if own_key else None, receivers=receivers)
    typer.echo(f"{file}: {len(frames)} frames to {publisher.url}")
    sequence = 0

    def send(frame: MocapFrame) -> None:
        nonlocal sequence
        sequence += 1
        publisher.send(dataclasses.replace(frame, sequence=sequence))

    with _interruptible() as stop:
        while True:
            play(frames, np.array([latency_ms]), send, MonotonicClock(), time.time_ns, stop)
            if not loop or stop.is_set():
                break
    publisher.close()
    typer.echo(f"{sequence} frames sent")


def info(file: Annotated[Path, typer.Argument(help=".mcap recording.")]) -> None:
    """What a recording holds."""
    recording = read_recording(file)
    sources = sorted({frame.source for frame in recording.frames})
    typer.echo(f"{file}: {len(recording.frames)} frames, {recording.duration_s:.1f} s, {recording.rate_hz:.0f} Hz")
    typer.echo(f"  sources: {', '.join(sources)}")
    typer.echo(f"  longest gap: {recording.longest_gap_s:.3f} s")
    shares = (f"{part} {share:.0%}" for part, share in recording.tracked_share().items())
    typer.echo(f"  tracked: {', '.join(shares)}")
    if recording.refused:
        typer.echo(f"  refused: {', '.join(f'{count} {reason}' for reason, count in recording.refused.items())}")
    if not recording.complete:
        typer.echo("  cut off: it was not closed, the last half second may be missing")


def calibrate(
    url: _Url,
    name: Annotated[str, typer.Argument(help="Name of the operator.")],
    folder: Annotated[Path, typer.Option(help="Where operators are kept.")] = Path(operator_file.DEFAULT_FOLDER),
    seconds: Annotated[float, typer.Option(min=1.0, help="Give up after so long.")] = WATCH_S,
    robot: _Robot = "iron_r01",
    source_key: _SourceKey = "",
    own_key: _OwnKey = "",
) -> None:
    """Measure an operator who stands in a T-pose for a second."""
    space = JointSpace.load(robot)
    source = _open(url, robot, source_key, own_key)
    typer.echo("stand upright, both arms straight out to the sides, and hold still for a second")
    try:
        size = _watch(source, seconds)
    finally:
        source.close()
    scales = calibration_of(size, BodySize.of_robot(space))
    path, _ = operator_file.save(folder, name, space.robot, size, scales)
    hand = "hand not tracked" if size.hand is None else f"hand {size.hand:.3f} m"
    typer.echo(f"shoulders {size.torso:.3f} m up and {size.shoulder_width:.3f} m apart, arm {size.arm:.3f} m, {hand}")
    ratios = f"torso x{scales.torso_scale:.3f}, shoulders x{scales.shoulder_scale:.3f}, arms x{scales.arm_scale:.3f}"
    typer.echo(f"{path}: {ratios}")


def operators(
    folder: Annotated[Path, typer.Option(help="Where operators are kept.")] = Path(operator_file.DEFAULT_FOLDER),
) -> None:
    """Who has been measured."""
    typer.echo("\n".join(operator_file.names(folder)) or f"nobody in {folder}")


def _open(url: str, robot: str, source_key: str, own_key: str) -> MocapSource:
    if url == ISAAC:
        raise ConfigError("IsaacTeleop's topics are read by retarget_node only", "record them with `ros2 bag record`")
    return open_source(url, JointSpace.load(robot), MonotonicClock(), time.time_ns, source_key, own_key)


def _frames(source: MocapSource, stop: threading.Event) -> Iterator[MocapFrame]:
    """Frames until `stop`; a source that is silent for long is an error."""
    heard = time.monotonic()
    while not stop.is_set():
        frame = source.poll(POLL_S)
        if frame is not None:
            heard = time.monotonic()
            yield frame
        elif time.monotonic() - heard > SILENCE_S:
            said = f"; {source.rejected.total()} refused: {source.last_refusal}" if source.rejected else ""
            raise WireError(
                f"no motion-capture frame for {SILENCE_S:.0f} s{said}",
                "is the source on, the address and the key right?",
            )


def _watch(source: MocapSource, seconds: float) -> BodySize:
    """The first T-pose that is held. Raises the last reason why there was none."""
    kept: list[MocapFrame] = []
    last = CalibrationError("no motion-capture frame", "is the source sending?")
    deadline = time.monotonic() + seconds
    looked_s = time.monotonic()
    with _interruptible() as stop:
        for frame in _frames(source, stop):
            kept = [old for old in kept if old.capture_ns > frame.capture_ns - _KEPT_S * 1e9] + [frame]
            if time.monotonic() - looked_s >= LOOK_S:
                looked_s = time.monotonic()
                try:
                    return measure(kept)
                except CalibrationError as error:
                    last = error
            if time.monotonic() > deadline:
                break
    raise last


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that files are closed properly."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
