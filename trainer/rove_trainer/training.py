"""Behaviour cloning: the loop, the loss, the averaged weights."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from rove_trainer.augmentation import ImageAugmentation, StateRegularisation
from rove_trainer.dataset import Windows
from rove_trainer.model import DemoPolicy

LOG_EVERY = 200
VALIDATION_BATCH = 256


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How to train.

    Attributes:
        steps: of the optimiser. batch: windows per step.
        learning_rate: highest, reached after `warm_up` steps; falls to 1 % along a cosine.
        ema: decay of the averaged weights that are exported.
        execute: the first steps of a chunk count fully, later ones by exp(-(i - execute) / horizon * 3).
        seed: of weights, order and augmentation.
        threads: of torch.
        bfloat16: use it in the matrix products (fast where the processor has it).
    """

    steps: int = 6000
    batch: int = 64
    learning_rate: float = 1e-3
    warm_up: int = 200
    weight_decay: float = 1e-4
    ema: float = 0.998
    execute: int = 16
    seed: int = 0
    threads: int = 2
    bfloat16: bool = True
    state: StateRegularisation = field(default_factory=StateRegularisation)
    image: ImageAugmentation = field(default_factory=ImageAugmentation)


@dataclass(frozen=True, slots=True)
class Trained:
    """The averaged model, and its error on episodes that it was not trained on.

    Attributes:
        error_rad: mean absolute error of executed steps per joint [rad], shape (dim,); NaN without such episodes.
    """

    model: DemoPolicy
    error_rad: npt.NDArray[np.float64]
    seconds: float


def train(
    model: DemoPolicy,
    windows: Windows,
    held_out: Windows | None,
    noise_scale: npt.NDArray[np.float64],
    config: TrainingConfig,
    say: Callable[[str], None],
) -> Trained:
    """Clone the behaviour in `windows`.

    Args:
        noise_scale: per joint, shape (dim,).
        say: told about progress.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    order = np.random.default_rng(config.seed)
    averaged = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    bounds = [torch.from_numpy(f(windows.states[windows.row], axis=0)) for f in (np.min, np.max)]
    scale = torch.tensor(noise_scale, dtype=torch.float32)
    weights = step_weights(model.horizon, config.execute)
    began, running = time.monotonic(), 0.0
    model.train().to(memory_format=torch.channels_last)  # convolutions on a CPU take half the time
    for step in range(config.steps):
        rate = learning_rate_at(step, config)
        for group in optimiser.param_groups:
            group["lr"] = rate
        index = order.integers(0, len(windows), config.batch)
        state, images, actions, exists = batch_of(windows, model, index)
        state = config.state.apply(state, model.state_mean, bounds[0], bounds[1], scale)
        images = [config.image.apply(image).contiguous(memory_format=torch.channels_last) for image in images]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.bfloat16):
            predicted = model.normalised(state, *images)
        loss = chunk_loss(predicted, (actions - model.action_mean) / model.action_std, exists, weights)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        _average(averaged, model, min(config.ema, (1 + step) / (10 + step)))
        running += (loss.item() - running) / min(step + 1, LOG_EVERY)
        if (step + 1) % LOG_EVERY == 0:
            elapsed = time.monotonic() - began
            left = elapsed / (step + 1) * (config.steps - step - 1)
            say(f"step {step + 1}/{config.steps}  loss {running:.4f}  {elapsed:.0f} s, {left:.0f} s left")
    error = executed_error(averaged, held_out, config.execute) if held_out is not None else np.full(model.dim, np.nan)
    return Trained(averaged, error, time.monotonic() - began)


def batch_of(
    windows: Windows, model: DemoPolicy, index: npt.NDArray[np.int64]
) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
    """State (B, dim), pictures (B, 3, H, W) each, commands (B, horizon, dim), which exist (B, horizon)."""
    actions, exists = windows.chunk(index, model.horizon)
    images = [torch.from_numpy(windows.images[name][windows.image_index[name][index]]) for name in model.cameras]
    return torch.from_numpy(windows.state(index)), images, torch.from_numpy(actions), torch.from_numpy(exists)


def step_weights(horizon: int, execute: int) -> Tensor:
    """Weight of each step of a chunk, shape (horizon,): what will be executed counts most."""
    beyond = torch.clamp(torch.arange(horizon) - execute + 1, min=0).float()
    return torch.exp(-3.0 * beyond / horizon)


def chunk_loss(predicted: Tensor, target: Tensor, exists: Tensor, weights: Tensor) -> Tensor:
    """Weighted smooth L1 over the steps that exist; all in normalised units, chunks (B, horizon, dim)."""
    error = functional.smooth_l1_loss(predicted, target, reduction="none", beta=0.1).mean(-1)
    weight = weights * exists
    return (error * weight).sum() / weight.sum().clamp(min=1e-6)


def learning_rate_at(step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then a cosine down to 1 %."""
    if step < config.warm_up:
        return config.learning_rate * (step + 1) / config.warm_up
    done = (step - config.warm_up) / max(config.steps - config.warm_up, 1)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


@torch.no_grad()
def executed_error(model: DemoPolicy, windows: Windows, execute: int) -> npt.NDArray[np.float64]:
    """Mean absolute error of the steps that would be executed, per joint [rad], shape (dim,)."""
    total, count = torch.zeros(model.dim), torch.zeros(())
    for start in range(0, len(windows), VALIDATION_BATCH):
        index = np.arange(start, min(start + VALIDATION_BATCH, len(windows)))
        state, images, actions, exists = batch_of(windows, model, index)
        used = exists[:, :execute, None]
        total += ((model(state, *images) - actions)[:, :execute].abs() * used).sum(dim=(0, 1))
        count += used.sum()
    return (total / count).double().numpy()


@torch.no_grad()
def _average(averaged: DemoPolicy, model: DemoPolicy, decay: float) -> None:
    torch._foreach_lerp_(list(averaged.parameters()), list(model.parameters()), 1 - decay)
