"""One connection to one kind of policy server, as `RemotePolicy` uses it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rove_inference.backends import Array
from rove_inference.preprocess import Image
from rove_inference.query import Query


def _nothing() -> npt.NDArray[np.float32]:
    return np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, not yet checked.

    Attributes:
        actions: joint positions [rad], shape (horizon, dim), in JointSpace order.
        inference_ms: time in the model, as the server says; 0 when it does not.
        clipped, guided, decoder_steps, base, residual, gate: as in Prediction.
    """

    actions: Array
    inference_ms: float = 0.0
    clipped: int = 0
    guided: bool = False
    decoder_steps: int = 1
    base: Array = field(default_factory=_nothing)
    residual: Array = field(default_factory=_nothing)
    gate: Array = field(default_factory=_nothing)


class Link(Protocol):
    """A connection that makes itself again. One thread at a time.

    Attributes:
        counts: `asked`, `timeouts`, `late` (answers after their time), `old_epoch` (answers of another epoch),
            `garbage` (frames that are not the protocol), `reconnects`; names that did not occur are not there.
    """

    counts: Counter[str]

    def connect(self, timeout_s: float) -> None:
        """Reach the server and see that it serves what the bundle says.

        Raises:
            PolicyError: it is not there in time, or serves something else.
        """
        ...

    def ask(self, state: npt.NDArray[np.float32], images: Mapping[str, Image], query: Query, timeout_s: float) -> Reply:
        """One observation, one answer; connects first when the connection is gone and it is time to try again.

        Args:
            state: joint positions [rad], shape (dim,), in JointSpace order.
            images: camera -> RGB, shape (3, height, width), as the bundle says.

        Raises:
            PolicyError: no answer in time, no connection, or an answer that is not one. The next `ask` may do better.
        """
        ...

    def values(self) -> Mapping[str, object]:
        """What people may want to see of the connection."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...
