"""What runs a model: arrays in by name, arrays out by name. A backend knows nothing of chunks or joints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Texts are arrays of Python strings: a batch of prompts has shape (B,).
TEXT = np.dtype(object)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Declaration of a model's input or output. None in `shape` is a free dimension."""

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


class Backend(Protocol):
    """A loaded model."""

    @property
    def inputs(self) -> Mapping[str, TensorInfo]:
        """The tensors that `run` needs."""
        ...

    @property
    def outputs(self) -> Mapping[str, TensorInfo]:
        """The tensors that `run` returns."""
        ...

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Evaluate the model; called from one thread at a time.

        A read-only array is taken never to change: its copy on the device is used again.

        Raises:
            PolicyError: that failed.
        """
        ...


def first_line(error: Exception) -> str:
    """What a foreign library said went wrong, as one line that is not too long."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
