"""A takeover as it runs: pedal, supervisor_node and filter_node over DDS, beside other ways to switch, in one run.

The operator stands up to 1 rad away in every joint and moves. All that is said of the stack comes from the command
traces of the real filter_node; the other methods get the same operator at the same ticks, without the latency.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rove_core.clocks import NS_PER_S
from rove_core.errors import RoveError
from rove_core.joint_space import FloatArray, JointSpace
from rove_core.modes import Source
from rove_hil.bench.node_processes import probe
from rove_hil.bench.takeover_methods import METHODS
from rove_hil.bench.takeover_motion import MISMATCH_RAD, OperatorMotion

DT_S = 0.005
# Tracking is judged between these times after the first operator-driven command [s].
FOLLOWED_S, SETTLED_S = 1.5, 1.0
# When the shares of motion and of the gap are told [s].
SHARE_TIMES_S = tuple(round(0.1 * tenth, 1) for tenth in range(1, 15))
OURS = "rove"


@dataclass(frozen=True, slots=True)
class Takeover:
    """One takeover as it was traced.

    Attributes:
        waits_s: pedal to the first braking tick, pedal to the first held command, go to the first operator-driven one.
        held_rad: largest change of a command between the first held one and the last before the operator's.
        operator, rate: the operator's motion at the ticks from the first operator-driven one on, (n, dim).
        last: the command before them. commands: the stack's, (n, dim).
        driven: all commands of the takeover in runs of consecutive ticks, for their differences.
    """

    waits_s: tuple[float, float, float]
    held_rad: float
    operator: FloatArray
    rate: FloatArray
    last: FloatArray
    commands: FloatArray
    driven: tuple[FloatArray, ...]


def run(quick: bool) -> dict[str, Any]:
    """Measure. 200 takeovers take about ten minutes, 20 (when `quick`) one.

    Raises:
        RoveError: the nodes did not start or did not do what was pressed; ruckig is missing.
    """
    space = JointSpace.load("iron_r01")
    count = 20 if quick else 200
    with tempfile.TemporaryDirectory() as folder:
        traced = Path(folder) / "takeovers.npz"
        _trace(count, traced)
        with np.load(traced) as arrays:
            takeovers = [_read(arrays, index) for index in range(count)]
    return {
        "machine_cores": os.cpu_count(),
        "takeovers": count,
        "mismatch_up_to_rad": MISMATCH_RAD,
        "rate_hz": 1 / DT_S,
        **_times(takeovers),
        "methods": _compared(space, takeovers),
    }


def _trace(count: int, out: Path) -> None:
    # All takeovers are one attempt, longer than people are given.
    nodes = {"supervisor_node": ("--ros-args", "-p", "max_attempt_s:=0.0"), "filter_node": ()}
    probe("takeover_probe", ("--takeovers", str(count), "--out", str(out)), nodes)


def _read(arrays: Mapping[str, npt.NDArray[Any]], index: int) -> Takeover:
    trace = {name: arrays[f"{name}/{index}"] for name in ("stamp_ns", "tick", "source", "sent")}
    paused_ns, go_ns, origin_ns = (int(arrays[f"{name}/{index}"]) for name in ("paused_ns", "go_ns", "origin_ns"))
    motion = OperatorMotion.of({name.split("/")[0]: arrays[name] for name in arrays if name.startswith("motion_") and
                                name.endswith(f"/{index}")})  # fmt: skip
    source, stamp_ns, sent = trace["source"], trace["stamp_ns"], trace["sent"]
    operator_ticks = np.flatnonzero(source == Source.OPERATOR)
    first = int(operator_ticks[0])
    after = np.arange(len(source)) * (stamp_ns >= paused_ns)
    braking = int(np.flatnonzero((after > 0) & np.isin(source, (Source.STOP, Source.HOLD)))[0])
    held = int(np.flatnonzero((after > 0) & (source == Source.HOLD))[0])
    waits = [(stamp_ns[tick] - since) / NS_PER_S for tick, since in ((braking, paused_ns), (held, paused_ns))]
    waits.append((stamp_ns[first] - go_ns) / NS_PER_S)
    t_ns, commands = _evenly(stamp_ns[first:], sent[first:])
    operator, rate = motion.at((t_ns - origin_ns) / NS_PER_S)
    return Takeover(
        waits_s=(waits[0], waits[1], waits[2]),
        held_rad=float(np.abs(sent[held:first] - sent[held]).max()),
        operator=operator,
        rate=rate,
        last=sent[first - 1],
        commands=commands,
        driven=tuple(np.split(sent, np.flatnonzero(np.diff(trace["tick"]) != 1) + 1)),
    )


def _evenly(t_ns: npt.NDArray[np.int64], sent: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Times [ns] `DT_S` apart and the commands there: where a tick was late or its trace got lost, interpolated.

    Raises:
        RoveError: so many got lost that nothing can be said.
    """
    ticks = round((t_ns[-1] - t_ns[0]) / NS_PER_S / DT_S)
    if ticks <= round(FOLLOWED_S / DT_S) or len(t_ns) < ticks / 2:
        raise RoveError(f"{len(t_ns)} of {ticks} command traces arrived", "end what else runs on this machine")
    every = t_ns[0] + np.arange(ticks) * DT_S * NS_PER_S
    return every, np.stack([np.interp(every, t_ns, column) for column in sent.T], axis=1)


def _times(takeovers: list[Takeover]) -> dict[str, Any]:
    waits_ms = np.array([takeover.waits_s for takeover in takeovers]) * 1e3
    figures: dict[str, Any] = {}
    for name, column in zip(("pause_to_braking", "pause_to_held", "go_to_operator"), waits_ms.T, strict=True):
        figures[f"{name}_p50_ms"] = round(float(np.percentile(column, 50)), 2)
        figures[f"{name}_max_ms"] = round(float(column.max()), 2)
    figures["moved_between_pause_and_go_rad"] = max(takeover.held_rad for takeover in takeovers)
    return figures


def _compared(space: JointSpace, takeovers: list[Takeover]) -> dict[str, Any]:
    """Every method on the same takeovers."""
    commands = {OURS: [takeover.commands for takeover in takeovers]}
    for name, method in METHODS.items():
        commands[name] = [method(space, DT_S, one.last, one.operator, one.rate) for one in takeovers]
    figures = {name: _figures(space, takeovers, many, name) for name, many in commands.items()}
    direct = figures["direct_switch"]["step_at_switch_rad"]
    for figure in figures.values():
        figure["step_at_switch_of_direct_ratio"] = {
            group: round(step / direct[group], 6) for group, step in figure["step_at_switch_rad"].items()
        }
    return figures


def _figures(space: JointSpace, takeovers: list[Takeover], commands: list[FloatArray], name: str) -> dict[str, Any]:
    steps = [one[0] - takeover.last for one, takeover in zip(commands, takeovers, strict=True)]
    largest = np.abs(np.array(steps)).max(axis=0)
    settled, followed = round(SETTLED_S / DT_S), round(FOLLOWED_S / DT_S)
    errors = [(one - takeover.operator)[settled:followed] for one, takeover in zip(commands, takeovers, strict=True)]
    if name == OURS:
        runs = [part for takeover in takeovers for part in takeover.driven]
    else:
        runs = [np.vstack([np.tile(one.last, (3, 1)), many]) for one, many in zip(takeovers, commands, strict=True)]
    return {
        "step_at_switch_rad": {group: float(largest[span].max()) for group, span in space.groups.items()},
        "of_limits_max_ratio": _of_limits(space, runs),
        "tracking_rms_after_1_s_mrad": round(float(np.sqrt(np.mean(np.concatenate(errors) ** 2))) * 1e3, 2),
        "shares": shares(takeovers, commands),
    }


def _of_limits(space: JointSpace, runs: list[FloatArray]) -> dict[str, float]:
    """Largest velocity, acceleration and jerk over the joints' limits."""
    limits = (space.max_velocity, space.max_acceleration, space.max_jerk)
    worst = dict.fromkeys(("velocity", "acceleration", "jerk"), 0.0)
    for commands in runs:
        for order, (quantity, limit) in enumerate(zip(worst, limits, strict=True), start=1):
            if len(commands) > order:
                ratio = np.abs(np.diff(commands, order, axis=0)) / (limit * DT_S**order)
                worst[quantity] = max(worst[quantity], float(ratio.max()))
    return {quantity: round(ratio, 4) for quantity, ratio in worst.items()}


def shares(takeovers: list[Takeover], commands: list[FloatArray]) -> dict[str, dict[str, float]]:
    """What of the operator's own motion has come through, and what of the gap is closed, by time since the switch.

    With x the operator, c the command: c(t) - c(0) = g(t) (x(t) - x(0)) + h(t) (x(0) - c(0)). Motion and gap are
    independent, so least squares over all takeovers and joints tells g (1: a correction counts from its first moment)
    and h (1: the robot is where the operator is).
    """
    result: dict[str, dict[str, float]] = {"operator_motion": {}, "gap_closed": {}}
    for t_s in SHARE_TIMES_S:
        tick = round(t_s / DT_S)
        moved = np.concatenate([one.operator[tick] - one.operator[0] for one in takeovers])
        gap = np.concatenate([one.operator[0] - one.last for one in takeovers])
        done = np.concatenate([many[tick] - one.last for one, many in zip(takeovers, commands, strict=True)])
        (g, h), *_ = np.linalg.lstsq(np.stack([moved, gap], axis=1), done, rcond=None)
        result["operator_motion"][f"{t_s}_s"] = round(float(g), 4)
        result["gap_closed"][f"{t_s}_s"] = round(float(h), 4)
    return result
