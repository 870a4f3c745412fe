"""From windows to a bundle that the robot loads, in seconds: few steps, small pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rove_core.joint_space import JointSpace
from rove_inference.bundle import CameraSpec
from rove_inference.loading import load_policy
from rove_inference.observation import Observation
from rove_trainer.augmentation import ImageAugmentation, StateRegularisation
from rove_trainer.card import Evaluation, TrainingFacts, render
from rove_trainer.clone import HORIZON, new_model
from rove_trainer.dataset import load_windows
from rove_trainer.export import export_bundle
from rove_trainer.training import TrainingConfig, chunk_loss, step_weights, train

SPACE = JointSpace.load("iron_r01")


def test_training_learns_and_the_bundle_answers_as_the_model(
    demonstration: Callable[..., Path], cameras: list[CameraSpec], tmp_path: Path
) -> None:
    windows = load_windows([demonstration("a", seconds=4.0)], cameras, HORIZON)
    losses: list[float] = []
    config = TrainingConfig(steps=200, batch=16, threads=1, bfloat16=False)
    model = new_model(windows, cameras, seed=0)
    trained = train(
        model, windows, windows, SPACE.noise_scale, config, lambda line: losses.append(float(line.split()[3]))
    )
    assert losses
    assert trained.error_rad.max() < 0.02
    policy = export_bundle(tmp_path / "bundle", trained.model, SPACE, cameras, "small", 3, 16, 30.0)
    assert policy.bundle.spec.index == 3
    picture = np.full((24, 32, 3), 90, np.uint8)
    robot = load_policy(tmp_path / "bundle", SPACE).predict(Observation(0, 0, SPACE.home, {"head": picture}))
    with torch.no_grad():
        state = torch.tensor(SPACE.home[None], dtype=torch.float32)
        expected = trained.model(state, torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()))[0].numpy()
    np.testing.assert_allclose(robot.positions, np.clip(expected, SPACE.lower, SPACE.upper), atol=1e-4)


def test_the_loss_ignores_steps_that_do_not_exist() -> None:
    predicted, target = torch.zeros(1, 4, 2), torch.zeros(1, 4, 2)
    target[0, 2:] = 100.0
    exists = torch.tensor([[True, True, False, False]])
    assert chunk_loss(predicted, target, exists, torch.ones(4)).item() == 0.0
    assert chunk_loss(predicted, target, ~exists, torch.ones(4)).item() > 1.0


def test_executed_steps_weigh_most() -> None:
    weights = step_weights(50, 16)
    assert (weights[:16] == 1).all()
    assert (weights[16:].diff() < 0).all()


@pytest.mark.parametrize(("dropout", "noise"), [(0.3, 0.4), (0.0, 0.0)])
def test_the_state_is_hidden_and_disturbed_as_often_as_it_should_be(dropout: float, noise: float) -> None:
    torch.manual_seed(0)
    count, dim = 20_000, 3
    state = torch.full((count, dim), 0.5)
    wide = torch.full((dim,), 1.0)
    out = StateRegularisation(dropout, noise).apply(state, torch.zeros(dim), -wide, wide, torch.ones(dim))
    hidden = (out == 0).all(dim=1)
    disturbed = (out != state).any(dim=1) & ~hidden
    for rate, expected in ((hidden, dropout), (disturbed, noise * (1 - dropout))):
        sigma = (expected * (1 - expected) / count) ** 0.5
        assert abs(rate.float().mean().item() - expected) <= 3 * sigma
    if noise:
        assert (out - state)[disturbed].std().item() == pytest.approx(0.01, rel=0.05)


def test_a_noisy_state_stays_in_the_range_of_the_data() -> None:
    state = torch.ones(1000, 2)
    out = StateRegularisation(0.0, 1.0, 0.5).apply(state, state[0], state[0] * 0.9, state[0] * 1.1, torch.ones(2))
    assert out.min().item() >= 0.9 - 1e-6
    assert out.max().item() <= 1.1 + 1e-6


def test_pictures_are_changed_but_stay_pictures() -> None:
    torch.manual_seed(0)
    image = torch.randint(0, 256, (8, 3, 24, 32), dtype=torch.uint8)
    changed = ImageAugmentation().apply(image)
    assert changed.shape == image.shape
    assert changed.dtype == torch.uint8
    assert not torch.equal(changed, image)
    assert torch.equal(ImageAugmentation(0, 0, 0, 0).apply(image), image)


def test_the_card_states_both_rates(
    demonstration: Callable[..., Path], cameras: list[CameraSpec], tmp_path: Path
) -> None:
    windows = load_windows([demonstration("a", seconds=1.0)], cameras, HORIZON)
    policy = export_bundle(tmp_path / "b", new_model(windows, cameras, 0), SPACE, cameras, "small", 0, 16, 30.0)
    facts = TrainingFacts(
        task="whiteboard",
        episodes=1,
        held_out_episodes=0,
        windows=10,
        steps=1,
        batch=1,
        seed=0,
        minutes=0.1,
        parameters=1,
        model_mb=1.0,
        inference_ms=1.0,
        error_mrad={},
        evaluation=Evaluation(attempts=20, successes=13, seed=5, speed=1.0, mean_success_s=31.0),
    )
    text = render(policy.bundle.spec, facts)
    assert "**13 succeeded**, in 31 s on average" in text
    assert "**7 failed**" in text
