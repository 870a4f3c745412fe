"""What is asked of the policy, and what becomes of its answers. Pure: no thread, no clock, times are arguments."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from rove_core.chunks import Chunk
from rove_core.errors import ConfigError, PolicyError, nearest
from rove_inference.bundle import JoinName, PolicySpec
from rove_inference.joining import Joiner
from rove_inference.observation import Missing, Observation
from rove_inference.policy import Policy
from rove_inference.query import Prediction, Query, fill
from rove_inference.scheduler import ReplanScheduler

# An answer that takes this many times longer than expected, and at least so long [s], is not just slow.
OVERDUE_FACTOR = 3.0
OVERDUE_S = 1.0


@dataclass(frozen=True, slots=True)
class Authority:
    """Who may move the robot, as far as the policy is concerned.

    Attributes:
        active: whether the policy may.
        epoch: of the mode; a chunk of another epoch is worthless.
        episode_id: the open attempt. instruction: what the policy is told in it.
        since_ns: when this mode began, ROS clock [ns]; older observations are not used.
        alone: nobody else drives. What an operator adds to a chunk counts from that chunk's observation on, so a chunk
            that repeats the one before would take back what he did since.
    """

    active: bool = False
    epoch: int = 0
    episode_id: str = ""
    since_ns: int = 0
    instruction: str = ""
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Choices:
    """What a deployment may set beside the bundle; None: as the bundle says.

    Attributes:
        join: how a new chunk joins the one in force.
        condition: template of the condition text. cfg_beta: classifier-free guidance weight.
        seed: of the decoder's noise in the first chunk; each further one has the next.
        margin_s: how much earlier than computed to ask [s]; at least the time to the next picture.
    """

    join: JoinName | None = None
    condition: str | None = None
    cfg_beta: float | None = None
    seed: int = 0
    margin_s: float = 0.034

    def check(self, spec: PolicySpec) -> None:
        """Refuse what the bundle cannot do.

        Raises:
            ConfigError: an unknown condition, or guidance without a negative condition.
        """
        if self.condition is not None and spec.conditions and self.condition not in spec.conditions:
            raise ConfigError(
                f"condition '{self.condition}': policy '{spec.name}' does not know it",
                nearest(self.condition, spec.conditions),
            )
        if self.cfg_beta not in (None, 1.0) and spec.guidance is None:
            raise ConfigError(
                f"cfg_beta {self.cfg_beta:g}: policy '{spec.name}' has no negative condition",
                "leave it at the bundle's, or name one in section 'guidance' of policy.yaml",
            )


NOTHING_CHOSEN = Choices()


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the policy. `request_ns` on the ROS clock."""

    observation: Observation
    query: Query
    authority: Authority
    policy: Policy
    request_ns: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A chunk and how it came about. Stamps are on the ROS clock.

    Attributes:
        chunk: as it goes to the robot, joined to the one before. prediction: as the policy gave it.
        join, frozen, skipped: see ActionChunk.msg.
    """

    chunk: Chunk
    prediction: Prediction
    request: Request
    ready_ns: int
    join: JoinName
    frozen: int
    skipped: int


class Planner:
    """Asks when it is time, joins the answers, and throws away those that came too late to matter.

    An answer whose epoch is over when it is ready is dropped and counted. An answer that must not reach the
    robot is refused and counted, and the next observation is tried. Without a usable observation nothing is
    asked: the filter keeps to the current chunk and then holds. Whoever calls from several threads locks.

    Attributes:
        counts: `chunks`, `dropped_epoch`, `refused`, `missing` (spells without an observation), `skipped` (steps
            that had passed), `clipped` (values that were cut to the joint limits).
        trouble: why no chunk is being made although the policy may move the robot, "" when all is well.
        scheduler: when the next request is due, and the figures that this follows from.
    """

    def __init__(self, policy: Policy, choices: Choices = NOTHING_CHOSEN) -> None:
        self._choices = choices
        self._chunk_id = 0
        self._used_ns = -1
        self._stalls_before = 0
        self._pending: Request | None = None
        self.authority = Authority()
        self.counts: Counter[str] = Counter()
        self.trouble = ""
        self._use(policy)

    def _use(self, policy: Policy) -> None:
        spec = policy.bundle.spec
        self.policy = policy
        self.scheduler = ReplanScheduler(
            spec.dt_s, spec.execute, spec.horizon, self._choices.margin_s, policy.warm_up_ms * 1e-3
        )
        self._joiner = self._new_joiner()

    def _new_joiner(self) -> Joiner:
        spec = self.policy.bundle.spec
        method = self._choices.join or spec.join
        return Joiner(method if self.authority.alone else "replace", spec.execute)

    @property
    def stalls(self) -> int:
        """How often the robot ran out of steps before the next chunk came."""
        return self._stalls_before + self.scheduler.stalls

    def set_authority(self, authority: Authority) -> None:
        """Take a mode; a new epoch starts planning anew."""
        begins = authority.epoch != self.authority.epoch
        self.authority = authority
        if begins:
            self.scheduler.restart()
            self._joiner = self._new_joiner()
            self._used_ns = -1  # `since_ns` says what is new; a simulation may have been reset to earlier times
            self.trouble = ""

    def swap(self, policy: Policy) -> bool:
        """Use another policy from now on. False, and nothing changed, while this one moves the robot."""
        if self.authority.active:
            return False
        self._stalls_before = self.stalls
        self._use(policy)
        return True

    # Asking

    def due(self, now_ns: int) -> bool:
        """Whether the policy should be asked now, if there is something new to see."""
        return self.authority.active and self._pending is None and self.scheduler.due(now_ns)

    def ask(self, observation: Observation | Missing, now_ns: int) -> Request | None:
        """The question to put to the policy, None when there is nothing new to ask about.

        Until `answered` or `refused` nothing else is asked.
        """
        if isinstance(observation, Missing):
            self.counts["missing"] += not self.trouble
            self.trouble = f"no chunk: {observation.reason}"
            return None
        if observation.oldest_ns < self.authority.since_ns or observation.stamp_ns <= self._used_ns:
            return None  # taken before the policy got the robot, or answered already: wait for the next one
        self._used_ns = observation.stamp_ns
        spec, frozen = self.policy.bundle.spec, self.scheduler.delay_steps
        prefix = self._joiner.prefix(observation.stamp_ns, spec.horizon, spec.dt_s, frozen)
        query = replace(self._query(), prefix=prefix)
        self._pending = Request(observation, query, self.authority, self.policy, now_ns)
        return self._pending

    def _query(self) -> Query:
        spec, chosen, instruction = self.policy.bundle.spec, self._choices, self.authority.instruction
        return Query(
            instruction=instruction,
            condition=fill(spec.condition if chosen.condition is None else chosen.condition, instruction),
            cfg_beta=spec.cfg_beta if chosen.cfg_beta is None else chosen.cfg_beta,
            seed=self._choices.seed + self._chunk_id,
            epoch=self.authority.epoch,
        )

    # Answers

    def refused(self, error: PolicyError) -> None:
        """The policy has no answer, or one that must not reach the robot."""
        self._pending = None
        self.counts["refused"] += 1
        self.trouble = f"chunk refused: {error}"

    def answered(self, request: Request, prediction: Prediction, ready_ns: int) -> Answer | None:
        """The chunk to publish now, None when the policy does not move the robot any more."""
        self._pending = None
        now = self.authority
        if now.epoch != request.authority.epoch or not now.active or self.policy is not request.policy:
            self.counts["dropped_epoch"] += 1
            return None
        answer = self._joined(request, prediction, ready_ns)
        self.scheduler.published(request.observation.stamp_ns, request.request_ns, ready_ns)
        self.counts["chunks"] += 1
        self.counts["skipped"] += answer.skipped
        self.counts["clipped"] += prediction.clipped
        self.trouble = _too_slow(answer) if answer.skipped >= answer.chunk.horizon else ""
        return answer

    def _joined(self, request: Request, prediction: Prediction, ready_ns: int) -> Answer:
        spec, observed_ns = request.policy.bundle.spec, request.observation.stamp_ns
        self._chunk_id += 1
        said = Chunk(
            self._chunk_id, request.authority.epoch, observed_ns, prediction.positions, spec.dt_s, spec.execute
        )
        joined = self._joiner.join(said, ready_ns, request.query.prefix, guided=prediction.guided)
        chunk = replace(said, positions=joined.positions)
        self._joiner.published(said, chunk)
        skipped = min(max(said.step_at(ready_ns), 0), said.horizon)
        return Answer(chunk, prediction, request, ready_ns, self._joiner.method, joined.frozen, skipped)

    # Diagnosis

    def diagnosis(self, now_ns: int) -> str:
        """Why no chunk is being made although the policy may move the robot, "" when all is well."""
        if not self.authority.active:
            return ""
        pending = self._pending  # the answer may come while this is read
        if pending is None:
            return self.trouble
        waited_s = (now_ns - pending.request_ns) * 1e-9
        expected_s = self.scheduler.latency_ms * 1e-3
        if waited_s > max(OVERDUE_S, OVERDUE_FACTOR * expected_s):
            return f"no answer from the policy for {waited_s:.1f} s, it takes {expected_s:.2f} s as a rule"
        return self.trouble


def _too_slow(answer: Answer) -> str:
    age_s = (answer.ready_ns - answer.chunk.observation_ns) * 1e-9
    covered_s = answer.chunk.horizon * answer.chunk.dt_s
    return f"policy too slow: its answer came {age_s:.2f} s after the observation and covers {covered_s:.2f} s"
