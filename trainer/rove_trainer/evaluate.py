"""Let a bundle try a task alone, and write the rate into its card.

python -m rove_trainer.evaluate bundles/whiteboard --episodes 20
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from rove_core.errors import EpisodeError
from rove_core.modes import Outcome
from rove_recorder.views.attempt_facts import AttemptFacts, session_facts
from rove_trainer.card import Evaluation, read_facts, write_card
from rove_trainer.command_line import run


def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    out: Annotated[Path, typer.Option(help="Folder for the sessions.")] = Path("runs/evaluation"),
    episodes: Annotated[int, typer.Option(min=1, help="Attempts.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the scenes.")] = 10_000,
    speed: Annotated[float, typer.Option(help="Simulated seconds per second.")] = 1.0,
) -> None:
    """Run seeded attempts without an operator and count."""
    facts = read_facts(bundle)
    session = deploy(
        out, "--task", facts.task, "--policy", str(bundle), "--operator", "none",
        "--episodes", str(episodes), "--seed", str(seed), "--speed", str(speed),
    )  # fmt: skip
    result = judge(session_facts(session), seed, speed)
    write_card(bundle, facts.model_copy(update={"evaluation": result}))
    typer.echo(f"{result.successes} of {result.attempts} attempts succeeded; episodes are in {session}")


def deploy(out: Path, *arguments: str) -> Path:
    """Run `rove deploy` in the simulation and return the session's folder.

    Raises:
        EpisodeError: it failed, or ended without a new session.
    """
    before = set(out.glob("*")) if out.is_dir() else set()
    command = [str(Path(sys.executable).with_name("rove")), "deploy", "--robot", "sim", "--out", str(out), *arguments]
    code = subprocess.run(command, check=False).returncode
    new = sorted(set(out.glob("*")) - before)
    if code or not new:
        raise EpisodeError(f"`rove deploy` into {out} failed (exit code {code})", "its lines above say why")
    return new[-1]


def judge(attempts: list[AttemptFacts], seed: int, speed: float) -> Evaluation:
    """The rate of a session. Attempts that somebody aborted do not count.

    Raises:
        EpisodeError: no attempt that counts.
    """
    counted = [attempt for attempt in attempts if attempt.outcome in {Outcome.SUCCESS, Outcome.FAILURE}]
    if not counted:
        raise EpisodeError(f"none of {len(attempts)} attempts ended as success or failure")
    times = [attempt.stage_seconds["rollout"] for attempt in counted if attempt.outcome == Outcome.SUCCESS]
    return Evaluation(
        attempts=len(counted),
        successes=len(times),
        seed=seed,
        speed=speed,
        mean_success_s=round(sum(times) / len(times), 1) if times else None,
    )


if __name__ == "__main__":
    run(evaluate)
