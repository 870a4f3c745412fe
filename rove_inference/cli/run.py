"""`rove policy run`: a bundle on a recorded episode, offline."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from rove_core.joint_space import JointSpace
from rove_inference.cli.arguments import EXIT_PROBLEMS, AsJson, BundleFolder, Device, Threads


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("run")(run)


def run(
    bundle: BundleFolder,
    episode: Annotated[Path, typer.Argument(help="A finished episode: a folder that ends in .zarr.")],
    html: Annotated[Path | None, typer.Option(help="Write a page with predicted and recorded joints.")] = None,
    every: Annotated[int, typer.Option(min=0, help="Rows between questions; 0: as many as are executed.")] = 0,
    instruction: Annotated[str | None, typer.Option(help="Another instruction than the recorded one.")] = None,
    condition: Annotated[str | None, typer.Option(help="Another condition text than the bundle's.")] = None,
    cfg_beta: Annotated[float | None, typer.Option(help="Another guidance weight than the bundle's.")] = None,
    max_age: Annotated[float, typer.Option(min=0.01, help="As of policy_node [s].")] = 0.3,
    device: Device = "cpu",
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Replay the observations of an episode and compare what the policy predicts with what was done.

    Exit code 1 when the policy had no answer at all.
    """
    from rove_inference.loading import load_policy
    from rove_inference.query import fill
    from rove_inference.recorded import RecordedEpisode
    from rove_inference.replay import replay, report
    from rove_inference.trial import usual_query

    recorded = RecordedEpisode(episode)
    space = JointSpace.load(recorded.attrs["robot"])
    recorded.check_robot(space)
    policy = load_policy(bundle, space, device, threads)
    told = str(recorded.attrs["instruction"]) if instruction is None else instruction
    query = usual_query(policy.bundle.spec, told)
    if condition is not None:
        query = replace(query, condition=fill(condition, told))
    if cfg_beta is not None:
        query = replace(query, cfg_beta=cfg_beta)
    replayed = replay(policy, recorded, query, max_age, every)
    execute = policy.bundle.spec.execute
    figures = {
        "episode": str(episode),
        "policy_id": policy.bundle.policy_id,
        "instruction": told,
        "condition": query.condition,
        "cfg_beta": query.cfg_beta,
    }
    figures |= report(replayed, space, execute)
    if html is not None and replayed.answers:
        from rove_inference.comparison_page import write_page

        write_page(html, recorded, policy.bundle.policy_id, execute, replayed, figures)
    typer.echo(json.dumps(figures, indent=2) if as_json else _text(figures))
    if not replayed.answers:
        raise typer.Exit(EXIT_PROBLEMS)


def _text(figures: dict[str, Any]) -> str:
    lines = [f"{figures['policy_id']} on {figures['episode']}: {figures['answers']} answers"]
    lines += [f"  {count} times none: {reason}" for reason, count in figures["unanswered"].items()]
    if "all" in figures:
        lines += ["", "[rad]              mean     rms     95 %  largest  staying put"]
        controls = {f"{name} moved it": row for name, row in figures["by_control"].items()}
        lines += [_row(name, row) for name, row in ({"all": figures["all"]} | figures["groups"] | controls).items()]
    return "\n".join(lines)


def _row(name: str, row: dict[str, float | None]) -> str:
    keys = ("mean_abs", "rms", "p95", "max", "hold_mean_abs")
    return f"{name:<16}" + "".join("        -" if row[key] is None else f" {row[key]:8.4f}" for key in keys)
