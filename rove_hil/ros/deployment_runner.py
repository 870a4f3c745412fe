"""Carries out a deployment: start in order, watch, say what happens, end everything."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from rove_core.errors import RoveError
from rove_core.modes import Mode, Stage
from rove_hil.ros.session_monitor import SessionMonitor
from rove_hil.session.deployment import Deployment, NodeSpec, Phase, Restart
from rove_hil.session.processes import Command, Ended, Processes, tail
from rove_hil.session.settings import Settings
from rove_hil.session.shared_memory import remove_orphans
from rove_hil.supervision.progress import Progress

# Imports, models and first inference on a busy small machine [s].
READY_S = 60.0
# The recorder writes out its last second and renames [s].
CLOSE_S = 10.0
POLL_S = 0.1
# The simulator answers within a step; a busy machine takes longer [s].
RESET_S = 5.0
# A segment of shared memory that is being made is not locked yet: younger ones are left alone [s].
MIN_AGE_S = 1.0
# The end of the last attempt may be on its way when the node that ended it is gone [s].
LAST_WORD_S = 0.5
EXIT_INTERRUPTED = 130


class DeploymentError(RoveError, RuntimeError):
    """A session that could not start or go on. The hint is the tail of the log that says why."""


class DeploymentRunner:
    """Runs one session.

    Args:
        say: prints a line.
        show: replaces the progress line; None where there is no terminal to do that on.
    """

    def __init__(
        self,
        deployment: Deployment,
        settings: Settings,
        say: Callable[[str], None],
        show: Callable[[str], None] | None,
    ) -> None:
        self._deployment = deployment
        self._settings = settings
        self._log_dir = settings.out_dir / "logs"
        self._specs = {node.name: node for node in deployment.nodes}
        self._say, self._show = say, show
        self._progress = Progress(settings.plan)
        # Scripted people set their scene; for others it is done here, where the robot is a simulation.
        self._sets_scene = settings.simulated and settings.supervisor != "scripted"
        # A keyboard shows on the same screen what became of attempts and devices.
        self._console = any(node.terminal for node in deployment.nodes)
        self._ready: set[str] = set()
        self._signals = 0
        self._over = False

    def run(self) -> int:
        """Returns 0 after the planned attempts, 130 after Ctrl-C.

        Raises:
            DeploymentError: a node did not become ready, or died for good.
        """
        began_s = time.time()
        restore = {
            number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            with Processes(self._log_dir) as processes, SessionMonitor() as monitor:
                try:
                    for phase in Phase:
                        self._start(phase, processes, monitor)
                        if phase is Phase.STACK and self._progress.next_stage:
                            self._set_scene(monitor)
                    while not self._ending:
                        self._watch(processes, monitor)
                finally:
                    self._end_attempt(processes, monitor)
        finally:
            for number, handler in restore.items():
                signal.signal(number, handler)
            remove_orphans(began_s, time.time() - MIN_AGE_S)
        return EXIT_INTERRUPTED if self._signals else 0

    @property
    def _ending(self) -> bool:
        return self._over or self._signals > 0

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _start(self, phase: Phase, processes: Processes, monitor: SessionMonitor) -> None:
        """Start the nodes of a phase and wait until they are active."""
        if self._ending:
            return
        names = [spec.name for spec in self._deployment.phase(phase)]
        for name in names:
            processes.start(self._command(self._specs[name]))
        readiness = monitor.readiness(names)
        deadline = time.monotonic() + READY_S
        try:
            while not (self._ending or readiness.poll()):
                self._watch(processes, monitor)
                if time.monotonic() > deadline:
                    name = readiness.waiting[0]
                    raise DeploymentError(f"{name} is not ready after {READY_S:.0f} s", _tail(processes.log(name)))
        finally:
            readiness.close()
        self._ready.update(names)

    def _watch(self, processes: Processes, monitor: SessionMonitor) -> None:
        """A moment of the session."""
        monitor.spin(POLL_S)
        self._follow(monitor)
        # What fails before it was ever ready would fail again.
        for ended in processes.poll(restart=self._ready):
            self._on_ended(ended, monitor)
        if self._show is not None:
            self._show(self._progress.line(time.monotonic()))

    def _follow(self, monitor: SessionMonitor) -> None:
        """Bring the progress up to date."""
        now_s = time.monotonic()
        for said in monitor.take_modes():
            mode, stage = Mode.from_number(said.mode), Stage(said.stage)
            line = self._progress.update(now_s, mode, stage, said.episode_id, said.event, said.start_stage)
            if line:
                if self._ending or not self._console:
                    self._say(line)
                if not (self._ending or said.episode_id or self._progress.complete):
                    self._set_scene(monitor)
        for line in monitor.take_warnings():
            if not self._console:
                self._say(line)

    def _set_scene(self, monitor: SessionMonitor) -> None:
        """Put the simulated scene at the start of the next attempt."""
        if not self._sets_scene:
            return
        settings, stage = self._settings, self._progress.next_stage
        seed = settings.seed + len(self._progress.finished)
        problem = monitor.reset_scene(settings.task, seed, stage, RESET_S)
        self._say(f"the scene could not be set: {problem}" if problem else f"scene set to stage {stage}")

    def _on_ended(self, ended: Ended, monitor: SessionMonitor) -> None:
        spec = self._specs[ended.name]
        if ended.restarted:
            self._say(f"{ended.name}: {ended.how}; started again (log: {ended.log})")
            remove_orphans(0.0, time.time() - MIN_AGE_S)
        elif spec.ends_session and ended.code == 0:
            self._over = True
            monitor.spin(LAST_WORD_S)
            self._follow(monitor)
            finished, planned = len(self._progress.finished), self._progress.plan.attempts
            if finished < planned and not spec.terminal:  # a person may quit early
                raise DeploymentError(f"{ended.name} ended after {finished} of {planned} attempts", _tail(ended.log))
        elif spec.required:
            why = _fatal(ended.log)
            raise DeploymentError(f"{ended.name}: {why or ended.how}", f"see {ended.log}" if why else _tail(ended.log))
        else:
            self._say(f"{ended.name} ended: {ended.how} (log: {ended.log})")

    def _end_attempt(self, processes: Processes, monitor: SessionMonitor) -> None:
        """Nothing that records is ended while an attempt is open: the record would not know why."""
        # Who starts attempts goes first, or there would be another one.
        processes.stop([spec.name for spec in self._deployment.nodes if spec.ends_session])
        reason = "interrupted" if self._signals else "the session ended"
        signals = self._signals
        if not monitor.abort(reason, CLOSE_S, lambda: self._signals > signals):
            self._say("the open attempt was not closed; `rove episodes recover` makes it readable")
        self._follow(monitor)

    def _command(self, spec: NodeSpec) -> Command:
        argv = [sys.executable, "-m", spec.module, "--ros-args", "--log-level", "info"]
        for old, new in spec.remappings.items():
            argv += ["-r", f"{old}:={new}"]
        parameters = self._log_dir / f"{spec.name}.parameters.yaml"
        parameters.write_text(_parameter_file(spec.name, spec.ros_parameters()), encoding="utf-8")
        argv += ["--params-file", str(parameters)]
        env = {**self._deployment.env, "ROS_LOG_DIR": str(self._log_dir / "ros"), **spec.env}
        restarts = spec.max_restarts if spec.restart is Restart.ON_FAILURE else 0
        return Command(spec.name, argv, env, restarts, spec.terminal)


def _parameter_file(name: str, parameters: Mapping[str, Any]) -> str:
    return yaml.safe_dump({name: {"ros__parameters": dict(parameters)}})


def _tail(log: Path) -> str:
    return f"the end of {log}:\n{tail(log)}"


def _fatal(log: Path) -> str:
    """Why a node ended, in its own words: its last fatal line, "" when there is none."""
    lines = [line for line in tail(log, lines=200).splitlines() if line.startswith("[FATAL]")]
    return lines[-1].partition("]: ")[2] if lines else ""
