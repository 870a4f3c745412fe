"""What is done to training inputs so that the policy does not hang on to what will differ on the robot."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class StateRegularisation:
    """Makes the picture worth looking at: without it a policy continues the motion that the joints show.

    Full-state dropout and noise with a probability: ROVE (arXiv 2606.17011), state regularisation.

    Attributes:
        dropout: probability that the whole state is replaced by the data's mean.
        noise_probability: that noise is added.
        noise_rad: its standard deviation [rad], times the joint's noise scale.
    """

    dropout: float = 0.3
    noise_probability: float = 0.4
    noise_rad: float = 0.01

    def apply(self, state: Tensor, mean: Tensor, low: Tensor, high: Tensor, scale: Tensor) -> Tensor:
        """Args:
        state: [rad], shape (B, dim). mean, low, high: of the data [rad]; scale: per joint; shape (dim,).
        """
        count = len(state)
        noise = torch.randn_like(state) * scale * self.noise_rad
        noisy = torch.minimum(torch.maximum(state + noise, low), high)
        state = torch.where(torch.rand(count, 1) < self.noise_probability, noisy, state)
        return torch.where(torch.rand(count, 1) < self.dropout, mean, state)


@dataclass(frozen=True, slots=True)
class ImageAugmentation:
    """Other light and a camera that is mounted a little differently.

    Attributes:
        brightness, contrast, colour: largest relative change of the picture, of its contrast, of one colour.
        shift_px: largest shift [px].
    """

    brightness: float = 0.15
    contrast: float = 0.15
    colour: float = 0.05
    shift_px: int = 2

    def apply(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 -> the same, changed."""
        count, _, height, width = image.shape
        if self.shift_px:
            # One shift for a batch would do as well on average, but makes steps of the optimiser unequal.
            padded = functional.pad(image.float(), (self.shift_px,) * 4, mode="replicate").to(torch.uint8)
            offsets = torch.randint(0, 2 * self.shift_px + 1, (count, 2)).tolist()
            image = torch.stack([padded[i, :, y : y + height, x : x + width] for i, (y, x) in enumerate(offsets)])
        gain = 1 + _symmetric((count, 1, 1, 1), self.contrast) + _symmetric((count, 3, 1, 1), self.colour)
        lift = 255 * _symmetric((count, 1, 1, 1), self.brightness) * 0.5
        return ((image.float() - 128) * gain + 128 + lift).clamp(0, 255).to(torch.uint8)


def _symmetric(shape: tuple[int, ...], largest: float) -> Tensor:
    return (torch.rand(shape) * 2 - 1) * largest
