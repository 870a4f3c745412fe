"""`/rove/swap_policy` and the watched folder: how a running policy_node gets another policy."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from rclpy.task import Future as RosFuture
from rove_msgs.msg import ControlMode, SupervisorEvent
from rove_msgs.srv import SwapPolicy

from rove_core.errors import PolicyError, RoveError
from rove_core.joint_space import JointSpace
from rove_core.modes import Mode
from rove_core.ros import stamps, topics
from rove_core.ros.node import RoveNode
from rove_inference.offers import Look, OfferFolder
from rove_inference.policy import Policy
from rove_inference.swap import CLOSE_WAIT_S, PolicyLoader, check_mode
from rove_inference.worker import PolicyWorker

OFFERED_EVENT, SWAPPED_EVENT = "policy_offered", "policy_swapped"

# Nobody waits for a bundle that comes once a night.
LOOK_PERIOD_S = 2.0
# Hashing gigabytes must not take a core from the control loop.
LOWEST_PRIORITY = 19


class SwapService:
    """Loads the bundle that is asked for beside the running one, and switches when that is done.

    The node's callbacks go on meanwhile. The mode is checked before loading and again when switching; both happen
    in the thread of the callbacks, as does every change of the mode, so it cannot change in between.
    """

    def __init__(
        self, node: RoveNode, worker: PolicyWorker, load: Callable[[Path], Policy], space: JointSpace, offers: str
    ) -> None:
        """Args:
        load: blocks until a bundle is ready. Raises RoveError.
        offers: folder to watch for new bundles; "": none.
        """
        self._node = node
        self._worker = worker
        self._loader = PolicyLoader(load)
        self._mode = ControlMode()
        self._folder = OfferFolder(offers, space) if offers else None
        self._ending = threading.Event()
        self._watch: threading.Thread | None = None
        self._last = Look()
        self._events = node.create_publisher(SupervisorEvent, topics.EVENTS, topics.QOS_EVENTS)
        node.create_service(SwapPolicy, topics.SWAP_POLICY, self._on_swap)

    def start(self) -> None:
        """Begin to watch the folder."""
        if self._folder is not None:
            self._ending.clear()
            self._watch = threading.Thread(target=self._look, args=(self._folder,), name="offers", daemon=True)
            self._watch.start()

    def close(self) -> None:
        """Stop watching; waits for a look or a load that is under way, but not for long."""
        self._ending.set()
        if self._watch is not None:
            self._watch.join(CLOSE_WAIT_S)
            self._watch = None
        self._loader.close()

    def values(self) -> dict[str, object]:
        """For the diagnostics."""
        if self._folder is None:
            return {}
        last = self._last
        values: dict[str, object] = {"offers": str(self._folder.folder)}
        for offer in last.besides(self._running)[-1:]:
            values["offered"] = f"{offer.policy_id} at {offer.path}"
        for name, lacks in last.incomplete.items():
            values[f"not offered: {name}"] = lacks
        return values

    def set_mode(self, mode: ControlMode) -> None:
        """Take a mode message; in the thread of the callbacks."""
        self._mode = mode

    @property
    def _running(self) -> str:
        return self._worker.policy.bundle.policy_id

    # Swap

    async def _on_swap(self, request: SwapPolicy.Request, response: SwapPolicy.Response) -> SwapPolicy.Response:
        asked = request.bundle_path or "the offered bundle"
        try:
            check_mode(Mode.from_number(self._mode.mode))
            path = Path(request.bundle_path) if request.bundle_path else self._offered()
            asked = str(path)
            self._switch(await self._finished(self._loader.begin(path)))
            response.accepted = True
        except RoveError as error:
            response.reason = f"{error}" + (f" ({error.hint})" if error.hint else "")
        response.policy_id = self._running
        facts = _facts(asked, response.policy_id)
        if response.accepted:
            self._node.get_logger().info(f"swapped to {response.policy_id}")
            self._node.report_now()  # supervisor_node says in the mode which policy it is
            self._tell(SWAPPED_EVENT, f"{response.policy_id} is in force", facts)
        else:
            self._node.get_logger().warning(f"no swap to '{asked}': {response.reason}")
            self._tell(SWAPPED_EVENT, response.reason, facts, accepted=False)
        return response

    def _switch(self, policy: Policy) -> None:
        """Put a loaded policy in force. Raises PolicyError when the mode does not allow that any more."""
        try:
            check_mode(Mode.from_number(self._mode.mode))
            if not self._worker.swap(policy):
                raise PolicyError("the policy moves the robot")
        except PolicyError:
            policy.close()
            raise

    def _offered(self) -> Path:
        offers = self._last.besides(self._running)
        if not offers:
            place = f"nothing new in {self._folder.folder}" if self._folder else "no folder is watched"
            raise PolicyError(f"no bundle is offered: {place}", "name the bundle, or set the parameter `offers`")
        return offers[-1].path

    async def _finished(self, loading: Future[Policy]) -> Policy:
        """Give the callbacks' thread back until the load is over."""
        done: RosFuture[None] = RosFuture(executor=self._node.executor)
        loading.add_done_callback(lambda _: done.set_result(None))
        await done
        self._loader.taken()
        return loading.result()

    # Offers

    def _look(self, folder: OfferFolder) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
        told: set[str] = set()
        while not self._ending.is_set():
            self._last = folder.look()
            for offer in self._last.besides(self._running):
                if offer.policy_id not in told:
                    told.add(offer.policy_id)
                    self._node.get_logger().info(f"{offer.policy_id} is offered: {offer.path}")
                    reason = f"{offer.policy_id} is offered: `rove policy accept` in IDLE or PAUSED"
                    self._tell(OFFERED_EVENT, reason, _facts(str(offer.path), offer.policy_id))
            self._ending.wait(LOOK_PERIOD_S)

    def _tell(self, event: str, reason: str, payload: str, *, accepted: bool = True) -> None:
        """A fact for people's screens and the record."""
        mode = self._mode
        message = SupervisorEvent(event=event, device="node:policy_node", reason=reason, payload=payload)
        message.stamp = stamps.to_msg(self._node.ros_now_ns())
        message.episode_id, message.epoch, message.accepted = mode.episode_id, mode.epoch, accepted
        message.expected_mode = SupervisorEvent.MODE_ANY
        message.mode_before = message.mode_after = mode.mode
        self._events.publish(message)


def _facts(path: str, policy_id: str) -> str:
    return json.dumps({"bundle_path": path, "policy_id": policy_id})
