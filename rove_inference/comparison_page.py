"""A policy on a recorded episode as one self-contained HTML page: predicted against recorded joints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from rove_core.errors import EpisodeError
from rove_core.joint_space import JointSpace
from rove_inference.recorded import RecordedEpisode
from rove_inference.replay import CONTROLS, Replay

Floats = npt.NDArray[np.float64]

JOINTS_PER_GROUP = 2
WIDTH, HEIGHT = 520.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 50.0, 10.0, 24.0, 24.0


@dataclass(frozen=True, slots=True)
class Curve:
    """Values over time [s]. `kind` is a class of the page: recorded, predicted or further."""

    kind: str
    t_s: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class Band:
    """Who moved the robot from when to when [s]: policy or human."""

    kind: str
    start_s: float
    end_s: float


def write_page(
    path: Path, episode: RecordedEpisode, policy_id: str, execute: int, replayed: Replay, figures: Mapping[str, Any]
) -> None:
    """Write the page.

    Args:
        execute: steps that are executed of each chunk.
        figures: what `replay.report` makes of the answers.

    Raises:
        EpisodeError: `path` cannot be written.
    """
    space = JointSpace.load(episode.attrs["robot"])
    rows = [("all joints", figures["all"])] if "all" in figures else []
    rows += list(figures.get("groups", {}).items())
    rows += [(f"while the {name} moved it", row) for name, row in figures.get("by_control", {}).items()]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    source = files("rove_inference").joinpath("templates", "comparison.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        policy_id=policy_id,
        episode=episode.attrs["episode_id"],
        instruction=episode.attrs["instruction"],
        recorded_policy=_recorded_policy(episode),
        outcome=episode.attrs["outcome"]["value"],
        figures=figures,
        rows=rows,
        ahead=_ahead(figures, execute),
        plots=[_joint(joint, episode, execute, replayed, space) for joint in _moved(episode, space)],
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise EpisodeError(f"cannot write {path}: {error.strerror}") from None


def _recorded_policy(episode: RecordedEpisode) -> str:
    policy = episode.attrs.get("policy")
    return f"{policy['id']}@{policy['sha256'][:12]}" if policy else "no policy"


def _moved(episode: RecordedEpisode, space: JointSpace) -> list[int]:
    """Per group, the joints with the widest commands."""
    span = np.ptp(episode.sent, axis=0)
    chosen = []
    for group in space.groups.values():
        joints = np.arange(space.dim)[group]
        chosen += joints[np.argsort(-span[group])[:JOINTS_PER_GROUP]].tolist()
    return chosen


def _joint(joint: int, episode: RecordedEpisode, execute: int, replayed: Replay, space: JointSpace) -> Markup:
    """One joint over the episode [rad]."""
    t_s = (episode.t_ros_ns - episode.t_ros_ns[0]) * 1e-9
    segments = episode.segments()
    curves = [Curve("recorded", t_s[a:b], episode.sent[a:b, joint]) for a, b in segments]
    for answer in replayed.answers:
        # One step of both, so that the curves meet.
        curves.append(Curve("further", answer.t_s[execute - 1 :], answer.predicted[execute - 1 :, joint]))
        curves.append(Curve("predicted", answer.t_s[:execute], answer.predicted[:execute, joint]))
    kinds = {int(source): name for source, name in CONTROLS.items()}
    bands = [Band(kinds[int(episode.control[a])], float(t_s[a]), float(t_s[b - 1])) for a, b in segments]
    return draw(f"{space.names[joint]} [rad]", curves, bands, (float(t_s[0]), float(t_s[-1])), "s")


def _ahead(figures: Mapping[str, Any], execute: int) -> Markup:
    """Mean difference by step of the chunk."""
    values = figures.get("mean_abs_by_step", [])
    known = [(step, value) for step, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return Markup()
    steps, means = (np.array(column, float) for column in zip(*known, strict=True))
    curves = [
        Curve("further", steps[execute - 1 :], means[execute - 1 :]),
        Curve("predicted", steps[:execute], means[:execute]),
    ]
    return draw("mean difference [rad]", curves, [], (0.0, float(steps[-1])), "")


def draw(title: str, curves: Sequence[Curve], bands: Sequence[Band], span: tuple[float, float], unit: str) -> Markup:
    """Curves over an axis as SVG; bands behind them.

    Args:
        span: first and last value of the axis; curves are cut there.
        unit: of the axis.
    """
    first, last = span[0], max(span[1], span[0] + 1e-9)
    values = np.concatenate([curve.values for curve in curves])
    low, high = float(values.min()), float(values.max())
    pad = max(0.06 * (high - low), 1e-4)
    low, high = low - pad, high + pad
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(t: float) -> float:
        return LEFT + inner_width * (t - first) / (last - first)

    def y(value: float) -> float:
        return TOP + inner_height * (high - value) / (high - low)

    parts = [f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img">']
    parts += [
        f'<rect class="{band.kind}" x="{x(band.start_s):.1f}" y="{TOP:g}" '
        f'width="{max(x(band.end_s) - x(band.start_s), 0.5):.1f}" height="{inner_height:g}"/>'
        for band in bands
    ]
    for value in ticks(low, high, 4):
        at, end = f"{y(value):.1f}", WIDTH - RIGHT
        parts.append(f'<line class="grid" x1="{LEFT:g}" x2="{end:g}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{LEFT - 6:g}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for value in ticks(first, last, 6):
        parts.append(f'<text x="{x(value):.1f}" y="{HEIGHT - 8:g}" text-anchor="middle">{value:g} {unit}</text>')
    for curve in curves:
        shown = (curve.t_s >= first) & (curve.t_s <= last)
        pairs = zip(curve.t_s[shown].tolist(), curve.values[shown].tolist(), strict=True)
        points = " ".join(f"{x(t):.1f},{y(value):.1f}" for t, value in pairs)
        parts.append(f'<polyline class="{curve.kind}" points="{points}"/>')
    parts.append(f'<text class="label" x="{LEFT:g}" y="15">{escape(title)}</text></svg>')
    return Markup("".join(parts))  # noqa: S704 - texts in it are escaped


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round numbers between `low` and `high`, about `wanted` of them."""
    step = 10.0 ** np.floor(np.log10((high - low) / wanted))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= wanted)
    return [float(value) + 0.0 for value in np.arange(np.ceil(low / step) * step, high + step * 1e-6, step)]
