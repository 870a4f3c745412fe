"""The scripted supervisor as a node: runs a number of attempts with a pedal in hand, then ends.

It has what a person in the lab has: sets the scene, opens the attempt, watches the task, presses buttons.
"""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field
from rclpy.client import Client
from rclpy.serialization import deserialize_message
from rove_msgs.msg import ControlMode, SupervisorEvent
from rove_msgs.srv import ResetScene, StartEpisode
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from rove_core.clocks import NS_PER_S
from rove_core.config import ConfigModel
from rove_core.errors import RoveError
from rove_core.joint_space import JointSpace
from rove_core.modes import Event, Mode, Stage
from rove_core.ros import stamps, topics
from rove_core.ros.node import OK, RoveNode
from rove_core.ros.node import main as run
from rove_hil.supervision.session_plan import SessionPlan
from rove_sim.attempt_script import AttemptScript, Situation, SupervisorHabits
from rove_sim.ground_truth import GroundTruthLog
from rove_sim.judgement import Patience, Sighting
from rove_sim.operator_body import OperatorBody
from rove_sim.ros.joint_history import JointHistory
from rove_sim.scene import SceneState
from rove_sim.scene_sighting import sighting_of

DEVICE = "pedal:scripted"
PERIOD_NS = NS_PER_S // 20
# How long to wait for one answer, and for a stack that is not ready yet [s of wall time].
ANSWER_S = 5.0
READY_S = 60.0
RETRY_S = (0.2, 2.0)
JOIN_S = 2.0
# The robot stands still when no joint moves faster than this [rad/s].
STILL_RADPS = 0.05
# Commands and robot are in step when no joint is further apart than this [rad].
IN_STEP_RAD = 0.05


class SupervisorParameters(ConfigModel):
    """Parameters of the node."""

    robot: str = Field("iron_r01", description="robot, for the order of its joints")
    task: Literal["whiteboard", "toaster"] = Field("whiteboard", description="what is attempted")
    episodes: int = Field(3, ge=1, description="attempts, then the node ends")
    seed: int = Field(0, ge=0, description="attempt i uses scene seed `seed + i`")
    instruction: str = Field("", description="what the policy is told")
    operator: Literal["scripted", "none"] = Field("scripted", description="who can take over")
    demonstration: bool = Field(False, description="the operator does the whole task")
    start_stage: int = Field(0, ge=0, description="progress stage that the scene is set to")
    start_stages: str = Field("", description="attempts per start stage, as in 0:5,2:3; replaces stage and episodes")
    ground_truth: str = Field("", description="JSON lines file for what truly happened; empty for none")
    max_attempt_s: float = Field(90.0, gt=0, description="an attempt that takes longer has failed")
    stall_s: float = Field(8.0, gt=0, description="without progress before the supervisor pauses the policy")
    hand_back_probability: float = Field(0.0, ge=0, le=1, description="of giving the robot back after a recovery")
    operator_name: str = Field("scripted", description="written into the episodes")
    supervisor_name: str = Field("scripted", description="written into the episodes")


class SupervisionError(RoveError, RuntimeError):
    """The attempts cannot go on."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The newest scene and when it came, control time."""

    scene: SceneState
    at_ns: int


class ScriptedSupervisor(RoveNode):
    """Presses the buttons of `episodes` attempts, one after the other."""

    NAME = "scripted_supervisor"

    def configure(self) -> None:
        self._given = self.parameters(SupervisorParameters)
        self._space = JointSpace.load(self._given.robot)
        self._habits = SupervisorHabits(
            max_attempt_s=self._given.max_attempt_s,
            patience=Patience(stall_s=self._given.stall_s),
            hand_back_probability=self._given.hand_back_probability,
        )
        self._plan = SessionPlan.of(self._given.start_stages, self._given.start_stage, self._given.episodes)
        self._stages_done: Counter[int] = Counter()
        self._truth = GroundTruthLog(self._given.ground_truth)
        self._rng = np.random.default_rng(self._given.seed)
        self._mode = ControlMode()
        self._seen: _Seen | None = None
        self._joints = JointHistory(self._space)
        self._body = OperatorBody(self._space)
        self._command = b""
        self._still = False
        self._done = 0
        self._failure: RoveError | None = None
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._requests = self.create_publisher(SupervisorEvent, topics.EVENT_REQUEST, topics.QOS_EVENTS)
        self._reset = self.create_client(ResetScene, topics.RESET_SCENE)
        self._start = self.create_client(StartEpisode, topics.START_EPISODE)
        self.create_subscription(ControlMode, topics.MODE, self._on_mode, topics.QOS_MODE)
        self.create_subscription(String, topics.SCENE, self._on_scene, topics.QOS_SCENE)
        self.create_subscription(JointState, topics.JOINT_STATES, self._on_joints, topics.QOS_JOINT_STATES)
        # 200 Hz, looked at once per attempt: not worth unpacking every one.
        self.create_subscription(JointState, topics.JOINT_COMMANDS, self._on_command, topics.QOS_COMMAND, raw=True)
        self.create_subscription(SupervisorEvent, topics.EVENTS, self._on_event, topics.QOS_EVENTS)
        self.diagnose_with(lambda: (OK, f"{self._done} of {self._plan.attempts} attempts", {}))

    def activate(self) -> None:
        self._thread = threading.Thread(target=self._attempts, name="attempts", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to do."""
        return self._thread is not None and not self._thread.is_alive()

    def spin(self) -> None:
        super().spin()
        if self._failure is not None:
            self.trigger_deactivate()
            raise self._failure

    def deactivate(self) -> None:
        self._ending.set()
        if self._thread is not None:
            # Simulated time may have stopped for good; the daemon thread then ends with the process.
            self._thread.join(JOIN_S)
        self._truth.close()

    def _on_mode(self, message: ControlMode) -> None:
        self._mode = message

    def _on_scene(self, message: String) -> None:
        self._seen = _Seen(SceneState.model_validate_json(message.data), self.clock.now_ns())

    def _on_joints(self, message: JointState) -> None:
        self._joints.add(message)
        velocity = np.asarray(message.velocity)
        self._still = velocity.size > 0 and bool(np.abs(velocity).max() < STILL_RADPS)

    def _on_command(self, data: bytes) -> None:
        self._command = data

    def _on_event(self, message: SupervisorEvent) -> None:
        if message.device == DEVICE and not message.accepted:
            self.get_logger().info(f"{message.event} refused: {message.reason}")

    # Runs in the thread of attempts

    def _attempts(self) -> None:
        try:
            for number in range(self._plan.attempts):
                self._attempt(number)
                self._done = number + 1
                if self._ending.is_set():
                    return
        except RoveError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001 - the thread's outermost edge
            self.get_logger().error(traceback.format_exc())
            self._failure = SupervisionError(f"attempts ended by an error in this program: {error!r}")
        finally:
            self.stop()

    def _attempt(self, number: int) -> None:
        """One attempt, from an untouched scene to its outcome."""
        seed = self._given.seed + number
        stage = self._plan.next_stage(self._stages_done)
        self._set_scene(seed, stage)
        episode_id = self._open(number, seed, stage)
        rng = np.random.default_rng([self._given.seed, number])
        begin_ns = self.clock.now_ns()
        script = AttemptScript(
            self._habits, self._given.operator == "scripted", self._given.demonstration, rng, begin_ns
        )
        outcome = self._supervise(script, episode_id)
        self._stages_done[stage] += outcome != Event.ABORT
        took_s = (self.clock.now_ns() - begin_ns) / NS_PER_S
        why = f" ({script.reason})" if script.reason else ""
        self.get_logger().info(
            f"attempt {number + 1} of {self._plan.attempts}: {outcome or 'ended by somebody else'}"
            f"{why}, {took_s:.1f} s, {episode_id}"
        )
        scene_done = self._seen is not None and self._seen.scene.success
        self._truth.write(
            "outcome", episode_id, self.ros_now_ns(), seed=seed, task=self._given.task, called=outcome, done=scene_done
        )

    def _set_scene(self, seed: int, start_stage: int) -> None:
        """Put the scene at its start and wait until the robot stands there."""
        request = ResetScene.Request(task=self._given.task, seed=seed, start_stage=start_stage)
        self._ask(self._reset, request, topics.RESET_SCENE)
        reset_ns = self.clock.now_ns()

        def settled() -> bool:
            seen = self._seen
            return seen is not None and seen.at_ns > reset_ns and seen.scene.seed == seed and self._stands()

        self._wait(settled, READY_S, "the robot does not come to rest at the start of an attempt")

    def _stands(self) -> bool:
        """Whether the robot stands still where it is commanded to be: only then is the stack in step with it."""
        command, measured = self._command, self._joints.newest()
        if not command or measured is None or not self._still:
            return False
        message = deserialize_message(command, JointState)
        commanded = np.asarray(message.position)[self._space.order_of(message.name)]
        return bool(np.abs(commanded - measured).max() < IN_STEP_RAD)

    def _open(self, number: int, seed: int, start_stage: int) -> str:
        """Open an attempt; its id."""
        request = StartEpisode.Request(
            task=self._given.task,
            instruction=self._given.instruction,
            start_stage=start_stage,
            operator_name=self._given.operator_name if self._given.operator == "scripted" else "",
            supervisor_name=self._given.supervisor_name,
            demonstration=self._given.demonstration,
            device=DEVICE,
            metadata_json=json.dumps({"attempt": number, "seed": seed}),
        )
        episode_id = str(self._ask(self._start, request, topics.START_EPISODE).episode_id)
        self._wait(
            lambda: self._mode.episode_id == episode_id and self._mode.mode != ControlMode.MODE_IDLE,
            ANSWER_S,
            f"attempt {episode_id} was opened but does not begin",
        )
        return episode_id

    def _supervise(self, script: AttemptScript, episode_id: str) -> str:
        """Watch the attempt to its end; the event that ended it."""
        seen: _Seen | None = None
        next_ns = self.clock.now_ns()
        give_up_ns = next_ns + int((self._habits.max_attempt_s + READY_S) * NS_PER_S)
        while True:
            next_ns += PERIOD_NS
            self.clock.sleep_until_ns(next_ns)
            now_ns = self.clock.now_ns()
            mode = self._mode
            if mode.episode_id != episode_id or mode.mode == ControlMode.MODE_IDLE:
                return str(mode.event)
            if self._ending.is_set():
                self._press(Event.ABORT, mode)
                return ""
            if now_ns > give_up_ns:
                raise SupervisionError(f"attempt {episode_id} does not end: the robot stays in mode {mode.mode}")
            newest = self._seen
            sighting = self._sighting(newest.scene) if newest is not None and newest is not seen else None
            seen = newest
            event = script.step(now_ns, _situation(mode), sighting)
            if event is not None:
                self._press(event, mode)
                self._note(event, mode, script, now_ns)

    def _sighting(self, scene: SceneState) -> Sighting | None:
        robot = self._joints.at(scene.stamp_ns)
        return None if robot is None else sighting_of(scene, self._body.palm(robot).position)

    def _press(self, event: Event, mode: ControlMode) -> None:
        self._requests.publish(
            SupervisorEvent(
                stamp=stamps.to_msg(self.ros_now_ns()),
                event=event,
                device=DEVICE,
                episode_id=mode.episode_id,
                expected_mode=mode.mode,
            )
        )

    def _note(self, event: Event, mode: ControlMode, script: AttemptScript, now_ns: int) -> None:
        """Log what was pressed; with hindsight the policy failed when it last made progress."""
        why = f": {script.reason}" if script.reason else ""
        self.get_logger().info(f"{event}{why}")
        if mode.mode == ControlMode.MODE_ROLLOUT and event in (Event.PAUSE, Event.FAIL):
            failed_ns = self.ros_now_ns() - (now_ns - script.onlooker.last_progress_ns)
            self._truth.write("policy_failure", mode.episode_id, failed_ns, reason=script.reason)

    def _ask(self, client: Client, request: Any, name: str) -> Any:
        """Call a service until it accepts; its answer.

        Raises:
            SupervisionError: it was not there, did not answer or refused for READY_S.
        """
        give_up_s = time.monotonic() + READY_S
        pause_s, reason = RETRY_S[0], "nobody offers it"
        while time.monotonic() < give_up_s:
            if client.service_is_ready():
                answer = self._call(client, request)
                if answer is not None and answer.accepted:
                    return answer
                reason = answer.reason if answer is not None else "no answer"
            if self._ending.wait(pause_s):
                raise SupervisionError("stopped before the attempt began")
            pause_s = min(2 * pause_s, RETRY_S[1])
        raise SupervisionError(
            f"{name} not accepted for {READY_S:.0f} s: {reason}", "see the log of the node that refuses"
        )

    def _call(self, client: Client, request: Any) -> Any | None:
        answered = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(ANSWER_S):
            client.remove_pending_request(future)
            return None
        return future.result()

    def _wait(self, condition: Callable[[], bool], limit_s: float, failure: str) -> None:
        """Return when `condition` holds. Raises SupervisionError with `failure` after `limit_s` of wall time."""
        give_up_s = time.monotonic() + limit_s
        while not condition():
            if self._ending.wait(0.02):
                raise SupervisionError("stopped while waiting")
            if time.monotonic() > give_up_s:
                raise SupervisionError(failure)


def _situation(mode: ControlMode) -> Situation:
    return Situation(
        Mode.from_number(mode.mode), Stage(mode.stage), mode.operator_ready, mode.gate_met, bool(mode.question)
    )


def main() -> None:
    """Run the node."""
    run(ScriptedSupervisor)


if __name__ == "__main__":
    main()
