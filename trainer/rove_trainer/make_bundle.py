"""The demo policies from nothing: demonstrations through this stack, cloning, interventions, cloning again, evaluation.

python -m rove_trainer.make_bundle --task whiteboard
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rove_core.errors import ConfigError
from rove_trainer.clone import clone
from rove_trainer.command_line import run
from rove_trainer.evaluate import deploy, evaluate

# Scenes of the demonstrations and of the interventions; the evaluation's are others.
DEMONSTRATION_SEED = 1000
INTERVENTION_SEED = 2000
PROFILE = "expert"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a shipped bundle was made.

    Attributes:
        demonstrations: attempts of the operator alone.
        interventions: attempts of the policy cloned from them, with the operator taking over; 0 for none.
        steps: of the optimiser, each time.
    """

    demonstrations: int
    interventions: int
    steps: int

    def scaled(self, share: float) -> Recipe:
        """The same recipe with that share of its recordings and steps, at least one of each that it has."""
        counts = (self.demonstrations, self.interventions, self.steps)
        return Recipe(*(math.ceil(share * count) for count in counts))


RECIPES = {
    # Cloned from demonstrations alone it wipes once from left to right and does not come back for what it missed.
    "whiteboard": Recipe(demonstrations=80, interventions=18, steps=4500),
    "toaster": Recipe(demonstrations=60, interventions=0, steps=3500),
}


def make_bundle(
    task: Annotated[str, typer.Option(help="whiteboard or toaster.")] = "whiteboard",
    out: Annotated[Path | None, typer.Option(help="Folder of the bundle.", show_default="bundles/TASK")] = None,
    runs: Annotated[Path, typer.Option(help="Folder for what is recorded.")] = Path("runs"),
    speed: Annotated[float, typer.Option(help="Simulated seconds per second.")] = 1.3,
    attempts: Annotated[int, typer.Option(min=0, help="Attempts that measure the policy; 0 for none.")] = 20,
    share: Annotated[
        float, typer.Option(min=0.001, max=1.0, help="Share of the recordings and steps, to rehearse the recipe.")
    ] = 1.0,
) -> None:
    """Record (what is not there yet), train, export, evaluate, write the card."""
    if task not in RECIPES:
        raise ConfigError(f"no recipe for task '{task}'", f"there is one for: {', '.join(RECIPES)}")
    recipe = RECIPES[task].scaled(share)
    folder = out or Path("bundles") / task
    episodes = [runs / "demonstrations" / task]
    operator = ("--operator", f"scripted:{PROFILE}")
    _record(episodes[0], task, recipe.demonstrations, DEMONSTRATION_SEED, speed, "--demonstrations", *operator)
    first = runs / "bundles" / f"{task}-0" if recipe.interventions else folder
    clone(episodes, out=first, task=task, name=f"{task}-demo", steps=recipe.steps)
    if recipe.interventions:
        episodes.append(runs / "interventions" / task)
        policy = ("--policy", str(first))
        _record(episodes[1], task, recipe.interventions, INTERVENTION_SEED, speed, *policy, *operator)
        clone(episodes, out=folder, task=task, name=f"{task}-demo", index=1, steps=recipe.steps)
    if attempts:
        evaluate(folder, out=runs / "evaluation" / task, episodes=attempts, speed=speed)


def _record(folder: Path, task: str, episodes: int, seed: int, speed: float, *options: str) -> None:
    if any(folder.rglob("*.zarr")):
        typer.echo(f"learning from the episodes that are in {folder}")
        return
    deploy(
        folder, "--task", task, *options,
        "--episodes", str(episodes), "--seed", str(seed), "--speed", str(speed),
    )  # fmt: skip


if __name__ == "__main__":
    run(make_bundle)
