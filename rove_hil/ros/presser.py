"""Presses as requests to supervisor_node, each with the mode and the attempt that the presser saw."""

from __future__ import annotations

from pydantic import Field
from rove_msgs.msg import ControlMode, SupervisorEvent
from rove_msgs.srv import StartEpisode

from rove_core.clocks import NS_PER_S
from rove_core.config import ConfigModel
from rove_core.modes import Event, Mode, Stage
from rove_core.ros import stamps, topics
from rove_core.ros.node import RoveNode
from rove_hil.inputs.button import Press, Seen
from rove_hil.supervision.progress import Progress
from rove_hil.supervision.session_plan import SessionPlan

# The supervisor's heartbeat comes twenty times a second: after this it is not there, whatever discovery knows [s].
SILENT_S = 1.0

# Facts on /rove/events that nobody pressed: a device came or went.
DEVICE_LOST_EVENT, DEVICE_BACK_EVENT = "device_lost", "device_back"
# Who reads the devices, and what its diagnostics say of one that is not there.
BUTTONS_NODE, LOST = "buttons_node", "lost"


class AttemptParameters(ConfigModel):
    """What a press of `start` starts."""

    task: str = Field("whiteboard", description="task of a new attempt")
    instruction: str = Field("", description="what the policy is told")
    start_stage: int = Field(0, ge=0, description="progress stage that the scene was set to")
    start_stages: str = Field("", description="attempts per start stage, as in 0:5,2:3, instead of start_stage")
    demonstration: bool = Field(False, description="the operator does the whole task")
    episodes: int = Field(0, ge=0, description="attempts, then the node ends; 0: until somebody quits")
    operator_name: str = Field("", description="written into the episodes")
    supervisor_name: str = Field("", description="written into the episodes")
    mapping: str = Field("", description="mapping file; empty for the shipped one")

    def plan(self) -> SessionPlan:
        """What the session wants. Raises ConfigError."""
        return SessionPlan.of(self.start_stages, self.start_stage, self.episodes)


class Presser:
    """Sends presses. Tell it of every mode: what was seen last is what a press is meant for.

    Attributes:
        progress: what the attempts so far have come to; says which stage the next one starts from.
    """

    def __init__(self, node: RoveNode, given: AttemptParameters) -> None:
        self._given = given
        self._requests = node.create_publisher(SupervisorEvent, topics.EVENT_REQUEST, topics.QOS_EVENTS)
        self._start = node.create_client(StartEpisode, topics.START_EPISODE)
        self._clock = node.clock
        self._seen = Seen()
        self._heard_ns: int | None = None
        self.progress = Progress(given.plan())

    def saw(self, mode: ControlMode, now_s: float) -> str:
        """The supervisor published its mode. The line of an attempt that ended with it, else ""."""
        word = Mode.from_number(mode.mode)
        self._heard_ns = self._clock.now_ns()
        self._seen = Seen(word, mode.episode_id)
        return self.progress.update(now_s, word, Stage(mode.stage), mode.episode_id, mode.event, mode.start_stage)

    @property
    def seen(self) -> Seen:
        """The mode and attempt that somebody who presses now has seen."""
        return self._seen

    @property
    def problem(self) -> str:
        """Why presses lead to nothing now, "" when they do."""
        if self._heard_ns is None:
            return "supervisor_node is not there"
        silent_s = (self._clock.now_ns() - self._heard_ns) / NS_PER_S
        if silent_s > SILENT_S:
            return f"supervisor_node has been silent for {silent_s:.0f} s"
        # Who is heard does not yet hear: DDS connects the two ways one after the other.
        return "" if self._requests.get_subscription_count() else "supervisor_node does not hear yet, press again"

    def send(self, press: Press) -> str:
        """Send one press without waiting for the answer, which comes on /rove/events. Why there will be none, or ""."""
        problem = self.problem
        if press.event is not Event.START:
            # Also into silence: an emergency stop may still be heard.
            self._requests.publish(_request(press))
        elif self._start.service_is_ready() and not problem:
            self._open(press)
        else:
            problem = problem or f"{topics.START_EPISODE} is not there"
        return f"{press.event}: {problem}" if problem else ""

    def _open(self, press: Press) -> None:
        given = self._given
        request = StartEpisode.Request(
            task=given.task,
            instruction=given.instruction,
            start_stage=self.progress.next_stage,
            operator_name=given.operator_name,
            supervisor_name=given.supervisor_name,
            demonstration=given.demonstration,
            device=press.device,
        )
        self._start.call_async(request)


def _request(press: Press) -> SupervisorEvent:
    request = SupervisorEvent(event=str(press.event), device=press.device, expected_mode=SupervisorEvent.MODE_ANY)
    request.stamp = stamps.to_msg(press.stamp_ns)
    # An emergency stop is meant whatever the mode has become.
    if press.seen.mode is not None and press.event is not Event.ESTOP:
        request.expected_mode = press.seen.mode.number
        request.episode_id = press.seen.episode_id
    return request
