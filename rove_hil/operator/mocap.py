"""Motion-capture frames: what a headset, gloves or a recording tell of the operator's body, and their encoding.

Everything is in the operator's base frame: origin between the hips, x forward, y left, z up, metres; quaternions
are wxyz. Pairs are (left, right). Hands are 21 MANO keypoints: wrist, then thumb, index, middle, ring, little with
four each, tip last. A wrist's orientation has x along the fingers and z out of the back of the hand.

An encoded frame is one msgpack map (version 1): `schema` "rove.mocap", `version` 1, `source` (text, new at every
start of a source), `sequence`, `capture_ns`, `tracked` (five booleans), and the arrays of `MocapFrame` as little-endian
float64 or float32 bytes, or as flat lists. `mocap_wire` sends such messages, `mocap_file` keeps them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgpack
import numpy as np
import numpy.typing as npt

from rove_core.errors import WireError

FloatArray = npt.NDArray[np.float64]

SCHEMA = "rove.mocap"
VERSION = 1
MAX_BYTES = 16 * 1024
# No point of a person is further from his hips than this [m]: beyond it is a tracking error.
MAX_DISTANCE_M = 5.0
# Senders round to float32 or three decimals; anything further from 1 is not a rotation.
QUATERNION_TOLERANCE = 1e-2

SIDES = ("left", "right")
FINGERS = ("thumb", "index", "middle", "ring", "little")
KEYPOINTS = 1 + 4 * len(FINGERS)
# Index of each finger's tip among the keypoints, order of FINGERS.
TIPS = tuple(range(4, KEYPOINTS, 4))

_SHAPES: dict[str, tuple[int, ...]] = {
    "head_position": (3,),
    "head_quat": (4,),
    "shoulders": (2, 3),
    "elbows": (2, 3),
    "wrist_positions": (2, 3),
    "wrist_quats": (2, 4),
    "hands": (2, KEYPOINTS, 3),
}
_KEYS = frozenset({"schema", "version", "source", "sequence", "capture_ns", "tracked", *_SHAPES})
_BIGGEST_INT = 2**63 - 1


class Tracked(NamedTuple):
    """Which parts of a frame the source sees right now; the values of the others mean nothing."""

    head: bool = True
    left_arm: bool = True
    right_arm: bool = True
    left_hand: bool = True
    right_hand: bool = True


ALL_TRACKED = Tracked()


@dataclass(frozen=True, slots=True)
class MocapFrame:
    """One moment of the operator's body, in the frame described above.

    Attributes:
        sequence: counts up within one source.
        capture_ns: when the pose was captured, ROS clock [ns].
        head_position: between the eyes [m], shape (3,). head_quat: wxyz, shape (4,), identity looks forward.
        shoulders, elbows: joint centres [m], shape (2, 3), left and right.
        wrist_positions: [m], shape (2, 3). wrist_quats: wxyz, shape (2, 4).
        hands: keypoints [m], shape (2, 21, 3).
        tracked: which parts are valid.
        source: who sent it; empty when it never was on a wire.
    """

    sequence: int
    capture_ns: int
    head_position: FloatArray
    head_quat: FloatArray
    shoulders: FloatArray
    elbows: FloatArray
    wrist_positions: FloatArray
    wrist_quats: FloatArray
    hands: FloatArray
    tracked: Tracked = ALL_TRACKED
    source: str = ""


class FrameRefusedError(WireError):
    """A message that is no valid frame. `reason` is one word for counters."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"motion-capture frame refused: {message}")
        self.reason = reason


def encode(frame: MocapFrame, source: str = "") -> bytes:
    """`frame` as one message from `source` (by default the frame's own)."""
    message: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "source": source or frame.source,
        "sequence": frame.sequence,
        "capture_ns": frame.capture_ns,
        "tracked": [bool(part) for part in frame.tracked],
    }
    for name in _SHAPES:
        message[name] = np.ascontiguousarray(getattr(frame, name), dtype="<f8").tobytes()
    packed: bytes = msgpack.packb(message)
    return packed


def decode(data: bytes) -> MocapFrame:
    """The frame in one message.

    Raises:
        FrameRefusedError: oversized, truncated, not msgpack, of another schema or version, wrong shapes, NaN or
            infinity, points further than 5 m away, or quaternions that are no rotations.
    """
    if len(data) > MAX_BYTES:
        raise FrameRefusedError("oversized", f"{len(data)} bytes, at most {MAX_BYTES} allowed")
    try:
        message = msgpack.unpackb(data)  # no item can be longer than the message: msgpack bounds itself
    except (ValueError, msgpack.UnpackException) as error:
        raise FrameRefusedError("malformed", f"not msgpack or truncated ({type(error).__name__})") from None
    if not isinstance(message, dict):
        raise FrameRefusedError("malformed", f"a map expected, got {type(message).__name__}")
    if message.get("schema") != SCHEMA:
        raise FrameRefusedError("schema", f"schema {message.get('schema')!r:.40}, expected {SCHEMA!r}")
    if message.get("version") != VERSION:
        raise FrameRefusedError("version", f"version {message.get('version')!r:.40}, this receiver speaks {VERSION}")
    if message.keys() != _KEYS:
        missing = sorted(_KEYS - message.keys())
        extra = sorted(str(key)[:40] for key in message.keys() - _KEYS)
        raise FrameRefusedError("malformed", f"keys missing: {missing}, unknown: {extra[:5]}")
    source = message["source"]
    if not isinstance(source, str) or len(source) > 64:
        raise FrameRefusedError("malformed", "source is no text of at most 64 characters")
    arrays = {name: _array(name, message[name], shape) for name, shape in _SHAPES.items()}
    return MocapFrame(
        sequence=_integer("sequence", message["sequence"]),
        capture_ns=_integer("capture_ns", message["capture_ns"]),
        tracked=_tracked(message["tracked"]),
        source=source,
        **arrays,
    )


def _integer(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _BIGGEST_INT:
        raise FrameRefusedError("malformed", f"{name} is {value!r:.40}, expected an integer from 0 to 2^63 - 1")
    return value


def _tracked(value: object) -> Tracked:
    if not isinstance(value, list) or len(value) != len(Tracked._fields) or not all(isinstance(v, bool) for v in value):
        raise FrameRefusedError("malformed", f"tracked is {value!r:.60}, expected {len(Tracked._fields)} booleans")
    return Tracked(*value)


def _array(name: str, value: object, shape: tuple[int, ...]) -> FloatArray:
    size = math.prod(shape)
    if isinstance(value, bytes) and len(value) in (8 * size, 4 * size):
        array = np.frombuffer(value, dtype="<f8" if len(value) == 8 * size else "<f4").astype(np.float64)
    elif isinstance(value, list) and len(value) == size and all(type(item) in (int, float) for item in value):
        try:
            array = np.array(value, dtype=np.float64)
        except OverflowError:
            raise FrameRefusedError("values", f"{name} holds a number too large") from None
    else:
        raise FrameRefusedError("malformed", f"{name} is not {size} float64, float32 or numbers, for shape {shape}")
    array = array.reshape(shape)
    # One comparison finds NaN, infinity and far away alike.
    if not np.abs(array).max() < MAX_DISTANCE_M:
        worst = array.flat[int(np.argmax(~(np.abs(array) < MAX_DISTANCE_M)))]
        raise FrameRefusedError("values", f"{name} holds {worst}, expected finite and within {MAX_DISTANCE_M} m")
    if name.endswith(("_quat", "_quats")):
        norm = np.linalg.norm(array, axis=-1, keepdims=True)
        if not np.abs(norm - 1.0).max() < QUATERNION_TOLERANCE:
            raise FrameRefusedError(
                "values", f"{name} has norm {norm.flat[int(np.abs(norm - 1).argmax())]:.3g}, expected 1"
            )
        array = array / norm
    return array
