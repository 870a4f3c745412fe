"""The demo policy: pictures and joint positions in, a chunk of joint positions out, all in raw units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

# Joints that hardly move in the data are not blown up by their tiny spread [rad].
LEAST_STD_RAD = 0.05


class KeypointEncoder(nn.Module):
    """A small convolutional network that says where things are (spatial softmax) and what is there (mean).

    Spatial softmax: Levine et al., End-to-End Training of Deep Visuomotor Policies, 2016, section 5.1.
    """

    def __init__(self, height: int, width: int, keypoints: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(32, 48, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(48, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
        )
        self.scores = nn.Conv2d(64, keypoints, 1)
        self.features = 2 * keypoints + 64
        small_height, small_width = -(-height // 4), -(-width // 4)
        self.register_buffer("places", _grid(small_height, small_width).flatten(1).T)  # (cells, 2)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 -> (B, features)."""
        maps = self.layers(image.float() / 127.5 - 1.0)
        weights = torch.softmax(self.scores(maps).flatten(2).float(), dim=-1)
        return torch.cat([(weights @ self.places).flatten(1), maps.float().mean(dim=(2, 3))], dim=1)


class DemoPolicy(nn.Module):
    """One encoder per camera, a perceptron for the state, a perceptron for the chunk.

    Normalisation is part of the model. The chunk is predicted as absolute positions: a policy of offsets from the
    measured joints learns to copy the motion it is in.
    """

    def __init__(
        self,
        cameras: Sequence[tuple[str, int, int]],
        horizon: int,
        state_mean: npt.NDArray[np.float32],
        state_std: npt.NDArray[np.float32],
        action_mean: npt.NDArray[np.float32],
        action_std: npt.NDArray[np.float32],
        hidden: int = 512,
        keypoints: int = 64,
    ) -> None:
        """Args:
        cameras: name, height and width [px] of each picture.
        horizon: steps in a chunk.
        state_mean, state_std, action_mean, action_std: of the training data [rad], shape (dim,).
        """
        super().__init__()
        dim = len(state_mean)
        self.horizon, self.dim = horizon, dim
        self.cameras = tuple(name for name, _, _ in cameras)
        self.encoders = nn.ModuleList(KeypointEncoder(height, width, keypoints) for _, height, width in cameras)
        self.state_layers = nn.Sequential(nn.Linear(dim, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU())
        features = 128 + sum(encoder.features for encoder in self.encoders)
        self.head = nn.Sequential(
            nn.Linear(features, hidden),
            nn.LayerNorm(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, horizon * dim),
        )
        for name, value in (("state_mean", state_mean), ("action_mean", action_mean)):
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32))
        for name, value in (("state_std", state_std), ("action_std", action_std)):
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32).clamp(min=LEAST_STD_RAD))

    def forward(self, state: Tensor, *images: Tensor) -> Tensor:
        """Joint positions [rad] (B, dim) and pictures (B, 3, H, W) uint8 -> positions [rad] (B, horizon, dim)."""
        return self.action_mean + self.action_std * self.normalised(state, *images)

    def normalised(self, state: Tensor, *images: Tensor) -> Tensor:
        """The chunk in units of the data's spread, as the loss sees it."""
        features = [self.state_layers((state - self.state_mean) / self.state_std)]
        features += [encoder(image) for encoder, image in zip(self.encoders, images, strict=True)]
        return self.head(torch.cat(features, dim=1)).float().view(-1, self.horizon, self.dim)


def _grid(height: int, width: int) -> Tensor:
    """x and y of the cells of a picture, -1 .. 1, shape (2, height, width)."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return torch.stack([x, y])
