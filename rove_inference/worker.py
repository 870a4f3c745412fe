"""The thread that turns observations into chunks beside the execution of the last one."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from rove_core.chunks import Chunk
from rove_core.errors import PolicyError
from rove_inference.observation import Missing, Observation, ObservationBuffer
from rove_inference.policy import Policy, Prediction
from rove_inference.scheduler import ReplanScheduler, RunningQuantile

# Without a new picture the worker looks this often: bounds how late it notices that a camera stopped.
IDLE_POLL_S = 0.05

# Enough values for a 99 % quantile that means something (five minutes of chunks at 2 Hz).
STATISTICS_WINDOW = 600


@dataclass(frozen=True, slots=True)
class Authority:
    """Who may move the robot, as far as the policy is concerned.

    Attributes:
        active: whether the policy may.
        epoch: of the mode; a chunk of another epoch is worthless.
        episode_id: the open attempt.
        since_ns: when this mode began, ROS clock [ns]; older observations are not used.
    """

    active: bool = False
    epoch: int = 0
    episode_id: str = ""
    since_ns: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A chunk and how it came about. Stamps are on the ROS clock."""

    chunk: Chunk
    prediction: Prediction
    policy: Policy
    episode_id: str
    request_ns: int
    ready_ns: int


class PolicyWorker:
    """Plans again whenever the scheduler says so, from the newest observation.

    An answer whose epoch is over when it is ready is dropped and counted. An answer that must not reach the
    robot is refused and counted, and the next observation is tried. Without a usable observation nothing is
    inferred: the filter keeps to the current chunk and then holds.

    Attributes:
        counts: `chunks`, `dropped_epoch`, `refused`, `clipped`, `missing` (spells without an observation).
        trouble: why no chunk is being made although the policy may move the robot, "" when all is well.
        model_ms, overhead_ms: time in the model, and all other time from request to publication.
    """

    def __init__(
        self,
        policy: Policy,
        observations: ObservationBuffer,
        now_ns: Callable[[], int],
        publish: Callable[[Answer], None],
        warn: Callable[[str], None],
        margin_s: float,
    ) -> None:
        """Args:
        now_ns: the ROS clock: a chunk's times are its observation's, which are capture stamps.
        publish: called in the worker's thread with every chunk.
        warn: told once when trouble begins.
        margin_s: see ReplanScheduler.
        """
        self._policy = policy
        self._observations = observations
        self._now_ns = now_ns
        self._publish = publish
        self._warn = warn
        self._margin_s = margin_s
        self._scheduler = self._new_scheduler(policy)
        self._authority = Authority()
        self._changed = threading.Condition()
        self._arrived = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._chunk_id = 0
        self._used_ns = 0
        self.counts: Counter[str] = Counter()
        self.trouble = ""
        self.model_ms = RunningQuantile(window=STATISTICS_WINDOW)
        self.overhead_ms = RunningQuantile(window=STATISTICS_WINDOW)

    @property
    def policy(self) -> Policy:
        """The policy in use."""
        return self._policy

    @property
    def authority(self) -> Authority:
        """Who may move the robot."""
        return self._authority

    @property
    def stalls(self) -> int:
        """How often the robot ran out of steps before the next chunk came."""
        return self._scheduler.stalls

    def start(self) -> None:
        """Start the thread."""
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="policy", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; waits for an inference that is under way."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def observation_arrived(self) -> None:
        """The buffer holds something new."""
        with self._changed:
            self._arrived = True
            self._changed.notify()

    def set_authority(self, authority: Authority) -> None:
        """Take a mode message; a new epoch starts planning anew."""
        with self._changed:
            if authority == self._authority:
                return
            if authority.epoch != self._authority.epoch:
                self._scheduler.restart()
                self.trouble = ""
            self._authority = authority
            self._changed.notify()

    def swap(self, policy: Policy) -> bool:
        """Use another policy from now on. False, and nothing changed, while this one moves the robot."""
        with self._changed:
            if self._authority.active:
                return False
            self._policy = policy
            self._scheduler = self._new_scheduler(policy)
            return True

    def _new_scheduler(self, policy: Policy) -> ReplanScheduler:
        spec = policy.bundle.spec
        return ReplanScheduler(spec.dt_s, spec.execute, spec.horizon, self._margin_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._arrived, timeout=IDLE_POLL_S)
                if self._closing:
                    return
                self._arrived = False
                authority, policy, scheduler = self._authority, self._policy, self._scheduler
            if authority.active and scheduler.due(self._now_ns()):
                self._plan(authority, policy, scheduler)

    def _plan(self, authority: Authority, policy: Policy, scheduler: ReplanScheduler) -> None:
        """One observation, one inference, at most one chunk."""
        started = time.perf_counter_ns()
        request_ns = self._now_ns()
        observation = self._observations.newest(request_ns)
        if isinstance(observation, Missing):
            self.counts["missing"] += not self.trouble
            self._tell(f"no chunk: {observation.reason}")
            return
        if observation.oldest_ns < authority.since_ns or observation.stamp_ns <= self._used_ns:
            return  # taken before the policy got the robot, or answered already: wait for the next one
        try:
            answer = self._answer(observation, request_ns, authority, policy)
        except PolicyError as error:
            self.counts["refused"] += 1
            self._tell(f"chunk refused: {error}")
            return
        finally:
            self._used_ns = observation.stamp_ns
        with self._changed:
            # The epoch is checked and the chunk published under one lock: it cannot move in between.
            if self._authority.epoch != authority.epoch or not self._authority.active:
                self.counts["dropped_epoch"] += 1
                return
            self._publish(answer)
            scheduler.published(observation.stamp_ns, request_ns, answer.ready_ns)
            self.trouble = ""
        self.counts["chunks"] += 1
        self.counts["clipped"] += bool(answer.prediction.clipped)
        model_ms = answer.prediction.inference_ms
        self.model_ms.add(model_ms)
        self.overhead_ms.add((time.perf_counter_ns() - started) * 1e-6 - model_ms)

    def _answer(self, observation: Observation, request_ns: int, authority: Authority, policy: Policy) -> Answer:
        prediction = policy.predict(observation)
        self._chunk_id += 1
        spec = policy.bundle.spec
        chunk = Chunk(
            self._chunk_id, authority.epoch, observation.stamp_ns, prediction.positions, spec.dt_s, spec.execute
        )
        return Answer(chunk, prediction, policy, authority.episode_id, request_ns, self._now_ns())

    def _tell(self, trouble: str) -> None:
        """Remember why there is no chunk, and warn when that begins."""
        if not self.trouble:
            self._warn(trouble)
        self.trouble = trouble
