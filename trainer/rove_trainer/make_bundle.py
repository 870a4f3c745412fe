"""The demo policies from nothing: demonstrations through this stack, cloning, evaluation.

python -m rove_trainer.make_bundle --task whiteboard
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rove_trainer.clone import clone
from rove_trainer.command_line import run
from rove_trainer.evaluate import deploy, evaluate

DEMONSTRATIONS = 80
SEED = 1000  # of the demonstrations; the evaluation's scenes are others


def make_bundle(
    task: Annotated[str, typer.Option(help="whiteboard or toaster.")] = "whiteboard",
    out: Annotated[Path | None, typer.Option(help="Folder of the bundle.", show_default="bundles/TASK")] = None,
    runs: Annotated[Path, typer.Option(help="Folder for what is recorded.")] = Path("runs"),
    demonstrations: Annotated[int, typer.Option(min=2, help="Attempts of the scripted operator.")] = DEMONSTRATIONS,
    profile: Annotated[str, typer.Option(help="Profile of the scripted operator.")] = "expert",
    speed: Annotated[float, typer.Option(help="Simulated seconds per second.")] = 1.0,
    attempts: Annotated[int, typer.Option(min=0, help="Attempts that measure the policy; 0 for none.")] = 20,
) -> None:
    """Record demonstrations (unless they are there), train, export, evaluate, write the card."""
    folder = out or Path("bundles") / task
    recorded = runs / "demonstrations" / task
    if any(recorded.rglob("*.zarr")):
        typer.echo(f"learning from the demonstrations that are in {recorded}")
    else:
        deploy(
            recorded, "--task", task, "--policy", "none", "--operator", f"scripted:{profile}", "--demonstrations",
            "--episodes", str(demonstrations), "--seed", str(SEED), "--speed", str(speed),
        )  # fmt: skip
    clone([recorded], out=folder, task=task, name=f"{task}-demo")
    if attempts:
        evaluate(folder, out=runs / "evaluation" / task, episodes=attempts, speed=speed)


if __name__ == "__main__":
    run(make_bundle)
