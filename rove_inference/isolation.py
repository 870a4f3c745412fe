"""A policy in a process of its own, asked over a local socket as a policy server is.

For what runs with torch or on a GPU. While such a model loads it would hold Python's global lock and stop the node's
callbacks; the memory that torch and CUDA took is given back only by the end of a process; and a crash in a driver must
not take the node along. What ONNX Runtime does on the CPU has none of these faults and stays inside.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rove_core.errors import BundleError, PolicyError, RoveError
from rove_core.joint_space import JointSpace
from rove_inference.backends.placement import Placement
from rove_inference.bundle import Bundle, PolicySpec, read_bundle
from rove_inference.loading import load_policy
from rove_inference.observation import Observation
from rove_inference.policy import Policy
from rove_inference.query import NOTHING_ASKED, Prediction, Query
from rove_inference.remote.client import RoveLink
from rove_inference.remote.policy import RemotePolicy
from rove_inference.remote.server import PolicyServer
from rove_inference.remote.spec import RemoteSpec

# A model on this machine that takes longer is stuck [s]; one that is merely late is the scheduler's business.
ANSWER_S = 10.0
# From "ready" to the first answers; the model is warm by then [s].
CONNECT_S = 30.0
END_S = 5.0
POLL_S = 1.0


def load_for_robot(path: str | Path, space: JointSpace, robot: str, placement: Placement = Placement()) -> Policy:  # noqa: B008
    """Load the bundle at `path`, in a process of its own when it needs one.

    Args:
        robot: name or YAML file that `space` was loaded from.

    Raises:
        BundleError, JointNameError, PolicyError, ConfigError: as of `loading.load_policy`.
    """
    bundle = read_bundle(path, space)
    if not needs_own_process(bundle.spec, placement):
        return load_policy(path, space, placement.device, placement.threads, placement.cpus)
    return isolate(bundle, space, robot, placement)


def needs_own_process(spec: PolicySpec, placement: Placement) -> bool:
    """Whether torch or a GPU is used for any of the networks."""
    if spec.remote is not None:
        return False
    networks = [*spec.encoders, spec, *([spec.adapter] if spec.adapter is not None else [])]
    return placement.kind != "cpu" or any(network.backend != "onnx" for network in networks)


def isolate(bundle: Bundle, space: JointSpace, robot: str, placement: Placement) -> IsolatedPolicy:
    """Start a process for a bundle and wait until it answers.

    Raises:
        BundleError: what was wrong with the bundle there. PolicyError: the process ended, or does not answer.
    """
    process = _Process(_Task(str(bundle.path.absolute()), robot, **asdict(placement)))
    try:
        process.wait_ready()
        return IsolatedPolicy(bundle, process, space)
    except BaseException:
        process.end()
        raise


class IsolatedPolicy(RemotePolicy):
    """Answers like any other policy; its process ends with it."""

    def __init__(self, bundle: Bundle, process: _Process, space: JointSpace) -> None:
        """Connect. Raises PolicyError or BundleError, see RemotePolicy."""
        remote = RemoteSpec(url=process.url, policy=bundle.policy_id, timeout_s=ANSWER_S, ready_timeout_s=CONNECT_S)
        # On the wire joints are in the robot's order.
        same = np.arange(space.dim)
        there = replace(
            bundle, spec=bundle.spec.model_copy(update={"remote": remote}), state_order=same, action_order=same
        )
        self.process = process
        super().__init__(there, RoveLink(there, space), space)

    def predict(self, observation: Observation, query: Query = NOTHING_ASKED) -> Prediction:
        """Answer one observation. Raises PolicyError, also when the process has ended."""
        self.process.check()
        try:
            return super().predict(observation, query)
        except PolicyError:
            self.process.check()  # says more than that the socket went away
            raise

    def values(self) -> Mapping[str, object]:
        """For the diagnostics."""
        return {"policy_process": self.process.pid, **super().values()}

    def close(self) -> None:
        """End the process."""
        super().close()
        self.process.end()


@dataclass(frozen=True, slots=True)
class _Task:
    """What the process is to do."""

    bundle: str
    robot: str
    device: str
    threads: int
    cpus: Sequence[int]


class _Process:
    """The process, and the folder of its socket. It ends when this object does, and when this process dies.

    Attributes:
        url: where it answers. pid: its number.
    """

    def __init__(self, task: _Task) -> None:
        folder = tempfile.TemporaryDirectory(prefix="rove-policy-")
        self.url = f"ipc://{folder.name}/socket"
        report, writer = os.pipe()
        try:
            # A session of its own: Ctrl-C in a terminal is for the node, which then ends this one by closing stdin.
            process = subprocess.Popen(
                [sys.executable, "-m", "rove_inference.isolation", json.dumps(asdict(task)), self.url, str(writer)],
                stdin=subprocess.PIPE,
                pass_fds=[writer],
                start_new_session=True,
            )
        finally:
            os.close(writer)
        self._report = os.fdopen(report, encoding="utf-8")
        self._process = process
        self.pid = process.pid
        self.end = weakref.finalize(self, _end, process, folder)

    def wait_ready(self) -> None:
        """Return when the policy is loaded and warm; however long that takes.

        Raises:
            BundleError: what was wrong. PolicyError: the process ended without a word.
        """
        with self._report as report:
            line = report.readline()
        if not line:
            self._process.wait(END_S)
            self.check()
        said = json.loads(line)
        if "error" in said:
            raise BundleError(said["error"], said["hint"])

    def check(self) -> None:
        """Raises PolicyError when the process has ended."""
        code = self._process.poll()
        if code is not None:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise PolicyError(
                f"the process of the policy ended with {how}", "swap to the bundle again, or start policy_node anew"
            )


def _end(process: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    folder.cleanup()


# In the process


def main(arguments: list[str]) -> int:
    """Load the policy, say so, and answer until standard input ends.

    Args:
        arguments: task as JSON, url, number of the file to say it to.
    """
    task, url = _Task(**json.loads(arguments[0])), arguments[1]
    threading.Thread(target=_die_with_parent, daemon=True).start()
    with os.fdopen(int(arguments[2]), "w", encoding="utf-8") as report:
        try:
            space = JointSpace.load(task.robot)
            placement = Placement(task.device, task.threads, tuple(task.cpus))
            placement.pin_thread()  # and with it every thread that starts from here on
            policy = load_policy(task.bundle, space, placement.device, placement.threads, placement.cpus)
            server = PolicyServer(policy, space, url)
        except RoveError as error:
            _say(report, {"error": str(error), "hint": error.hint})
            return 1
        _say(report, {"ready": policy.bundle.policy_id})
    while True:
        server.serve(POLL_S)


def _say(report: Any, said: dict[str, str]) -> None:
    report.write(json.dumps(said) + "\n")


def _die_with_parent() -> None:
    """Nothing in this process is worth an orderly end."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
