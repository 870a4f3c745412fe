"""A terminal keyboard for the supervisor: keys become presses, answers become lines."""

from __future__ import annotations

import shutil
import sys
import threading

from diagnostic_msgs.msg import DiagnosticArray
from rove_msgs.msg import ControlMode, SupervisorEvent

from rove_core.clocks import NS_PER_S
from rove_core.errors import RoveError
from rove_core.modes import Mode
from rove_core.ros import topics
from rove_core.ros.node import ERROR, OK, RoveNode
from rove_core.ros.node import main as run
from rove_hil.inputs.button import Moment, Press
from rove_hil.inputs.cues import DEVICE_LOST, REFUSED, Speaker
from rove_hil.inputs.keyboard import Keyboard, help_lines
from rove_hil.inputs.keys import Keys
from rove_hil.inputs.mapping import load_mapping
from rove_hil.ros.presser import DEVICE_BACK_EVENT, DEVICE_LOST_EVENT, AttemptParameters, Presser

# How often the line with the mode is drawn, and the end of the node is noticed [s].
REFRESH_S = 0.2

BELL = "\a"


class KeyboardParameters(AttemptParameters):
    """Parameters of keyboard_node."""


class KeyboardNode(RoveNode):
    """Reads keys in a thread of its own; everything else happens in callbacks."""

    NAME = "keyboard_node"

    def configure(self) -> None:
        self._given = self.parameters(KeyboardParameters)
        self._mapping = load_mapping(self._given.mapping)
        self._mode: ControlMode | None = None
        self._keyboard = Keyboard(sys.stdin.fileno())
        self._presser = Presser(self, self._given)
        self._speaker = Speaker(self._mapping.cues, self._say)
        self._lost = ""
        self._question = ""
        self.create_subscription(ControlMode, topics.MODE, self._on_mode, topics.QOS_MODE)
        self.create_subscription(SupervisorEvent, topics.EVENTS, self._on_event, topics.QOS_EVENTS)
        self.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_diagnostics, topics.QOS_DIAGNOSTICS)
        self.diagnose_with(lambda: (OK, "reading keys", {}))

    def activate(self) -> None:
        self._keyboard.__enter__()
        self._device = self._keyboard.name
        mapping = self._mapping
        self._keys = Keys(self._device, mapping.keyboard, mapping.confirm.keys(), self._say)
        for line in help_lines(mapping.keyboard, mapping.confirm.keys()):
            self._say(line)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read, name="keys")
        self._thread.start()

    def deactivate(self) -> None:
        self._ending.set()
        self._thread.join()
        self._speaker.close()
        self._keyboard.__exit__()
        self._show("\n")

    # Keys

    def _read(self) -> None:
        try:
            while not self._ending.is_set():
                key = self._keyboard.read_key(self._wait_s())
                if key == self._mapping.keyboard.quit:
                    break
                if key is not None:
                    self._send(self._keys.press(key, self._moment()))
                self._send(self._keys.poll(self._moment()))
                self._draw()
        except RoveError as error:
            self._say(str(error))
        self.stop()

    def _wait_s(self) -> float:
        due_ns = self._keys.due_ns
        return REFRESH_S if due_ns is None else min(max((due_ns - self.clock.now_ns()) / NS_PER_S, 0.0), REFRESH_S)

    def _moment(self) -> Moment:
        return Moment(self.clock.now_ns(), self.ros_now_ns(), self._presser.seen)

    def _send(self, press: Press | None) -> None:
        if press is not None and (problem := self._presser.send(press)):
            self._say(problem)

    # Screen

    def _on_mode(self, mode: ControlMode) -> None:
        self._mode = mode
        line = self._presser.saw(mode, self.clock.now_ns() / NS_PER_S)
        self._speaker.mode(Mode.from_number(mode.mode))
        if line:
            self._say(line)
        if mode.question and mode.question != self._question:
            self._ring()
            self._say(f"? {mode.question}")
        self._question = mode.question
        if self._given.episodes and self._presser.progress.complete:
            self.stop()

    def _on_event(self, event: SupervisorEvent) -> None:
        before, after = Mode.from_number(event.mode_before), Mode.from_number(event.mode_after)
        by = f" ({event.device})" if event.device != self._device else ""
        if not event.accepted:
            self._ring()
            self._speaker.say(REFUSED)
            self._say(f"refused: {event.reason}{by}")
        elif event.event in (DEVICE_LOST_EVENT, DEVICE_BACK_EVENT):
            self._ring()
            if event.event == DEVICE_LOST_EVENT:
                self._speaker.say(DEVICE_LOST)
            self._say(event.reason)
        elif before is not after:
            self._say(f"{before} -> {after}: {event.reason}{by}")
        else:
            self._say(f"{event.event}{by}")

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name == "buttons_node":
                self._lost = status.message if status.level == ERROR else ""

    def _draw(self) -> None:
        if self._mode is None:
            self._show("waiting for supervisor_node")
            return
        problems = [problem for problem in (self._presser.problem, self._lost) if problem]
        hints = f"  !! {'; '.join(problems)}" if problems else ""
        if self._mode.mode == ControlMode.MODE_ALIGNING:
            ready = "operator ready" if self._mode.operator_ready else "operator not ready"
            hints += f"  [{'aligned' if self._mode.gate_met else 'not aligned'}, {ready}]"
        if self._question:
            hints += f"  ? {self._question}"
        line = self._presser.progress.line(self.clock.now_ns() / NS_PER_S) + hints
        # Only one row of the screen is erased for the next.
        self._show(line[: shutil.get_terminal_size().columns - 1])

    def _ring(self) -> None:
        if self._mapping.cues.bell:
            sys.stdout.write(BELL)

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
