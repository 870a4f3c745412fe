"""What the arbiter takes in and gives out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rove_core.clocks import NS_PER_S
from rove_core.joint_space import FloatArray
from rove_core.modes import Mode, Source, Stage, TakeoverWay

BoolArray = npt.NDArray[np.bool_]

# A stamp further ahead than this is another clock, not a prediction.
FUTURE_TOLERANCE_NS = NS_PER_S // 10


@dataclass(frozen=True, slots=True)
class ModeState:
    """The supervisor's word.

    Attributes:
        heard_ns: when it arrived, control clock [ns].
        way, operator_groups: how, and of which joint groups (empty: all), the operator drives in a takeover.
        policy_runs: the policy makes chunks in this mode.
    """

    mode: Mode
    stage: Stage
    epoch: int
    episode_id: str
    heard_ns: int
    way: TakeoverWay = TakeoverWay.ABSOLUTE
    operator_groups: tuple[str, ...] = ()
    policy_runs: bool = False


@dataclass(frozen=True, slots=True)
class OperatorTarget:
    """The operator's joints [rad], shape (dim,); `valid` per joint.

    Attributes:
        stamp_ns: when solved, control clock [ns]; its age says whether the operator is still there.
        source_ns: when captured [ns]; only differences count, so an offset of the sender's clock does not matter.
    """

    epoch: int
    stamp_ns: int
    source_ns: int
    position: FloatArray
    valid: BoolArray


@dataclass(frozen=True, slots=True)
class ArbiterConfig:
    """Time limits and fading times [s].

    Attributes:
        handover_s: time constant by which the offset to a new source fades, per joint, shape (dim,).
        blend_weight: how much of the operator's motion is added to the policy's in a blended takeover, 0 to 1 per
            joint, shape (dim,); 1 for all when None.
    """

    handover_s: FloatArray
    blend_weight: FloatArray | None = None
    chunk_join_s: float = 0.1
    mode_timeout_s: float = 0.5
    operator_timeout_s: float = 0.1


@dataclass(frozen=True, slots=True)
class Decision:
    """What one tick should do. Arrays [rad] and [rad/s], shape (dim,).

    Attributes:
        target: where to go, inside the joint limits. velocity: of the target, 0 where it is held.
        held: joints that brake and stay, per joint; their target is where the braking ends.
        chunk_id, chunk_step: 0 and -1 when no chunk is used.
        hold_reason: why the source is HOLD or STOP, or why some joints of it are held; "" otherwise.
        authority: the operator's share of the target per joint group, 0 to 1, shape (groups,).
        policy_position: what the policy says for now, None without a chunk in force. operator_position: the
            operator's latest sample of this epoch, None when there is none that is fresh.
    """

    source: Source
    target: FloatArray
    velocity: FloatArray
    held: BoolArray
    chunk_id: int
    chunk_step: int
    hold_reason: str
    authority: FloatArray
    policy_position: FloatArray | None
    operator_position: FloatArray | None


@dataclass(slots=True)
class ArbiterCounters:
    """What was not used, and why; for diagnostics."""

    chunks_accepted: int = 0
    chunks_other_epoch: int = 0
    chunks_refused: int = 0
    chunks_late: int = 0
    operator_accepted: int = 0
    operator_other_epoch: int = 0
    operator_refused: int = 0
    mode_stale_ticks: int = 0
    policy_late_ticks: int = 0
    operator_stale_ticks: int = 0
    last_refusal: str = field(default="")
