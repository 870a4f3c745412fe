"""A session as one self-contained HTML page: film strip, stage bar, and what the filter made of each takeover."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import cv2
import jinja2
import numpy as np
from markupsafe import Markup

from rove_core.errors import EpisodeError
from rove_core.modes import Event, Mode, Stage
from rove_recorder.episode_format.segmenter import StageSpan
from rove_recorder.reader import Episode, open_episode
from rove_recorder.views.attempt_facts import AttemptFacts, human_share, totals
from rove_recorder.views.drawing import BarMark, BarSpan, joint_plot, stage_bar

FILM_FRAMES = 10
FILM_WIDTH = 320
PLOT_JOINTS = 4
PLOT_S = 2.0

EMPTY = Markup()

# Kinds are CSS classes and colours of the page.
KINDS = {
    "rollout": "rollout: the policy",
    "adaptation": "adaptation: the operator finds in",
    "recovery": "recovery: the operator goes on",
    "paused": "paused",
    "aligning": "aligning",
    "fault": "fault or emergency stop",
}
_KIND_OF_STAGE = {Stage.ROLLOUT: "rollout", Stage.ADAPTATION: "adaptation", Stage.RECOVERY: "recovery"}
_KIND_OF_MODE = {Mode.ALIGNING: "aligning", Mode.FAULT: "fault", Mode.ESTOP: "fault"}

LABELS = {
    Event.PAUSE: "pause",
    Event.TAKEOVER: "takeover",
    Event.GO: "go",
    Event.FORCE_GO: "go (forced)",
    Event.MARK_PROGRESS: "t_r",
    Event.RETRACT_MARK: "t_r retracted",
    Event.HAND_BACK: "hand back",
    Event.RESUME: "resume",
    Event.OPERATOR_LOST: "operator lost",
    Event.POLICY_STALLED: "policy stalled",
    Event.FAULT: "fault",
    Event.ESTOP: "e-stop",
    Event.SUCCEED: "success",
    Event.FAIL: "failure",
    Event.ABORT: "aborted",
}


@dataclass(frozen=True, slots=True)
class Shot:
    """One image of the film strip, as base64."""

    kind: str
    time: str
    jpeg: str


@dataclass(frozen=True, slots=True)
class TakeoverPlots:
    """Plots around one takeover."""

    number: int
    plots: list[Markup]


@dataclass(slots=True)
class AttemptView:
    """What the page shows of one attempt."""

    fact: AttemptFacts
    t_r: str = "-"
    notes: list[str] = field(default_factory=list)
    camera: str = ""
    film: list[Shot] = field(default_factory=list)
    bar: Markup = EMPTY
    legend: list[tuple[str, str]] = field(default_factory=list)
    takeovers: list[TakeoverPlots] = field(default_factory=list)
    details: list[tuple[str, str]] = field(default_factory=list)


def write_report(session: str, facts: Sequence[AttemptFacts], path: Path) -> None:
    """Write the page for the attempts of a session.

    Raises:
        EpisodeError: `path` cannot be written.
    """
    page = render(session, facts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise EpisodeError(f"cannot write {path}: {error.strerror}") from None


def render(session: str, facts: Sequence[AttemptFacts]) -> str:
    """The page."""
    source = files("rove_recorder").joinpath("templates", "report.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(source).render(
        session=session,
        totals=totals(facts),
        tiles=_tiles(facts),
        attempts=[_view(fact) for fact in facts],
        kinds=list(KINDS),
        film_frames=FILM_FRAMES,
    )


def _tiles(facts: Sequence[AttemptFacts]) -> list[tuple[str, str]]:
    minutes = sum(fact.seconds for fact in facts) / 60
    return [
        (str(len(facts)), "attempts"),
        (str(sum(fact.outcome == "success" for fact in facts)), "successes"),
        (str(sum(fact.takeovers for fact in facts)), "takeovers"),
        (f"{human_share(facts):.0%}", "of the time by the human"),
        (f"{minutes:.1f} min", "recorded"),
        (str(sum(fact.frames_dropped for fact in facts)), "images dropped"),
    ]


def _view(fact: AttemptFacts) -> AttemptView:
    view = AttemptView(fact)
    if fact.problem:
        return view
    view.t_r = " ".join("-" if mark is None else f"{mark:.1f}" for mark in fact.t_r) or "-"
    view.notes = [
        text
        for text, applies in (
            ("recovered after a crash", fact.recovered),
            ("demonstration", fact.demonstration),
            ("still open", not fact.committed),
        )
        if applies
    ]
    episode = open_episode(Path(fact.path))
    view.details = _details(fact, episode)
    if not episode.rows:
        return view
    spans = episode.stages()
    view.camera = episode.cameras[0] if episode.cameras else ""
    view.film = _film(episode, spans, view.camera) if view.camera else []
    bar = bar_spans(episode, spans)
    view.bar = stage_bar(bar, event_marks(episode), fact.seconds)
    present = {span.kind for span in bar}
    view.legend = [(kind, text) for kind, text in KINDS.items() if kind in present]
    view.takeovers = _takeovers(episode, bar)
    return view


def kind_of(span: StageSpan) -> str:
    """The kind of KINDS that a stage is shown as."""
    return _KIND_OF_STAGE.get(span.stage) or _KIND_OF_MODE.get(span.mode, "paused")


def _film(episode: Episode, spans: Sequence[StageSpan], camera: str) -> list[Shot]:
    steps, frames = episode.steps, episode.frames(camera)
    index, times = steps[f"camera_index_{camera}"], steps["t_mono_ns"]
    shots = []
    for row in np.unique(np.linspace(0, episode.rows - 1, FILM_FRAMES).round().astype(int)).tolist():
        if index[row] < 0:
            continue
        kind = next(kind_of(span) for span in spans if span.start_row <= row < span.end_row)
        jpeg = base64.b64encode(_thumbnail(frames.jpeg(int(index[row])))).decode()
        shots.append(Shot(kind, f"{(times[row] - times[0]) * 1e-9:.1f} s", jpeg))
    return shots


def _thumbnail(jpeg: bytes) -> bytes:
    """The image no wider than FILM_WIDTH; one that cannot be decoded stays as it is."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None or image.shape[1] <= FILM_WIDTH:
        return jpeg
    size = (FILM_WIDTH, round(image.shape[0] * FILM_WIDTH / image.shape[1]))
    _, small = cv2.imencode(".jpg", cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    return small.tobytes()


def bar_spans(episode: Episode, spans: Sequence[StageSpan]) -> list[BarSpan]:
    """The stages as stretches of time, in seconds since the first row."""
    times = (episode.steps["t_mono_ns"] - episode.steps["t_mono_ns"][0]) * 1e-9
    period_s = 1 / episode.control_hz
    bar = []
    for span in spans:
        # Up to the next row, unless the filter was dead in between.
        end = float(times[span.end_row - 1]) + period_s
        if span.end_row < len(times) and times[span.end_row] - end < period_s:
            end = float(times[span.end_row])
        bar.append(BarSpan(kind_of(span), float(times[span.start_row]), end))
    return bar


def event_marks(episode: Episode) -> list[BarMark]:
    """What was pressed and accepted, in seconds since the first row."""
    start_ns = int(episode.steps["t_ros_ns"][0])
    return [
        BarMark(LABELS[event["type"]], (event["t_ros_ns"] - start_ns) * 1e-9)
        for event in episode.events()
        if event.get("accepted") and event["type"] in LABELS
    ]


def _takeovers(episode: Episode, bar: Sequence[BarSpan]) -> list[TakeoverPlots]:
    """Commands at native rate around each moment when the mode became TAKEOVER."""
    commands = episode.streams["commands"]
    human = (commands["mode"] == Mode.TAKEOVER.number).astype(np.int8)
    starts = np.flatnonzero(np.diff(human, prepend=0) == 1)
    origin_ns = episode.steps["t_mono_ns"][0]
    takeovers = []
    for number, start in enumerate(starts.tolist(), 1):
        t_s = (commands["t_mono_ns"] - commands["t_mono_ns"][start]) * 1e-9
        near = np.abs(t_s) <= PLOT_S
        target, sent = commands["target"][near], commands["sent"][near]
        moved = np.argsort(-np.ptp(sent, axis=0))[:PLOT_JOINTS]
        shift = float(commands["t_mono_ns"][start] - origin_ns) * 1e-9
        behind = [BarSpan(span.kind, span.start_s - shift, span.end_s - shift) for span in bar]
        names = episode.attrs["joint_names"]
        plots = [joint_plot(names[j], t_s[near], target[:, j], sent[:, j], behind) for j in moved.tolist()]
        takeovers.append(TakeoverPlots(number, plots))
    return takeovers


def _details(fact: AttemptFacts, episode: Episode) -> list[tuple[str, str]]:
    attrs = episode.attrs
    latency = episode.chunks["inference_ms"]
    joints = episode.streams["joint_states"].records
    return [
        ("outcome", f"{fact.outcome}, by {fact.by}" if fact.by else fact.outcome),
        ("policy", fact.policy or "-"),
        ("chunks", f"{len(latency)}, median {np.median(latency):.0f} ms" if len(latency) else "-"),
        ("start stage", str(fact.start_stage)),
        ("operator, supervisor", f"{attrs['operator'] or '-'}, {attrs['supervisor'] or '-'}"),
        ("recorded", attrs["opened_wall"]),
        ("rows", f"{fact.rows} at {episode.control_hz:g} Hz, {fact.valid_rows} valid"),
        ("images", f"{fact.frames} of {', '.join(episode.cameras) or 'no camera'}, {fact.frames_dropped} dropped"),
        ("commands, joint states", f"{episode.streams['commands'].records}, {joints}"),
        ("robot", f"{attrs['robot']}, {len(attrs['joint_names'])} joints"),
        ("software", f"rove {attrs['software']['rove']}"),
        ("path", fact.path),
    ]
