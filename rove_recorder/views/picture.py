"""One attempt as one PNG: what a camera saw, who was in control, and what the joints were told and did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError
from rove_recorder.reader import Episode
from rove_recorder.views.drawing import BarMark, BarSpan, ticks
from rove_recorder.views.report import bar_spans, event_marks, kind_of

Canvas = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

WIDTH, MARGIN, LEFT = 1400, 20, 70
FILM_FRAMES, FILM_GAP, FILM_BORDER = 8, 6, 4
BAR_HEIGHT, LABEL_HEIGHT, AXIS_HEIGHT = 30, 16, 26
PLOT_HEIGHT, PLOT_GAP, PLOT_JOINTS = 150, 34, 4

# RGB, as in the page of a session.
COLOURS: dict[str, Colour] = {
    "rollout": (59, 116, 214),
    "adaptation": (235, 159, 45),
    "recovery": (47, 158, 107),
    "paused": (195, 201, 212),
    "aligning": (165, 138, 214),
    "fault": (207, 68, 68),
}
INK, SOFT, GRID, SENT, STATE = (28, 36, 48), (107, 116, 133), (228, 232, 238), (28, 36, 48), (217, 72, 15)
FONT, FONT_SCALE, LETTER = cv2.FONT_HERSHEY_SIMPLEX, 0.42, 7.6


def write_picture(episode: Episode, path: Path) -> None:
    """Write the picture of an episode as PNG.

    Raises:
        EpisodeError: it has no rows, or `path` cannot be written.
    """
    image = draw(episode)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())
    except OSError as error:
        raise EpisodeError(f"cannot write {path}: {error.strerror}") from None


def draw(episode: Episode) -> Canvas:
    """The picture, shape (height, 1400, 3) RGB.

    Raises:
        EpisodeError: it has no rows.
    """
    if not episode.rows:
        raise EpisodeError(f"{episode.location} has no rows to draw")
    spans = bar_spans(episode, episode.stages())
    parts = [
        _title(episode),
        _film(episode),
        _bar(spans, event_marks(episode)),
        *_plots(episode, spans),
        _legend(spans),
    ]
    return np.concatenate([part for part in parts if part is not None])


def _blank(height: int) -> Canvas:
    return np.full((height, WIDTH, 3), 255, np.uint8)


def _text(canvas: Canvas, text: str, x: float, y: float, colour: Colour = INK, scale: float = FONT_SCALE) -> None:
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(canvas, plain, (round(x), round(y)), FONT, scale, colour, 1, cv2.LINE_AA)


def _title(episode: Episode) -> Canvas:
    canvas = _blank(64)
    outcome, attrs = episode.outcome, episode.attrs
    _text(canvas, f"{episode.episode_id}: {outcome.value}", MARGIN, 28, scale=0.7)
    said = f", said by {outcome.by}" if outcome.by else ""
    seconds = float(episode.steps["t_mono_ns"][-1] - episode.steps["t_mono_ns"][0]) * 1e-9
    _text(canvas, f"{attrs['task']}: {attrs['instruction']}  ({seconds:.1f} s{said})", MARGIN, 52, SOFT)
    return canvas


def _film(episode: Episode) -> Canvas | None:
    """Images at equal distances in time, framed in the colour of their stage."""
    if not episode.cameras:
        return None
    camera = episode.cameras[0]
    index, times, frames = episode.steps[f"camera_index_{camera}"], episode.steps["t_mono_ns"], episode.frames(camera)
    spans = episode.stages()
    width = (WIDTH - 2 * MARGIN - (FILM_FRAMES - 1) * FILM_GAP) // FILM_FRAMES
    shots: list[tuple[int, Canvas]] = []
    for row in np.linspace(0, episode.rows - 1, FILM_FRAMES).round().astype(int).tolist():
        if index[row] >= 0:
            image = frames[int(index[row])]
            size = (width - 2 * FILM_BORDER, round(image.shape[0] * (width - 2 * FILM_BORDER) / image.shape[1]))
            shots.append((row, np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)))
    if not shots:
        return None
    canvas = _blank(max(shot.shape[0] for _, shot in shots) + 2 * FILM_BORDER + 30)
    for number, (row, shot) in enumerate(shots):
        kind = next(kind_of(span) for span in spans if span.start_row <= row < span.end_row)
        x = MARGIN + number * (width + FILM_GAP)
        canvas[: shot.shape[0] + 2 * FILM_BORDER, x : x + width] = COLOURS[kind]
        canvas[FILM_BORDER : FILM_BORDER + shot.shape[0], x + FILM_BORDER : x + FILM_BORDER + shot.shape[1]] = shot
        at = f"{float(times[row] - times[0]) * 1e-9:.1f} s  {kind}"
        _text(canvas, at, x, shot.shape[0] + 2 * FILM_BORDER + 16, SOFT)
    return canvas


def _x(t_s: float, length_s: float) -> float:
    return LEFT + (WIDTH - LEFT - MARGIN) * min(max(t_s / max(length_s, 1e-3), 0.0), 1.0)


def _bar(spans: Sequence[BarSpan], marks: Sequence[BarMark]) -> Canvas:
    """Stages over time with what was pressed above; labels that would overlap go a line up."""
    length_s = spans[-1].end_s
    ends: list[float] = []
    placed = []
    for mark in sorted(marks, key=lambda mark: mark.t_s):
        room = len(mark.label) * LETTER + 8
        at = min(_x(mark.t_s, length_s), WIDTH - MARGIN - room)
        level = next((number for number, end in enumerate(ends) if end <= at), len(ends))
        ends[level:] = [at + room, *ends[level + 1 :]]
        placed.append((mark, at, level))
    top = len(ends) * LABEL_HEIGHT + 6
    canvas = _blank(top + BAR_HEIGHT + AXIS_HEIGHT)
    for span in spans:
        start, end = round(_x(span.start_s, length_s)), round(_x(span.end_s, length_s))
        canvas[top : top + BAR_HEIGHT, start : max(end, start + 1)] = COLOURS[span.kind]
    for mark, at, level in placed:
        x, y = round(_x(mark.t_s, length_s)), (level + 1) * LABEL_HEIGHT
        cv2.line(canvas, (x, y - 8), (x, top + BAR_HEIGHT), INK, 1)
        _text(canvas, mark.label, at + 4, y)
    _text(canvas, "control", MARGIN - 10, top + BAR_HEIGHT / 2 + 4, SOFT)
    for value in ticks(0.0, length_s, 12):
        x = round(_x(value, length_s))
        cv2.line(canvas, (x, top + BAR_HEIGHT), (x, top + BAR_HEIGHT + 4), SOFT, 1)
        _text(canvas, f"{value:g} s", min(x, WIDTH - 40) - 8, top + BAR_HEIGHT + 18, SOFT)
    return canvas


def _plots(episode: Episode, spans: Sequence[BarSpan]) -> list[Canvas]:
    """Of the joint groups that were moved most the joint that was: what it was told, and where it was."""
    steps, names = episode.steps, episode.attrs["joint_names"]
    sent, state = steps["command_sent"], steps["state"]
    t_s = (steps["t_mono_ns"] - steps["t_mono_ns"][0]) * 1e-9
    reach = np.ptp(np.nan_to_num(sent), axis=0)
    joints = [start + int(np.argmax(reach[start:stop])) for start, stop in episode.attrs["joint_groups"].values()]
    moved = sorted(joints, key=lambda joint: -reach[joint])[:PLOT_JOINTS]
    return [_plot(names[joint], t_s, sent[:, joint], state[:, joint], spans) for joint in moved]


def _plot(
    name: str,
    t_s: npt.NDArray[np.float64],
    sent: npt.NDArray[np.float64],
    state: npt.NDArray[np.float64],
    spans: Sequence[BarSpan],
) -> Canvas:
    canvas = _blank(PLOT_HEIGHT + PLOT_GAP)
    length_s = spans[-1].end_s
    known = np.concatenate([sent[np.isfinite(sent)], state[np.isfinite(state)], np.zeros(0)])
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    pad = max(0.08 * (high - low), 0.005)
    low, high = low - pad, high + pad
    top = PLOT_GAP - 8

    def y(value: float) -> int:
        return round(top + PLOT_HEIGHT * (high - value) / (high - low))

    for span in spans:
        start, end = round(_x(span.start_s, length_s)), round(_x(span.end_s, length_s))
        canvas[top : top + PLOT_HEIGHT, start:end] = [255 - (255 - part) // 7 for part in COLOURS[span.kind]]
    for value in ticks(low, high, 4):
        cv2.line(canvas, (LEFT, y(value)), (WIDTH - MARGIN, y(value)), GRID, 1)
        _text(canvas, f"{value:.3g}", MARGIN - 6, y(value) + 4, SOFT)
    for values, colour in ((state, STATE), (sent, SENT)):
        points = [
            (_x(t, length_s), y(value))
            for t, value in zip(t_s.tolist(), values.tolist(), strict=True)
            if value == value
        ]
        cv2.polylines(
            canvas, [np.array(points).round().astype(np.int32).reshape(-1, 1, 2)], False, colour, 1, cv2.LINE_AA
        )
    _text(canvas, f"{name} [rad]", LEFT, top - 8)
    return canvas


def _legend(spans: Sequence[BarSpan]) -> Canvas:
    canvas, x = _blank(48), float(LEFT)
    present = {span.kind for span in spans}
    kinds: list[tuple[str, Colour]] = [(kind, colour) for kind, colour in COLOURS.items() if kind in present]
    for text, colour in [*kinds, ("sent to the robot", SENT), ("where the joint was", STATE)]:
        cv2.rectangle(canvas, (round(x), 20), (round(x) + 14, 32), colour, -1)
        _text(canvas, text, x + 20, 31, SOFT)
        x += 20 + len(text) * LETTER + 24
    return canvas
