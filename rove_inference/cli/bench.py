"""`rove policy bench`: how long a bundle's answers take on this machine."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import numpy as np
import typer

from rove_core.errors import ConfigError
from rove_core.joint_space import JointSpace
from rove_inference.cli.arguments import DEFAULT_ROBOT, AsJson, BundleFolder, Robot


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("bench")(bench)


def bench(
    bundle: BundleFolder,
    robot: Robot = DEFAULT_ROBOT,
    device: Annotated[str, typer.Option(help="Devices, comma-separated: cpu, cuda.")] = "cpu",
    threads: Annotated[str, typer.Option(help="Threads for one operator, comma-separated.")] = "1",
    runs: Annotated[int, typer.Option(min=10, help="Answers per row.")] = 200,
    as_json: AsJson = False,
) -> None:
    """Latency of answers per device and number of threads, and whether it keeps up with the chunks."""
    space = JointSpace.load(robot)
    rows = [_measure(bundle, space, d, t, runs) for d in device.split(",") for t in _numbers(threads)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    typer.echo("device  threads  load s  network p50  p99 ms  observation to chunk p50  p99 ms  of the executed part")
    for row in rows:
        typer.echo(
            f"{row['device']:<7} {row['threads']:>7} {row['load_s']:>7.2f} {row['network_p50_ms']:>12.2f} "
            f"{row['network_p99_ms']:>7.2f} {row['total_p50_ms']:>25.2f} {row['total_p99_ms']:>7.2f} "
            f"{row['share_of_executed']:>21.1%}"
        )


def _measure(bundle: Any, space: JointSpace, device: str, threads: int, runs: int) -> dict[str, Any]:
    from rove_inference.loading import load_policy
    from rove_inference.trial import time_answers

    start = time.perf_counter()
    policy = load_policy(bundle, space, device, threads)
    load_s = time.perf_counter() - start
    timing = time_answers(policy, space, runs)
    spec = policy.bundle.spec
    row: dict[str, Any] = {"policy_id": policy.bundle.policy_id, "device": device, "threads": threads, "runs": runs}
    row["load_s"] = round(load_s, 3)
    for name, times in (("network", timing.network_ms), ("total", timing.total_ms)):
        for quantile in (50, 99):
            row[f"{name}_p{quantile}_ms"] = round(float(np.percentile(times, quantile)), 3)
    # Above 1 the robot runs out of steps before the next chunk is there.
    row["share_of_executed"] = round(row["total_p99_ms"] * 1e-3 / (spec.execute * spec.dt_s), 4)
    return row


def _numbers(text: str) -> list[int]:
    if not all(part.isdigit() and int(part) > 0 for part in text.split(",")):
        raise ConfigError(f"--threads {text}: expected numbers, comma-separated, as in 1,2,4")
    return [int(part) for part in text.split(",")]
