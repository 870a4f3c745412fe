"""Real nodes as processes, and a probe beside them that plays everybody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from rove_core.errors import RoveError

# A domain of its own, unless one is given: a robot on this network must not hear the benchmark.
DEFAULT_DOMAIN = "87"
# From the request to end until the process is killed [s].
END_S = 10.0


def probe(module: str, options: Sequence[str], nodes: Mapping[str, Sequence[str]]) -> str:
    """Run a probe to its end and return what it printed.

    Args:
        module: of the probe, under `rove_hil.ros`. options: its arguments.
        nodes: module under `rove_hil.ros` -> arguments, of the nodes that run meanwhile.

    Raises:
        RoveError: the probe failed; its last words are in the message.
    """
    environment = {"ROS_DOMAIN_ID": DEFAULT_DOMAIN} | os.environ | {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    running = [
        subprocess.Popen(_argv(node, given), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for node, given in nodes.items()
    ]
    try:
        done = subprocess.run(_argv(module, options), env=environment, capture_output=True, text=True, check=False)
    finally:
        _end(running)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise RoveError(f"{module}: {last}", "rove doctor says whether ROS 2 works here")
    return done.stdout


def _argv(module: str, arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", f"rove_hil.ros.{module}", *arguments]


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
