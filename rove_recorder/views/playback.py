"""An episode in the Rerun viewer: cameras, joints before and after the filter, stages, events, the chunk queue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError
from rove_core.modes import Mode, Stage
from rove_recorder.reader import Episode

if TYPE_CHECKING:
    import rerun

APPLICATION = "rove_episode"
TIMELINE = "time"  # since the first row; the ROS clock is in the events' texts

# So many images are in memory at once.
FRAMES_AT_ONCE = 32


def save(episode: Episode, path: Path) -> None:
    """Write an episode as a Rerun recording; needs no screen.

    Raises:
        EpisodeError: rerun-sdk is not installed, the episode has no rows, or `path` cannot be written.
    """
    recording = _recording(episode)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("wb").close()  # Rerun would only log that it cannot
        recording.save(path)
        _send(recording, episode)
        recording.flush()
    except OSError as error:
        raise EpisodeError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        recording.disconnect()


def play(episode: Episode) -> None:
    """Open an episode in the viewer, which stays when this returns.

    Raises:
        EpisodeError: rerun-sdk is not installed, the episode has no rows, or the viewer does not start.
    """
    recording = _recording(episode)
    try:
        recording.spawn()
    except (OSError, RuntimeError) as error:
        raise EpisodeError(f"the viewer does not start: {error}", "without a screen: --save FILE.rrd") from None
    _send(recording, episode)
    recording.flush()


def _recording(episode: Episode) -> rerun.RecordingStream:
    try:
        import rerun as rr
    except ImportError:
        raise EpisodeError("playing needs Rerun, which is not installed", "pip install 'rove_hil[rerun]'") from None
    if not episode.rows:
        raise EpisodeError(f"{episode.location} has no rows to play")
    return rr.RecordingStream(APPLICATION, recording_id=episode.episode_id)


def _send(recording: rerun.RecordingStream, episode: Episode) -> None:
    recording.send_blueprint(_layout(episode))
    _joints(recording, episode)
    _control(recording, episode)
    _chunks(recording, episode)
    _events(recording, episode)
    for camera in episode.cameras:
        _frames(recording, episode, camera)


def _layout(episode: Episode) -> Any:
    """Cameras to the left, joints and control to the right, events below."""
    import rerun.blueprint as rrb

    cameras = [rrb.Spatial2DView(origin=f"cameras/{camera}", name=camera) for camera in episode.cameras]
    groups = [
        rrb.TimeSeriesView(origin=f"joints/{group}", name=f"{group} [rad]") for group in episode.attrs["joint_groups"]
    ]
    control = [rrb.TimeSeriesView(origin=name, name=name) for name in ("control", "chunks")]
    views = rrb.Vertical(rrb.Tabs(*groups), *control, row_shares=[3, 1, 1])
    above = rrb.Horizontal(rrb.Vertical(*cameras), views, column_shares=[1, 2]) if cameras else views
    return rrb.Blueprint(rrb.Vertical(above, rrb.TextLogView(origin="events"), row_shares=[4, 1]), collapse_panels=True)


def _time(stamps_ns: npt.NDArray[np.int64], start_ns: int) -> Any:
    import rerun as rr

    return rr.TimeColumn(TIMELINE, duration=(stamps_ns - start_ns).astype("timedelta64[ns]"))


def _lines(
    recording: rerun.RecordingStream, entity: str, time: Any, values: npt.NDArray[Any], names: list[str]
) -> None:
    """Curves of one entity: values of shape (n, curves)."""
    import rerun as rr

    recording.log(entity, rr.SeriesLines(names=names), static=True)
    recording.send_columns(entity, [time], rr.Scalars.columns(scalars=values.astype(np.float64)))


def _joints(recording: rerun.RecordingStream, episode: Episode) -> None:
    """Per joint group at native rate: what was asked for, what was sent, where the joints were."""
    start_mono_ns, start_ros_ns = int(episode.steps["t_mono_ns"][0]), int(episode.steps["t_ros_ns"][0])
    commands, states = episode.streams["commands"], episode.streams["joint_states"]
    told, seen = _time(commands["t_mono_ns"], start_mono_ns), _time(states["t_ros_ns"], start_ros_ns)
    names = episode.attrs["joint_names"]
    for group, (start, stop) in episode.attrs["joint_groups"].items():
        curves = (("target", told, commands["target"]), ("sent", told, commands["sent"]))
        for kind, time, values in (*curves, ("measured", seen, states["position"])):
            labels = [f"{name} {kind}" for name in names[start:stop]]
            _lines(recording, f"joints/{group}/{kind}", time, values[:, start:stop], labels)


def _control(recording: rerun.RecordingStream, episode: Episode) -> None:
    """Per row: stage (with the annotations in force), mode, who controlled, and whether the row is valid."""
    steps = episode.steps
    stage = np.zeros(episode.rows, np.uint8)
    for span in episode.stages():
        stage[span.start_row : span.end_row] = span.stage
    time = _time(steps["t_mono_ns"], int(steps["t_mono_ns"][0]))
    columns = {"stage": stage, "mode": steps["mode"], "control": steps["control"], "valid": steps["valid"]}
    for name, values in columns.items():
        _lines(recording, f"control/{name}", time, values[:, None], [name])


def _chunks(recording: rerun.RecordingStream, episode: Episode) -> None:
    """Steps left of the chunk in force, per row; and when chunks came, how long they had taken."""
    steps, chunks = episode.steps, episode.chunks
    execute = dict(zip(chunks["chunk_id"].tolist(), chunks["execute"].tolist(), strict=True))
    pairs = zip(steps["chunk_id"].tolist(), steps["chunk_step"].tolist(), strict=True)
    left = np.array([[max(execute.get(chunk, 0) - step, 0) if step >= 0 else 0] for chunk, step in pairs])
    time = _time(steps["t_mono_ns"], int(steps["t_mono_ns"][0]))
    _lines(recording, "chunks/steps_left", time, left, ["steps left of the chunk"])
    if chunks.records:
        ready = _time(chunks["t_ready_ns"], int(steps["t_ros_ns"][0]))
        _lines(recording, "chunks/inference_ms", ready, chunks["inference_ms"][:, None], ["inference [ms]"])


def _events(recording: rerun.RecordingStream, episode: Episode) -> None:
    import rerun as rr

    start_ns = int(episode.steps["t_ros_ns"][0])
    stamps, texts, levels = [], [], []
    for event in episode.events():
        refused = not event.get("accepted", True)
        text = f"{event['type']} ({event['device']})"
        if event["type"] == "mode":
            text = f"mode {Mode.from_number(int(event['mode'])).value}: {event.get('event', '')}"
        stamps.append(event["t_ros_ns"])
        texts.append(f"{text} refused: {event.get('reason', '')}" if refused else text)
        levels.append("WARN" if refused else "INFO")
    for span in episode.stages():
        if span.stage is not Stage.NONE:
            stamps.append(int(episode.steps["t_ros_ns"][span.start_row]))
            texts.append(f"stage {span.stage.name.lower()}")
            levels.append("INFO")
    if stamps:
        time = _time(np.array(stamps, np.int64), start_ns)
        recording.send_columns("events", [time], rr.TextLog.columns(text=texts, level=levels))


def _frames(recording: rerun.RecordingStream, episode: Episode, camera: str) -> None:
    import rerun as rr

    frames, start_ns = episode.frames(camera), int(episode.steps["t_ros_ns"][0])
    capture_ns = frames.capture_ns
    for first in range(0, len(frames), FRAMES_AT_ONCE):
        batch = range(first, min(first + FRAMES_AT_ONCE, len(frames)))
        time = _time(capture_ns[batch.start : batch.stop], start_ns)
        columns = rr.EncodedImage.columns(
            blob=[frames.jpeg(index) for index in batch], media_type=["image/jpeg"] * len(batch)
        )
        recording.send_columns(f"cameras/{camera}", [time], columns)
