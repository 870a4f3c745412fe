"""A terminal keyboard for the supervisor: keys become presses, answers become lines."""

from __future__ import annotations

import sys
import threading

from pydantic import Field
from rove_msgs.msg import ControlMode, SupervisorEvent
from rove_msgs.srv import StartEpisode

from rove_core.config import ConfigModel
from rove_core.errors import RoveError
from rove_core.modes import Event, Mode, Stage
from rove_core.ros import stamps, topics
from rove_core.ros.node import OK, RoveNode
from rove_core.ros.node import main as run
from rove_hil.inputs.keyboard import BINDINGS, QUIT, START, Binding, Keyboard, help_lines
from rove_hil.progress import Progress

# How often the line with the mode is drawn, and the end of the node is noticed [s].
REFRESH_S = 0.2


class KeyboardParameters(ConfigModel):
    """Parameters of keyboard_node: what the key for a new attempt starts."""

    task: str = Field("whiteboard", description="task of a new attempt")
    instruction: str = Field("", description="what the policy is told")
    start_stage: int = Field(0, ge=0, description="progress stage that the scene was set to")
    demonstration: bool = Field(False, description="the operator does the whole task")
    episodes: int = Field(0, ge=0, description="attempts, then the node ends; 0: until somebody quits")
    operator_name: str = Field("", description="written into the episodes")
    supervisor_name: str = Field("", description="written into the episodes")


class KeyboardNode(RoveNode):
    """Reads keys in a thread of its own; everything else happens in callbacks."""

    NAME = "keyboard_node"

    def configure(self) -> None:
        self._given = self.parameters(KeyboardParameters)
        self._mode: ControlMode | None = None
        self._progress = Progress(self._given.episodes)
        self._keyboard = Keyboard(sys.stdin.fileno())
        self._requests = self.create_publisher(SupervisorEvent, topics.EVENT_REQUEST, topics.QOS_EVENTS)
        self._start = self.create_client(StartEpisode, topics.START_EPISODE)
        self.create_subscription(ControlMode, topics.MODE, self._on_mode, topics.QOS_MODE)
        self.create_subscription(SupervisorEvent, topics.EVENTS, self._on_event, topics.QOS_EVENTS)
        self.diagnose_with(lambda: (OK, "reading keys", {}))

    def activate(self) -> None:
        self._keyboard.__enter__()
        self._device = self._keyboard.name
        for line in help_lines():
            self._say(line)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read, name="keys")
        self._thread.start()

    def deactivate(self) -> None:
        self._ending.set()
        self._thread.join()
        self._keyboard.__exit__()
        self._show("\n")

    # Keys

    def _read(self) -> None:
        try:
            while not self._ending.is_set():
                key = self._keyboard.read_key(REFRESH_S)
                if key == QUIT:
                    break
                if key is not None:
                    self._pressed(key)
                self._draw()
        except RoveError as error:
            self._say(str(error))
        self.stop()

    def _pressed(self, key: str) -> None:
        binding = BINDINGS.get(key)
        if key == START:
            self._open()
        elif binding is None or binding.event is None:
            self._say(f"no such key: {key!r}")
        elif not self._requests.get_subscription_count():
            self._say("nobody listens: supervisor_node is not there")
        else:
            self._requests.publish(self._request(binding))

    def _request(self, binding: Binding) -> SupervisorEvent:
        event = SupervisorEvent(event=str(binding.event), device=self._device, expected_mode=SupervisorEvent.MODE_ANY)
        event.stamp = stamps.to_msg(self.ros_now_ns())
        if self._mode is not None and binding.event is not Event.ESTOP:
            event.expected_mode = self._mode.mode
            event.episode_id = self._mode.episode_id
        return event

    def _open(self) -> None:
        if not self._start.service_is_ready():
            self._say("nobody listens: supervisor_node is not there")
            return
        given = self._given
        request = StartEpisode.Request(
            task=given.task,
            instruction=given.instruction,
            start_stage=given.start_stage,
            operator_name=given.operator_name,
            supervisor_name=given.supervisor_name,
            demonstration=given.demonstration,
            device=self._device,
        )
        # The answer comes on /rove/events too, which is where lines are made from.
        self._start.call_async(request)

    # Screen

    def _on_mode(self, mode: ControlMode) -> None:
        self._mode = mode
        line = self._progress.update(
            self.clock.now_ns() / 1e9, Mode.from_number(mode.mode), Stage(mode.stage), mode.episode_id, mode.event
        )
        if line:
            self._say(line)
        if self._given.episodes and len(self._progress.finished) >= self._given.episodes:
            self.stop()

    def _on_event(self, event: SupervisorEvent) -> None:
        before, after = Mode.from_number(event.mode_before), Mode.from_number(event.mode_after)
        if not event.accepted:
            self._say(f"refused: {event.reason}")
        elif before is not after:
            self._say(
                f"{before} -> {after}: {event.reason}" + (f" ({event.device})" if event.device != self._device else "")
            )
        else:
            self._say(event.event)

    def _draw(self) -> None:
        if self._mode is None:
            self._show("waiting for supervisor_node")
            return
        hints = ""
        if self._mode.mode == ControlMode.MODE_ALIGNING:
            ready = "operator ready" if self._mode.operator_ready else "operator not ready"
            hints = f"  [{'aligned' if self._mode.gate_met else 'not aligned'}, {ready}]"
        self._show(self._progress.line(self.clock.now_ns() / 1e9) + hints)

    def _say(self, line: str) -> None:
        self._show(line + "\n")

    @staticmethod
    def _show(text: str) -> None:
        sys.stdout.write(f"\r\x1b[K{text}")
        sys.stdout.flush()


def main() -> None:
    """Run the node."""
    run(KeyboardNode)


if __name__ == "__main__":
    main()
