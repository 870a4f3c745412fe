"""The networks of a bundle as one: encoders that run once per observation, and the model that a decoder calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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

    def run(self, tensors: Tensors) -> dict[str, Array]:
        """Evaluate everything once. Raises PolicyError when a network fails."""
        return self.observe(tensors)({})

    def observe(self, tensors: Tensors) -> Callable[[Tensors], dict[str, Array]]:
        """Run the encoders on an observation.

        Args:
            tensors: what the encoders and the model take and that stays the same while the chunk is made.

        Returns:
            Evaluates the model on these, what the encoders made of them, and the tensors it is called with.

        Raises:
            PolicyError: an encoder failed. The returned function raises it when the model fails.
        """
        pool = dict(tensors)
        for encoder in self._encoders:
            made = encoder.run(_pick(pool, encoder))
            for array in made.values():
                array.flags.writeable = False  # so that it is sent to the device once, not with every step
            pool |= made
        return lambda changing: self._model.run(_pick(pool | dict(changing), self._model))


def _pick(pool: dict[str, Array], network: Backend) -> dict[str, Array]:
    missing = [name for name in network.inputs if name not in pool]
    if missing:
        raise PolicyError(f"the network takes {', '.join(missing)}, which nobody gave")
    return {name: pool[name] for name in network.inputs}


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
