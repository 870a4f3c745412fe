"""The control loop as it runs: a real filter_node over DDS, on an idle machine and with every core busy."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from rove_core.errors import RoveError

# A domain of its own, unless one is given: a robot on this network must not hear the benchmark.
DEFAULT_DOMAIN = "87"
END_S = 10.0


def run(quick: bool) -> dict[str, Any]:
    """Measure. Takes about two minutes, 25 s when `quick`.

    Raises:
        RoveError: the nodes did not start; their last words are in the message.
    """
    cores = os.cpu_count() or 1
    environment = {"ROS_DOMAIN_ID": DEFAULT_DOMAIN} | os.environ | {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    seconds, pauses = (4.0, 5) if quick else (20.0, 20)
    node = subprocess.Popen(
        [sys.executable, "-m", "rove_hil.ros.filter_node"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    options = ["--seconds", str(seconds), "--pauses", str(pauses), "--cores", str(cores)]
    try:
        probe = subprocess.run(
            [sys.executable, "-m", "rove_hil.ros.loop_probe", *options],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        node.send_signal(signal.SIGINT)
        try:
            node.wait(END_S)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()
    if probe.returncode != 0:
        last = (probe.stderr.strip().splitlines() or ["no output"])[-1]
        raise RoveError(f"loop benchmark: {last}", "rove doctor says whether ROS 2 works here")
    return {"machine_cores": cores, "rate_hz": 200.0, **json.loads(probe.stdout)}
