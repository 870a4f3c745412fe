"""`rove bench policy`: what serving a policy costs, and what the robot gets to do with a slow one.

Each section is a module of its own with `run(quick) -> figures`; units are in the names of the figures.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

# In this order. A section is imported when its turn comes: what one needs, the others can do without.
SECTIONS = {
    "overhead": "rove_inference.bench.overhead",
    "joining": "rove_inference.bench.joining",
    "guidance": "rove_inference.bench.guidance",
    "remote": "rove_inference.bench.remote",
}


def run(quick: bool) -> dict[str, Any]:
    """Measure. Takes minutes, half a minute when `quick`."""
    figures: dict[str, Any] = {"machine_cores": os.cpu_count()}
    for name, module in SECTIONS.items():
        figures[name] = import_module(module).run(quick)
    return figures
