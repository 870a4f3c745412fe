"""`rove policy check`: everything that would stop a bundle on the robot, before it is there."""

from __future__ import annotations

import json
from typing import Any

import typer

from rove_core.errors import RoveError
from rove_core.joint_space import JointSpace
from rove_inference.cli.arguments import DEFAULT_ROBOT, EXIT_PROBLEMS, AsJson, BundleFolder, Device, Robot, Threads


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("check")(check)


def check(
    bundle: BundleFolder,
    robot: Robot = DEFAULT_ROBOT,
    device: Device = "cpu",
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Load a bundle as policy_node does, and try it on hard pictures and poses. Exit code 1 with what is wrong."""
    from rove_inference.loading import load_policy
    from rove_inference.trial import failures

    space = JointSpace.load(robot)
    report: dict[str, Any] = {"bundle": str(bundle), "robot": space.robot, "policy_id": "", "problems": []}
    try:
        policy = load_policy(bundle, space, device, threads)
    except RoveError as error:
        report["problems"] = [str(error)]
    else:
        report["policy_id"] = policy.bundle.policy_id
        report["warm_up_ms"] = round(policy.warm_up_ms, 3)
        report["problems"] = failures(policy, space)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    for problem in [] if as_json else report["problems"]:
        typer.echo(f"{bundle}: {problem}")
    if report["problems"]:
        raise typer.Exit(EXIT_PROBLEMS)
    if not as_json:
        typer.echo(f"{report['policy_id']} is sound on {space.robot}: an answer takes {report['warm_up_ms']:.1f} ms")
