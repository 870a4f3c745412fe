"""`rove keyboard`: press from a terminal, on the robot or over ssh."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from rove_core.errors import ConfigError
from rove_hil.inputs.mapping import load_mapping
from rove_hil.session.deployment import environment


def register(app: typer.Typer) -> None:
    """Add `keyboard` to the command."""
    app.command("keyboard")(keyboard)


def keyboard(
    task: Annotated[str, typer.Option(help="Task of new attempts.")] = "whiteboard",
    instruction: Annotated[str, typer.Option(help="What the policy is told.")] = "",
    demonstration: Annotated[bool, typer.Option(help="The operator does the whole task.")] = False,
    mapping: Annotated[Path | None, typer.Option(help="What keys mean.", show_default="as shipped")] = None,
    domain: Annotated[int | None, typer.Option(min=0, max=232, help="ROS domain.")] = None,
) -> None:
    """Supervise a running session with single keys."""
    if not sys.stdin.isatty():
        raise ConfigError("the keyboard needs a terminal", "run it in one, or press through /rove/event_request")
    load_mapping(mapping)
    os.environ.update(environment())
    if domain is not None:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
    arguments = [sys.executable, "-m", "rove_hil.ros.keyboard_node", "--ros-args"]
    parameters = {"task": task, "instruction": instruction, "demonstration": demonstration}
    parameters["mapping"] = str(mapping.absolute()) if mapping else ""
    for name, value in parameters.items():
        arguments += ["-p", f"{name}:={json.dumps(value)}"]  # values are read as YAML, which JSON is
    # Becomes the node: one process holds the terminal, and signals reach it.
    os.execv(sys.executable, arguments)  # noqa: S606 - no shell wanted
