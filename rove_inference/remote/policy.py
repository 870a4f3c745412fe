"""A bundle whose policy runs on another machine, and that answers like any other."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from rove_core.errors import BundleError, PolicyError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import Bundle
from rove_inference.decoders import positions as answered
from rove_inference.observation import Observation
from rove_inference.policy import Policy
from rove_inference.preprocess import prepare_image
from rove_inference.query import NOTHING_ASKED, Prediction, Query
from rove_inference.remote.link import Link
from rove_inference.remote.spec import RemoteSpec

# Once the first answer is there, the median of a few is what to expect.
WARM_UP_RUNS = 5


class RemotePolicy(Policy):
    """Sends prepared observations over a link and checks what comes back. One thread at a time.

    Whatever goes wrong on the way is a PolicyError of one line, no chunk, and another try with the next observation.
    """

    def __init__(self, bundle: Bundle, link: Link, space: JointSpace) -> None:
        """Connect, see that the server fits, and wait for its first answer (which may compile the model).

        Raises:
            PolicyError: no connection. BundleError: the answer is unusable.
        """
        self.bundle = bundle
        self._space = space
        self._link = link
        self._remote = _remote(bundle)
        self._timeout_s = self._remote.ready_timeout_s
        try:
            link.connect(self._timeout_s)
            self.warm_up_ms = self._warm_up()
        except BaseException:
            link.close()
            raise
        self._timeout_s = self._remote.timeout_s

    def predict(self, observation: Observation, query: Query = NOTHING_ASKED) -> Prediction:
        """Answer one observation.

        Raises:
            PolicyError: no answer in time, or one that must not reach the robot.
        """
        spec = self.bundle.spec
        state = observation.state.astype(np.float32)
        images = {camera.name: prepare_image(observation.images[camera.name], camera) for camera in spec.cameras}
        start_ns = time.perf_counter_ns()
        reply = self._link.ask(state, images, query, self._timeout_s)
        round_trip_ms = (time.perf_counter_ns() - start_ns) * 1e-6
        order = self.bundle.action_order
        positions, clipped = answered.to_robot(
            reply.actions[None], self._space, spec.horizon, order, spec.out_of_limits
        )
        return Prediction(
            positions,
            clipped + reply.clipped,
            reply.inference_ms or round_trip_ms,
            round_trip_ms=round_trip_ms,
            guided=reply.guided,
            decoder_steps=reply.decoder_steps,
            base=reply.base,
            residual=reply.residual,
            gate=reply.gate,
        )

    def values(self) -> Mapping[str, object]:
        """What people may want to see of the connection."""
        return {"server": self._remote.url, **self._link.values(), **self._link.counts}

    def close(self) -> None:
        """End the connection."""
        self._link.close()

    def _warm_up(self) -> float:
        grey = {c.name: np.full((c.height, c.width, 3), 128, np.uint8) for c in self.bundle.spec.cameras}
        observation = Observation(0, 0, self._space.home, grey)
        query = Query(condition=self.bundle.spec.condition, cfg_beta=self.bundle.spec.cfg_beta)
        try:
            times = [self.predict(observation, query).round_trip_ms for _ in range(WARM_UP_RUNS)]
        except PolicyError as error:
            raise BundleError(f"bundle '{self.bundle.path.name}': warm-up failed: {error}", error.hint) from None
        return float(np.median(times[1:]))


def connect(bundle: Bundle, space: JointSpace) -> RemotePolicy:
    """The policy of a bundle with a `remote` part, connected and warmed up.

    Raises:
        PolicyError: the server is not there or serves something else. BundleError: its answers are unusable.
        ConfigError: keys or names in the bundle are wrong.
    """
    return RemotePolicy(bundle, open_link(bundle, space), space)


def open_link(bundle: Bundle, space: JointSpace) -> Link:
    """The link that a bundle's backend names, not yet connected. Raises ConfigError."""
    backend = bundle.spec.backend
    # One protocol's library is of no use to the others.
    if backend == "openpi":
        from rove_inference.remote.openpi import OpenpiLink

        return OpenpiLink(bundle, space)
    if backend == "groot":
        from rove_inference.remote.groot import GrootLink

        return GrootLink(bundle, space)
    from rove_inference.remote.client import RoveLink

    return RoveLink(bundle, space)


def _remote(bundle: Bundle) -> RemoteSpec:
    remote = bundle.spec.remote
    if remote is None:
        raise BundleError(f"bundle '{bundle.path.name}' has no `remote` part: its policy runs here")
    return remote
