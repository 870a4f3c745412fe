"""Drawings of the report as SVG: the stage bar, and commands before and after the filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

Floats = npt.NDArray[np.float64]

WIDTH = 1000.0
LABEL_ROOM = 7.2  # width of a character of a label
ROW_HEIGHT = 15.0
BAR_HEIGHT = 34.0
AXIS_HEIGHT = 22.0

PLOT_WIDTH, PLOT_HEIGHT = 480.0, 170.0
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 46.0, 10.0, 24.0, 24.0


@dataclass(frozen=True, slots=True)
class BarSpan:
    """A stretch of the bar. `kind` is a CSS class: rollout, adaptation, recovery, paused, aligning ..."""

    kind: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class BarMark:
    """An event on the bar."""

    label: str
    t_s: float


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round numbers between `low` and `high`, about `wanted` of them."""
    span = high - low
    if span <= 0:
        return [low]
    step = 10.0 ** np.floor(np.log10(span / wanted))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= wanted)
    # Rounded, and zero without a sign: they are written down as they are.
    return [round(float(value), 12) + 0.0 for value in np.arange(np.ceil(low / step) * step, high + step * 1e-6, step)]


def stage_bar(spans: Sequence[BarSpan], marks: Sequence[BarMark], length_s: float) -> Markup:
    """Stages over time, with events above and a time axis below."""
    length_s = max(length_s, 1e-3)

    def x(t_s: float) -> float:
        return WIDTH * min(max(t_s / length_s, 0.0), 1.0)

    levels: list[float] = []  # per row of labels, where its last one ends
    drawn: list[tuple[float, int, str]] = []
    for mark in sorted(marks, key=lambda mark: mark.t_s):
        room = len(mark.label) * LABEL_ROOM + 10
        at = min(x(mark.t_s), WIDTH - room)
        level = next((number for number, end in enumerate(levels) if end <= at), len(levels))
        levels[level:] = [at + room, *levels[level + 1 :]]
        drawn.append((x(mark.t_s), level, mark.label))
    top = len(levels) * ROW_HEIGHT + 4
    parts = [f'<svg class="bar" viewBox="0 0 {WIDTH:g} {top + BAR_HEIGHT + AXIS_HEIGHT:g}" role="img">']
    for span in spans:
        width = max(x(span.end_s) - x(span.start_s), 0.5)
        title = f"{span.kind} {span.start_s:.1f} to {span.end_s:.1f} s"
        parts.append(
            f'<rect class="{span.kind}" x="{x(span.start_s):.1f}" y="{top:g}" width="{width:.1f}" '
            f'height="{BAR_HEIGHT:g}"><title>{title}</title></rect>'
        )
    for at, level, label in drawn:
        y = (level + 1) * ROW_HEIGHT - 4
        anchor, shift = ("end", -4) if at + len(label) * LABEL_ROOM > WIDTH else ("start", 4)
        parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{y - 8:g}" y2="{top + BAR_HEIGHT:g}"/>')
        parts.append(
            f'<text class="label" x="{at + shift:.1f}" y="{y:g}" text-anchor="{anchor}">{escape(label)}</text>'
        )
    base = top + BAR_HEIGHT
    for value in ticks(0.0, length_s, 12):
        anchor = "start" if x(value) < 10 else "end" if x(value) > WIDTH - 20 else "middle"
        parts.append(f'<line class="tick" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{base:g}" y2="{base + 5:g}"/>')
        parts.append(
            f'<text class="axis" x="{x(value):.1f}" y="{base + 18:g}" text-anchor="{anchor}">{value:g} s</text>'
        )
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - texts in it are escaped


def _signed(value: float) -> str:
    return f"{value:+g}" if abs(value) > 1e-9 else "0"


def joint_plot(name: str, t_s: Floats, target: Floats, sent: Floats, spans: Sequence[BarSpan]) -> Markup:
    """One joint around a hand-over at t = 0: what was asked for and what was sent [rad].

    Args:
        t_s: times [s], shape (n,). target, sent: [rad], shape (n,).
        spans: stages behind the curves, on the same times.
    """
    low, high = float(min(target.min(), sent.min())), float(max(target.max(), sent.max()))
    pad = max(0.08 * (high - low), 0.005)
    low, high = low - pad, high + pad
    first, last = float(t_s[0]), float(t_s[-1])
    inner_width, inner_height = PLOT_WIDTH - MARGIN_LEFT - MARGIN_RIGHT, PLOT_HEIGHT - MARGIN_TOP - MARGIN_BOTTOM

    def x(t: float) -> float:
        return MARGIN_LEFT + inner_width * (t - first) / max(last - first, 1e-9)

    def y(value: float) -> float:
        return MARGIN_TOP + inner_height * (high - value) / (high - low)

    def curve(values: Floats, kind: str) -> str:
        points = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in zip(t_s.tolist(), values.tolist(), strict=True))
        return f'<polyline class="{kind}" points="{points}"/>'

    bottom = PLOT_HEIGHT - MARGIN_BOTTOM
    parts = [f'<svg class="plot" viewBox="0 0 {PLOT_WIDTH:g} {PLOT_HEIGHT:g}" role="img">']
    for span in spans:
        start, end = max(span.start_s, first), min(span.end_s, last)
        if end > start:
            parts.append(
                f'<rect class="{span.kind} behind" x="{x(start):.1f}" y="{MARGIN_TOP:g}" '
                f'width="{x(end) - x(start):.1f}" height="{inner_height:g}"/>'
            )
    for value in ticks(low, high, 4):
        level, end = f"{y(value):.1f}", PLOT_WIDTH - MARGIN_RIGHT
        parts.append(f'<line class="grid" x1="{MARGIN_LEFT:g}" x2="{end:g}" y1="{level}" y2="{level}"/>')
        parts.append(
            f'<text class="axis" x="{MARGIN_LEFT - 6:g}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    for value in ticks(first, last, 5):
        parts.append(
            f'<text class="axis" x="{x(value):.1f}" y="{bottom + 17:g}" text-anchor="middle">{_signed(value)} s</text>'
        )
    if first <= 0 <= last:
        parts.append(f'<line class="mark" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{MARGIN_TOP:g}" y2="{bottom:g}"/>')
    parts += [curve(target, "target"), curve(sent, "sent")]
    parts.append(f'<text class="label" x="{MARGIN_LEFT:g}" y="15">{escape(name)} [rad]</text>')
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - texts in it are escaped
