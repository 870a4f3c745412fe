"""The networks of a bundle as one: encoders that run once per observation, and the model that a decoder calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rove_core.errors import BundleError, PolicyError
from rove_inference.backends import Array, Backend, TensorInfo

Tensors = Mapping[str, Array]


class Stages:
    """A chain of networks whose tensors find one another by name; a Backend like each of them.

    The VLM that reads pictures and text runs for a tenth of a second, the action head a few milliseconds, several
    times: what does not change between the steps of a decoder is computed once.

    Attributes:
        inputs: what has to be given; the tensors that encoders put out are not among them.
        outputs: of the model.
    """

    def __init__(self, encoders: Sequence[Backend], model: Backend) -> None:
        """Raises BundleError when what an encoder puts out is not what a later network takes in."""
        self._encoders, self._model = tuple(encoders), model
        self.inputs: Mapping[str, TensorInfo] = _outside_inputs((*self._encoders, model))
        self.outputs = model.outputs

    @property
    def features(self) -> dict[str, TensorInfo]:
        """What the encoders put out."""
        return {name: info for encoder in self._encoders for name, info in encoder.outputs.items()}

    def depending_on(self, name: str) -> list[Backend]:
        """The networks that see a tensor, or what an encoder made of it."""
        seen, found = {name}, []
        for network in (*self._encoders, self._model):
            if not seen.isdisjoint(network.inputs):
                found.append(network)
                seen |= set(network.outputs)
        return found

    def run(self, tensors: Tensors) -> dict[str, Array]:
        """Evaluate everything once. Raises PolicyError when a network fails."""
        return self.observe(tensors)({})

    def observe(self, tensors: Tensors) -> Observed:
        """Run the encoders on an observation.

        A network that is given several rows of one tensor (one per condition) and one row of another gets the latter
        as often; a network that sees no condition runs on one row.

        Args:
            tensors: what the encoders and the model take and that stays the same while the chunk is made.

        Raises:
            PolicyError: an encoder failed.
        """
        pool = dict(tensors)
        for encoder in self._encoders:
            pool |= encoder.run(_pick(pool, encoder))
        return Observed(self._model, pool)


class Observed:
    """The model for one observation, as often as the decoder needs it.

    Attributes:
        features: what was observed and what the encoders made of it.
    """

    def __init__(self, model: Backend, features: dict[str, Array]) -> None:
        self.features = features
        self._model = model
        self._same = _pick(features, model)
        for array in self._same.values():
            array.flags.writeable = False  # so that it is sent to the device once, not with every step

    def __call__(self, changing: Tensors) -> dict[str, Array]:
        """Evaluate the model on the observation and what changes from step to step.

        Raises:
            PolicyError: it failed, or a tensor is missing.
        """
        given = self._same | dict(changing)
        missing = [name for name in self._model.inputs if name not in given]
        if missing:
            raise PolicyError(f"the network takes {', '.join(missing)}, which nobody gave")
        return self._model.run(given)


def _pick(pool: Tensors, network: Backend) -> dict[str, Array]:
    """What is there of the tensors that a network takes, with as many rows each."""
    asked = {name: pool[name] for name in network.inputs if name in pool}
    rows = max((len(array) for array in asked.values()), default=1)
    return {name: array if len(array) == rows else np.repeat(array, rows, axis=0) for name, array in asked.items()}


def _outside_inputs(networks: Sequence[Backend]) -> dict[str, TensorInfo]:
    """What networks take in that none before them puts out."""
    outside: dict[str, TensorInfo] = {}
    made: dict[str, TensorInfo] = {}
    for network in networks:
        for name, wanted in network.inputs.items():
            given = made.get(name) or outside.get(name)
            if given is None:
                outside[name] = wanted
            elif given.dtype != wanted.dtype or not _alike(given.shape, wanted.shape):
                raise BundleError(
                    f"tensor '{name}' is {given.dtype} {_words(given.shape)} in one network of the bundle and "
                    f"{wanted.dtype} {_words(wanted.shape)} in a later one"
                )
        made |= network.outputs
    return outside


def _alike(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    return len(one) == len(other) and all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def _words(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
