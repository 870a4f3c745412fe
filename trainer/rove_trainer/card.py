"""The model card of a bundle: what it was trained on and how well it does, for people."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import Field

from rove_core.config import ConfigModel, load_yaml
from rove_inference.bundle import PolicySpec

FACTS_FILE = "training.yaml"
CARD_FILE = "README.md"


class Evaluation(ConfigModel):
    """Seeded attempts of the policy alone, in the simulation."""

    attempts: int = Field(ge=1)
    successes: int = Field(ge=0)
    seed: int = Field(ge=0)
    speed: float = Field(gt=0, description="simulated seconds per second")
    mean_success_s: float | None = Field(None, description="mean duration of successful attempts [s]")


class TrainingFacts(ConfigModel):
    """`training.yaml` of a bundle."""

    task: str
    episodes: int
    held_out_episodes: int
    windows: int
    steps: int
    batch: int
    seed: int
    minutes: float
    parameters: int
    model_mb: float
    inference_ms: float = Field(description="median on the CPU that trained it, one thread [ms]")
    error_mrad: dict[str, float] = Field(description="per joint group, mean absolute error of executed steps")
    evaluation: Evaluation | None = None


def write_card(folder: Path, facts: TrainingFacts) -> None:
    """Write the facts and the card that is made from them."""
    text = yaml.safe_dump(facts.model_dump(mode="json"), sort_keys=False)
    (folder / FACTS_FILE).write_text(text, encoding="utf-8")
    spec = load_yaml(PolicySpec, folder / "policy.yaml")
    (folder / CARD_FILE).write_text(render(spec, facts), encoding="utf-8")


def read_facts(folder: Path) -> TrainingFacts:
    """The facts of a bundle. Raises ConfigError."""
    return load_yaml(TrainingFacts, folder / FACTS_FILE)


def render(spec: PolicySpec, facts: TrainingFacts) -> str:
    """The card, Markdown."""
    cameras = ", ".join(f"{camera.name} ({camera.width} x {camera.height})" for camera in spec.cameras)
    errors = "\n".join(f"| {group} | {error:.1f} |" for group, error in facts.error_mrad.items())
    return f"""# {spec.name}: policy for the task `{facts.task}`

A small vision and state policy, cloned from what the scripted operator did through this stack in the simulation.
It is there to show a human-in-the-loop session from end to end: good enough to succeed on some starts, and to fail on
others so that there is something to take over. Never run it on a real robot.

## How well it does
{_evaluation(facts.evaluation)}

Mean absolute error of the executed steps on {facts.held_out_episodes} episodes that it was not trained on:

| joints | error [mrad] |
|---|---|
{errors}

## What it is
- In: joint positions of `{spec.robot}` and the camera picture {cameras}. Out: {spec.horizon} steps of all joints at
  {spec.control_hz:g} Hz, of which {spec.execute} are executed.
- Convolutions, spatial softmax, two perceptrons: {facts.parameters / 1e6:.2f} M parameters, {facts.model_mb:.1f} MB.
  An answer takes {facts.inference_ms:.1f} ms on one thread of the CPU that trained it.
- It does one task and is told nothing: instruction and condition are ignored.

## How it was made
Training iteration {spec.index}: behaviour cloning on {facts.windows} windows of {facts.episodes} successful episodes
(demonstrations, and from iteration 1 on interventions; rows that the operator controlled): smooth L1 loss,
state dropout and noise (so that it looks at the picture), light and shift augmentation, averaged weights;
{facts.steps} steps of {facts.batch}, seed {facts.seed}, {facts.minutes:.0f} minutes on the CPU. `make bundle` does it
again.
"""


def _evaluation(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return "Not evaluated yet: `python -m rove_trainer.evaluate` does it."
    fails = evaluation.attempts - evaluation.successes
    mean = f", in {evaluation.mean_success_s:.0f} s on average" if evaluation.mean_success_s is not None else ""
    return (
        f"{evaluation.attempts} seeded attempts alone in the simulation (`--seed {evaluation.seed}`, speed "
        f"{evaluation.speed:g}): **{evaluation.successes} succeeded**{mean}; **{fails} failed**."
    )
