"""The thread that turns observations into chunks beside the execution of the last one."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from rove_core.errors import PolicyError
from rove_inference.observation import ObservationBuffer
from rove_inference.planner import NOTHING_CHOSEN, Answer, Authority, Choices, Planner, Request
from rove_inference.policy import Policy
from rove_inference.scheduler import RunningQuantile

# Without a new picture the worker looks this often: bounds how late it notices that a camera stopped.
IDLE_POLL_S = 0.05

# Enough values for a 99 % quantile that means something (five minutes of chunks at 2 Hz).
STATISTICS_WINDOW = 600


class PolicyWorker:
    """Runs a `Planner` in a thread of its own. Inference holds no lock: a mode is heard meanwhile.

    Attributes:
        model_ms, overhead_ms: time in the model, and all other time from request to publication.
    """

    def __init__(
        self,
        policy: Policy,
        observations: ObservationBuffer,
        now_ns: Callable[[], int],
        publish: Callable[[Answer], None],
        warn: Callable[[str], None],
        choices: Choices = NOTHING_CHOSEN,
    ) -> None:
        """Args:
        now_ns: the ROS clock: a chunk's times are its observation's, which are capture stamps.
        publish: called in the worker's thread with every chunk.
        warn: told once when trouble begins.
        """
        self._planner = Planner(policy, choices)
        self._observations = observations
        self._now_ns = now_ns
        self._publish = publish
        self._warn = warn
        self._changed = threading.Condition()
        self._arrived = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._retired: list[Policy] = []
        self.model_ms = RunningQuantile(window=STATISTICS_WINDOW)
        self.overhead_ms = RunningQuantile(window=STATISTICS_WINDOW)

    @property
    def policy(self) -> Policy:
        """The policy in use."""
        return self._planner.policy

    @property
    def authority(self) -> Authority:
        """Who may move the robot."""
        return self._planner.authority

    @property
    def counts(self) -> Counter[str]:
        """See Planner."""
        return self._planner.counts

    @property
    def trouble(self) -> str:
        """Why no chunk is being made although the policy may move the robot, "" when all is well."""
        return self._planner.diagnosis(self._now_ns())

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
            if authority != self._planner.authority:
                self._planner.set_authority(authority)
                self._changed.notify()

    def swap(self, policy: Policy) -> bool:
        """Use another policy from now on. False, and nothing changed, while this one moves the robot.

        The one before is closed in the worker's thread, which may still be asking it.
        """
        with self._changed:
            before = self._planner.policy
            if not self._planner.swap(policy):
                return False
            self._retired.append(before)
            self.model_ms = RunningQuantile(window=STATISTICS_WINDOW)  # of the new one from here on
            self.overhead_ms = RunningQuantile(window=STATISTICS_WINDOW)
            return True

    def values(self) -> dict[str, object]:
        """Figures for the diagnostics."""
        planner, scheduler = self._planner, self._planner.scheduler
        values: dict[str, object] = {
            "stalls": planner.stalls,
            "latency_estimate_ms": f"{scheduler.latency_ms:.1f}",
            "delay_estimate_steps": scheduler.delay_steps,
        }
        for name, times in (
            ("action_age", scheduler.age_ms),
            ("model", self.model_ms),
            ("overhead", self.overhead_ms),
        ):
            values[f"{name}_p50_ms"] = f"{times.at(0.5):.2f}"
            values[f"{name}_p99_ms"] = f"{times.at(0.99):.2f}"
        for name in ("chunks", "dropped_epoch", "refused", "skipped", "clipped", "missing"):
            values[name] = planner.counts[name]
        return values

    def _run(self) -> None:
        self.policy.placement.pin_thread()  # it evaluates the networks itself
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._arrived, timeout=IDLE_POLL_S)
                if self._closing:
                    return
                self._arrived = False
                started = time.perf_counter_ns()
                request = self._request()
                retired, self._retired = self._retired, []
            while retired:
                retired.pop().close()
            if request is not None:
                self._plan(request, started)

    def _request(self) -> Request | None:
        now_ns = self._now_ns()
        if not self._planner.due(now_ns):
            return None
        before = self._planner.trouble
        request = self._planner.ask(self._observations.newest(now_ns), now_ns)
        self._tell(before)
        return request

    def _plan(self, request: Request, started: int) -> None:
        """One inference, at most one chunk."""
        try:
            prediction = request.policy.predict(request.observation, request.query)
        except PolicyError as error:
            self._refuse(error)
            return
        except Exception as error:  # noqa: BLE001 - the edge of the thread: a model in Python may raise anything
            self._refuse(PolicyError(f"the model raised {type(error).__name__}: {error}"))
            return
        with self._changed:
            # The epoch is checked and the chunk published under one lock: it cannot move in between.
            before = self._planner.trouble
            answer = self._planner.answered(request, prediction, self._now_ns())
            self._tell(before)
            if answer is None:
                return
            self._publish(answer)
        self.model_ms.add(prediction.inference_ms)
        self.overhead_ms.add((time.perf_counter_ns() - started) * 1e-6 - prediction.inference_ms)

    def _refuse(self, error: PolicyError) -> None:
        with self._changed:
            before = self._planner.trouble
            self._planner.refused(error)
            self._tell(before)

    def _tell(self, before: str) -> None:
        """Warn when trouble begins."""
        if self._planner.trouble and not before:
            self._warn(self._planner.trouble)
