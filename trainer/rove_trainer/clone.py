"""Clone the behaviour in recorded episodes into a policy bundle.

python -m rove_trainer.clone runs/demonstrations --task whiteboard --out bundles/whiteboard
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from rove_core.errors import EpisodeError
from rove_core.joint_space import JointSpace
from rove_inference.bundle import CameraSpec
from rove_recorder.reader import open_episode
from rove_trainer import card, export
from rove_trainer.augmentation import StateRegularisation
from rove_trainer.command_line import run
from rove_trainer.dataset import Windows, find_episodes, load_windows
from rove_trainer.model import DemoPolicy
from rove_trainer.training import Trained, TrainingConfig, train

HORIZON = 50  # ROVE (arXiv 2606.17011): 50 steps predicted, 16 executed
EXECUTE = 16

DEFAULTS = TrainingConfig()

# The camera is 4:3; at this size the convolutions train in minutes on two cores.
PICTURE_HEIGHT, PICTURE_WIDTH = 96, 128

# Every 16th demonstration measures instead of teaching.
HELD_OUT_EVERY = 16


def clone(
    episodes: Annotated[list[Path], typer.Argument(help="Episodes, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle.")],
    task: Annotated[str, typer.Option(help="Learn from episodes of this task.")],
    name: Annotated[str | None, typer.Option(help="Name of the policy.", show_default="the folder's")] = None,
    index: Annotated[int, typer.Option(min=0, help="Training iteration.")] = 0,
    robot: Annotated[str, typer.Option(help="Robot of rove_core/robots.")] = "iron_r01",
    cameras: Annotated[str, typer.Option(help="Cameras that the policy sees, comma-separated.")] = "head",
    steps: Annotated[int, typer.Option(min=1, help="Steps of the optimiser.")] = DEFAULTS.steps,
    batch: Annotated[int, typer.Option(min=1, help="Windows per step.")] = DEFAULTS.batch,
    state_dropout: Annotated[
        float, typer.Option(min=0, max=1, help="Probability that the joints are hidden.")
    ] = DEFAULTS.state.dropout,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and augmentation.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Processor cores.")] = DEFAULTS.threads,
    bfloat16: Annotated[bool, typer.Option(help="Train in bfloat16 (fast on processors with AMX).")] = True,
) -> None:
    """Learn from the rows that an operator controlled in episodes that succeeded."""
    space = JointSpace.load(robot)
    specs = [CameraSpec(name=camera, width=PICTURE_WIDTH, height=PICTURE_HEIGHT) for camera in cameras.split(",")]
    paths = [path for path in find_episodes(episodes) if open_episode(path).attrs["task"] == task]
    if not paths:
        raise EpisodeError(f"no successful episode of task '{task}' there")
    windows = load_windows(paths, specs, HORIZON, joint_names=space.names)
    count = len(np.unique(windows.episode))
    typer.echo(f"{len(windows)} windows of {count} episodes ({len(paths)} successful ones found)")
    held = windows.episode % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    config = TrainingConfig(
        steps=steps,
        batch=batch,
        execute=EXECUTE,
        seed=seed,
        threads=threads,
        bfloat16=bfloat16,
        state=StateRegularisation(dropout=state_dropout),
    )
    model = new_model(windows, specs, seed)
    teaching, measuring = windows.subset(~held), windows.subset(held) if held.any() else None
    trained = train(model, teaching, measuring, space.noise_scale, config, typer.echo)
    hz = open_episode(paths[0]).control_hz
    policy = export.export_bundle(out, trained.model, space, specs, name or out.name, index, EXECUTE, hz)
    facts = _facts(task, count, held, windows, config, trained, space, out, policy.warm_up_ms)
    card.write_card(out, facts)
    errors = ", ".join(f"{group} {error:.1f}" for group, error in facts.error_mrad.items())
    typer.echo(f"{policy.bundle.policy_id} in {out}: {facts.model_mb:.1f} MB, {policy.warm_up_ms:.1f} ms an answer")
    typer.echo(f"error of executed steps on held-out episodes [mrad]: {errors or 'no such episodes'}")


def new_model(windows: Windows, cameras: list[CameraSpec], seed: int) -> DemoPolicy:
    """An untrained model for data like `windows`."""
    torch.manual_seed(seed)
    states, actions = windows.states[windows.row], windows.actions[windows.row]
    return DemoPolicy(
        [(camera.name, camera.height, camera.width) for camera in cameras],
        HORIZON,
        state_mean=states.mean(axis=0),
        state_std=states.std(axis=0),
        action_mean=actions.mean(axis=0),
        action_std=actions.std(axis=0),
    )


def _facts(
    task: str,
    episodes: int,
    held: np.ndarray,
    windows: Windows,
    config: TrainingConfig,
    trained: Trained,
    space: JointSpace,
    folder: Path,
    inference_ms: float,
) -> card.TrainingFacts:
    groups = {group: trained.error_rad[span].mean() * 1e3 for group, span in space.groups.items()}
    return card.TrainingFacts(
        task=task,
        episodes=episodes,
        held_out_episodes=len(np.unique(windows.episode[held])),
        windows=int((~held).sum()),
        steps=config.steps,
        batch=config.batch,
        seed=config.seed,
        minutes=round(trained.seconds / 60, 1),
        parameters=sum(parameter.numel() for parameter in trained.model.parameters()),
        model_mb=round((folder / export.MODEL_FILE).stat().st_size / 1e6, 2),
        inference_ms=round(inference_ms, 2),
        error_mrad={group: round(float(error), 2) for group, error in groups.items() if np.isfinite(error)},
    )


if __name__ == "__main__":
    run(clone)
