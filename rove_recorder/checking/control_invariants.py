"""What must be true of who moved the robot and how: commands, epochs, chunks, limits, stages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from rove_core.modes import Mode, Source, Stage
from rove_recorder.checking.array_invariants import first_of, torn_off
from rove_recorder.reader import Episode

# Position, velocity and acceleration may exceed the limit by rounding only. Finite differences of three ticks
# that are not exactly 5 ms apart amplify: jerk gets more room.
POSITION_TOLERANCE_RAD = 1e-6
RELATIVE_TOLERANCE = {"velocity": 0.01, "acceleration": 0.03, "jerk": 0.10}

# A tick this much longer than the usual one is a missed one: differences across it say nothing.
MISSED_TICK = 1.5


# Column of a row -> column of the command that the row names.
COPIES = {
    "command_sent": "sent",
    "command_target": "target",
    "command_policy": "policy",
    "command_operator": "operator",
    "operator_authority": "operator_authority",
    "limited": "limited",
    "mode": "mode",
    "control": "source",
    "stage": "stage",
    "epoch": "epoch",
    "chunk_id": "chunk_id",
    "chunk_step": "chunk_step",
}

# Between two steps of a chunk the robot is asked for what lies between them. The filter puts a chunk on its own clock
# when it comes, just before the first command that follows it: this much may the clocks have parted meanwhile [ns].
CHUNK_TIME_NS = 2_000_000
# What is stored is single precision, and a step may begin within that time [rad].
PREDICTION_TOLERANCE_RAD = 1e-3
MOMENTS = np.linspace(-1.0, 1.0, 9)


def actions(episode: Episode) -> Iterator[str]:
    """A row's action is the command of the stream, the first at or after the row."""
    steps, commands = episode.steps, episode.streams["commands"]
    index = steps["command_index"]
    if len(index) and (index.min() < 0 or index.max() >= commands.records):
        yield "steps/command_index names a command that is not there"
        return
    for column, stream in COPIES.items():
        if column not in steps or stream not in commands:
            continue
        row, command = steps[column], commands[stream][index]
        nothing = np.isnan(row) & np.isnan(command) if row.dtype.kind == "f" else np.zeros(row.shape, bool)
        differs = ((row != command) & ~nothing).any(axis=tuple(range(1, row.ndim)))
        yield from first_of(differs, f"steps/{column} is not what the stream says")
    first = np.searchsorted(commands["t_mono_ns"], steps["t_mono_ns"], side="left")
    yield from first_of(first != index, "steps/command_index is not the first command at or after the row")


def authority(episode: Episode) -> Iterator[str]:
    """The operator's share is one, somebody has it only in control, and the mask says which groups."""
    steps = episode.steps
    if "operator_authority" not in steps:
        return
    share = steps["operator_authority"]
    yield from first_of(
        np.asarray(((share < 0) | (share > 1)).any(axis=1)), "steps/operator_authority is not between 0 and 1"
    )
    human = steps["control"] == Source.OPERATOR
    yield from first_of(
        np.asarray((share > 0).any(axis=1) & ~human), "the operator has a share while another is in control"
    )
    mask = ((share > 0) << np.arange(share.shape[1])).sum(axis=1)
    yield from first_of(
        np.asarray(mask != steps["control_group_mask"]), "steps/control_group_mask is not the groups with a share"
    )


def presses(episode: Episode) -> Iterator[str]:
    """Every mode that the robot was in was announced, and the press that led there was accepted."""
    announced: dict[int, set[int]] = {}
    for event in episode.events():
        if event["type"] == "mode":
            announced.setdefault(int(event["epoch"]), set()).add(int(event["mode"]))
        elif event.get("accepted") and "mode_after" in event:
            announced.setdefault(int(event["epoch"]), set()).add(int(event["mode_after"]))
    if not announced:
        return
    commands = episode.streams["commands"]
    pairs = np.unique(np.stack([commands["epoch"].astype(np.int64), commands["mode"]], axis=1), axis=0).tolist()
    for epoch, mode in pairs:
        known = announced.get(epoch)
        if known is None and torn_off(episode) and epoch == pairs[-1][0]:
            continue  # its event was lost with the last second
        name = Mode.from_number(mode)
        if known is None:
            yield f"the robot was in {name} in epoch {epoch}, and no event led there"
        elif mode not in known:
            said = " and ".join(Mode.from_number(number) for number in sorted(known))
            yield f"the robot was in {name} in epoch {epoch}, the events say {said}"


def predictions(episode: Episode) -> Iterator[str]:
    """What the policy asked for is what its chunk predicted, unless chunks are mixed where they join."""
    steps, chunks = episode.steps, episode.chunks
    asked = steps["command_policy"]
    used = (steps["control"] == Source.POLICY) & (steps["chunk_id"] > 0) & np.isfinite(asked).all(axis=1)
    record_of = {number: record for record, number in enumerate(chunks["chunk_id"].tolist())}
    bad = np.zeros(len(asked), bool)
    for number in np.unique(steps["chunk_id"][used]).tolist():
        rows = np.flatnonzero(used & (steps["chunk_id"] == number))
        if number not in record_of:
            if not torn_off(episode):
                yield f"row {rows[0]} follows chunk {number}, which is not in chunks"
            continue
        info = json.loads(chunks.record("info_json", record_of[number]).tobytes())
        if info.get("join") not in (None, "", "replace"):
            continue
        near = _predicted(episode, record_of[number], rows)
        low, high = near.min(axis=1) - PREDICTION_TOLERANCE_RAD, near.max(axis=1) + PREDICTION_TOLERANCE_RAD
        bad[rows] = ((asked[rows] < low) | (asked[rows] > high)).any(axis=1)
    yield from first_of(bad, "steps/command_policy is not what the chunk predicted")


def _predicted(episode: Episode, record: int, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """What a chunk says about the moment of each row's command and MOMENTS around it [rad], (rows, moments, dim)."""
    chunks, commands = episode.chunks, episode.streams["commands"]
    first = int(np.argmax(commands["chunk_id"] == chunks["chunk_id"][record]))
    observed_ns = chunks["t_observation_ns"][record] - commands["t_ros_ns"][first] + commands["t_mono_ns"][first]
    index = episode.steps["command_index"][rows]
    moments_ns = commands["t_mono_ns"][index][:, None] + CHUNK_TIME_NS * MOMENTS
    predicted = chunks.record("prediction", record).astype(np.float64)
    at = (moments_ns - observed_ns) * 1e-9 / chunks["dt_s"][record]
    at = np.clip(at, 0, len(predicted) - 1)
    before = at.astype(np.intp)
    after, share = np.minimum(before + 1, len(predicted) - 1), (at - before)[..., None]
    return np.asarray(predicted[before] * (1 - share) + predicted[after] * share)


def epochs(episode: Episode) -> Iterator[str]:
    """No command came from a chunk of another epoch."""
    chunks, commands = episode.chunks, episode.streams["commands"]
    epoch_of = dict(zip(chunks["chunk_id"].tolist(), chunks["epoch"].tolist(), strict=True))
    used = (commands["source"] == Source.POLICY) & (commands["chunk_id"] > 0)
    ids, epochs = commands["chunk_id"][used], commands["epoch"][used]
    pairs = np.unique(np.stack([ids, epochs], axis=1), axis=0)
    for number, epoch in pairs.tolist():
        if number in epoch_of and epoch_of[number] != epoch:
            yield f"chunk {number} of epoch {epoch_of[number]} moved the robot in epoch {epoch}"
    modes, source = commands["mode"], commands["source"]
    yield from first_of(
        (source == Source.POLICY) & (modes != Mode.ROLLOUT.number), "the policy moved the robot outside ROLLOUT"
    )
    yield from first_of(
        (source == Source.OPERATOR) & (modes != Mode.TAKEOVER.number), "the operator moved it outside TAKEOVER"
    )


def limits(episode: Episode) -> Iterator[str]:
    """Commands inside the position limits at each tick; velocity, acceleration and jerk by finite differences.

    What was imported went through no filter: its actions are what somebody else's robot got.
    """
    if "imported" in episode.attrs:
        return
    limits = {name: np.array(values) for name, values in episode.attrs["joint_limits"].items()}
    names = episode.attrs["joint_names"]
    commands = episode.streams["commands"]
    sent, t_ns = commands["sent"], commands["t_mono_ns"]
    outside = (sent < limits["lower"] - POSITION_TOLERANCE_RAD) | (sent > limits["upper"] + POSITION_TOLERANCE_RAD)
    yield from _worst(outside, sent, names, "position [rad]", limits["upper"])
    # What was imported did not go through the filter that promises the rates.
    if len(sent) < 4 or "imported" in episode.attrs:
        return
    period = float(np.median(np.diff(t_ns)))
    whole = np.diff(commands["tick"].astype(np.int64)) == 1  # every tick was recorded
    steady = whole & (np.diff(t_ns) < MISSED_TICK * period)
    # The filter integrates with its nominal period; the stamps only tell which ticks are neighbours.
    step_s = _nominal(period) * 1e-9
    rate, neighbours = sent, steady
    for kind in ("velocity", "acceleration", "jerk"):
        rate = np.diff(rate, axis=0) / step_s
        limit = limits[f"max_{kind}"] * (1 + RELATIVE_TOLERANCE[kind])
        yield from _worst((np.abs(rate) > limit) & neighbours[:, None], rate, names, kind, limits[f"max_{kind}"])
        neighbours = neighbours[1:] & steady[: len(neighbours) - 1]


def _nominal(period_ns: float) -> float:
    """The period that a rate in whole Hz gives, the measured one when none is near."""
    nominal = 1e9 / max(round(1e9 / period_ns), 1)
    return nominal if abs(nominal - period_ns) < 0.02 * period_ns else period_ns


def _worst(
    bad: npt.NDArray[np.bool_],
    values: npt.NDArray[np.float64],
    names: Iterable[str],
    what: str,
    limit: npt.NDArray[np.float64],
) -> Iterator[str]:
    if not bad.any():
        return
    # Limits of a joint's kinds differ by orders of magnitude, positions may be 0: compare with a radian added.
    tick, joint = np.unravel_index(np.argmax(np.where(bad, np.abs(values) / (1 + np.abs(limit)), 0)), values.shape)
    name, value = list(names)[joint], values[tick, joint]
    yield (
        f"streams/commands/sent: {what} over the limit in {int(bad.any(axis=1).sum())} ticks, "
        f"worst at tick {tick}: joint '{name}' {value:.4g}, limit {limit[joint]:.4g}"
    )


def stages(episode: Episode) -> Iterator[str]:
    """Stages cover the rows, in order, and the live mark agrees with the mode."""
    at = 0
    spans = episode.stages()
    for span in spans:
        if span.start_row != at:
            yield f"stages: a gap or overlap at row {at}"
        at = span.end_row
    if at != episode.rows:
        yield f"stages: end at row {at} of {episode.rows}"
    steps = episode.steps
    moving = (steps["mode"] == Mode.ROLLOUT.number) | (steps["mode"] == Mode.TAKEOVER.number)
    yield from first_of((steps["stage"] == Stage.NONE) == moving, "steps/stage does not fit steps/mode")
