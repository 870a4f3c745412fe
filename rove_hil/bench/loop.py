"""The control loop as it runs: a real filter_node over DDS, on an idle machine and with every core busy."""

from __future__ import annotations

import json
import os
from typing import Any

from rove_hil.bench.node_processes import probe


def run(quick: bool) -> dict[str, Any]:
    """Measure. Takes about two minutes, 25 s when `quick`.

    Raises:
        RoveError: the nodes did not start; their last words are in the message.
    """
    cores = os.cpu_count() or 1
    seconds, pauses = (4.0, 5) if quick else (20.0, 20)
    options = ("--seconds", str(seconds), "--pauses", str(pauses), "--cores", str(cores))
    printed = probe("loop_probe", options, {"filter_node": ()})
    return {"machine_cores": cores, "rate_hz": 200.0, **json.loads(printed)}
