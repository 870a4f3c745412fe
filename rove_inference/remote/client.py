"""The robot's end of the policy wire."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from rove_core.errors import ConfigError, PolicyError, WireError
from rove_core.joint_space import JointSpace
from rove_inference.backends import Array
from rove_inference.bundle import Bundle
from rove_inference.preprocess import Image
from rove_inference.query import Query
from rove_inference.remote import jpeg, wire
from rove_inference.remote.channel import Channel
from rove_inference.remote.link import Link, Reply
from rove_inference.remote.welcome import Welcome, mismatches

# Arrays of a chunk's size in one answer: actions, and base, residual and gate of an adapter.
CHUNKS_PER_ANSWER = 4


class RoveLink(Link):
    """Asks `rove policy serve`."""

    def __init__(self, bundle: Bundle, space: JointSpace) -> None:
        """Raises ConfigError when a key cannot be read or the url is none."""
        if bundle.spec.remote is None:
            raise ConfigError(f"bundle '{bundle.path.name}' has no `remote` part")
        self._remote = remote = bundle.spec.remote
        self._spec, self._space = bundle.spec, space
        # An absolute path stays what it is.
        server_key = bundle.path / remote.server_key if remote.server_key else ""
        own_key = bundle.path / remote.own_key if remote.own_key else ""
        most_bytes = self._spec.horizon * space.dim * 4 * CHUNKS_PER_ANSWER
        self._channel = Channel(remote.url, server_key, own_key, most_bytes)
        self.counts: Counter[str] = self._channel.counts

    def connect(self, timeout_s: float) -> None:
        """See Link."""
        welcome = greet(self._channel, timeout_s)
        problems = mismatches(welcome, self._spec, self._space)
        if problems:
            raise PolicyError(
                f"{self._remote.url} serves something else: {'; '.join(problems)}",
                "`rove policy connect` makes a bundle that fits what is served",
            )

    def ask(self, state: npt.NDArray[np.float32], images: Mapping[str, Image], query: Query, timeout_s: float) -> Reply:
        """See Link."""
        quality = self._remote.jpeg_quality
        arrays: dict[str, Array] = {"state": state}
        for camera, image in images.items():
            arrays |= {f"jpeg_{camera}": jpeg.compress(image, quality)} if quality else {f"image_{camera}": image}
        fields: dict[str, object] = {
            "policy": self._remote.policy,
            "instruction": query.instruction,
            "condition": query.condition,
            "cfg_beta": query.cfg_beta,
            "seed": query.seed,
        }
        if query.prefix is not None:
            arrays |= {"prefix": query.prefix.actions, "prefix_weights": query.prefix.weights}
            fields["prefix_frozen"] = query.prefix.frozen
        self.counts["asked"] += 1
        answer = self._channel.exchange(wire.ASK, fields, arrays, query.epoch, timeout_s)
        try:
            return self._reply(answer)
        except WireError as error:
            raise self._channel.garbage(error) from None

    def values(self) -> Mapping[str, object]:
        """See Link."""
        return self._channel.values()

    def close(self) -> None:
        """See Link."""
        self._channel.close()

    def _reply(self, answer: wire.Message) -> Reply:
        shape = (self._spec.horizon, self._space.dim)
        if answer.kind != wire.ANSWER:
            raise WireError(f"'{answer.kind}'")
        parts = {name: np.zeros(0, np.float32) for name in ("base", "residual", "gate")}
        for name in parts.keys() & answer.arrays.keys():
            parts[name] = answer.array(name, shape[:1] if name == "gate" else shape, "<f4")
        return Reply(
            actions=answer.array("actions", shape, "<f4"),
            inference_ms=answer.number("inference_ms"),
            clipped=answer.integer("clipped"),
            guided=bool(answer.fields.get("guided")),
            decoder_steps=answer.integer("decoder_steps"),
            **parts,
        )


def greet(channel: Channel, timeout_s: float) -> Welcome:
    """Connect, and ask a server what it serves.

    Raises:
        PolicyError: it is not there in time, or is no policy server.
    """
    deadline = time.monotonic() + timeout_s
    channel.open(timeout_s)
    left_s = max(deadline - time.monotonic(), 0.0)
    try:
        return Welcome.read(channel.exchange(wire.HELLO, {}, {}, 0, left_s))
    except WireError as error:
        raise channel.garbage(error) from None
