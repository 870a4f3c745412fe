"""The action head: a diffusion transformer over the steps of a chunk that attends to the backbone's features.

Two networks, so that what does not change from one step of the decoder to the next is computed once: the context
(keys and values of every block's cross-attention, two thirds of the head's arithmetic) and the head itself. Blocks are
those of DiT (Peebles and Xie, arXiv 2212.09748, adaLN-Zero: the time of the flow scales, shifts and gates) with
cross-attention between self-attention and the feed-forward part, as in PixArt-alpha (arXiv 2310.00426).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from rove_core.config import ConfigModel, parse
from rove_inference.backends import TensorInfo

FREQUENCIES = 256  # of the flow's time, as in DiT
MAX_PERIOD = 10_000.0
TIME_SCALE = 1000.0  # DiT's embedding is made for steps 0 .. 1000, the flow's time runs from 0 to 1

_FLOAT, _BOOL = np.dtype(np.float32), np.dtype(np.bool_)


class HeadConfig(ConfigModel):
    """Sizes of the head; the defaults are of the order of GR00T N1's (half a billion parameters)."""

    dim: int = Field(ge=1, description="joints")
    horizon: int = Field(ge=1, description="steps of a chunk")
    feature_dim: int = Field(2560, ge=1, description="of the backbone; 2560 for Qwen3-VL-4B")
    width: int = Field(1024, ge=1)
    layers: int = Field(16, ge=1)
    heads: int = Field(16, ge=1)
    feed_forward: int = Field(4, ge=1, description="inner width of the feed-forward part, in widths")

    @model_validator(mode="after")
    def _divides(self) -> HeadConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")
        return self


class ActionContext(nn.Module):
    """From the backbone's features to keys and values of every block; once per observation."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self._layers, self._width = config.layers, config.width
        self.norm = nn.LayerNorm(config.feature_dim)
        self.keys = nn.Linear(config.feature_dim, config.layers * config.width, bias=False)
        self.values = nn.Linear(config.feature_dim, config.layers * config.width, bias=False)
        context = TensorInfo((None, config.layers, None, config.width), _FLOAT)
        self.inputs = {"features": TensorInfo((None, None, config.feature_dim), _FLOAT)}
        self.outputs = {"keys": context, "values": context}

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Features of shape (B, tokens, feature_dim) to keys and values of shape (B, layers, tokens, width)."""
        normal = self.norm(features)
        return {"keys": self._by_layer(self.keys(normal)), "values": self._by_layer(self.values(normal))}

    def _by_layer(self, projected: Tensor) -> Tensor:
        return projected.unflatten(2, (self._layers, self._width)).transpose(1, 2)


class ActionHead(nn.Module):
    """Velocity of a noisy chunk at a time of the flow; once per step of the decoder.

    `x` and `velocity` are in units of the actions' standard deviation. The state comes in radians and is normalised
    here, by `state_mean` and `state_std`, which are part of the weights.
    """

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        width = config.width
        self.register_buffer("state_mean", torch.zeros(config.dim))
        self.register_buffer("state_std", torch.ones(config.dim))
        self.state_in = nn.Linear(config.dim, width)
        self.steps_in = nn.Linear(config.dim, width)
        self.position = nn.Parameter(0.02 * torch.randn(1, config.horizon + 1, width))
        self.time = nn.Sequential(nn.Linear(FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)
        self.steps_out = nn.Linear(width, config.dim)
        chunk = TensorInfo((None, config.horizon, config.dim), _FLOAT)
        context = TensorInfo((None, config.layers, None, width), _FLOAT)
        self.inputs = {
            "x": chunk,
            "t": TensorInfo((None,), _FLOAT),
            "state": TensorInfo((None, config.dim), _FLOAT),
            "keys": context,
            "values": context,
            "feature_mask": TensorInfo((None, None), _BOOL),
        }
        self.outputs = {"velocity": chunk}

    def forward(
        self, x: Tensor, t: Tensor, state: Tensor, keys: Tensor, values: Tensor, feature_mask: Tensor
    ) -> dict[str, Tensor]:
        """See `inputs` for shapes; `feature_mask` is true where `keys` and `values` mean something."""
        state = (state - self.state_mean) / self.state_std
        tokens = torch.cat([self.state_in(state).unsqueeze(1), self.steps_in(x)], dim=1) + self.position
        time = functional.silu(self.time(_embed_time(t)))
        mask = feature_mask[:, None, None, :]
        for layer, block in enumerate(self.blocks):
            tokens = block(tokens, time, keys[:, layer], values[:, layer], mask)
        shift, scale = self.modulation(time).unsqueeze(1).chunk(2, dim=2)
        # The first token is the state's.
        return {"velocity": self.steps_out(self.norm(tokens) * (1.0 + scale) + shift)[:, 1:]}


class Block(nn.Module):
    """One block of the head."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        width = config.width
        self._heads = config.heads
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 6 * width)
        self.self_in = nn.Linear(width, 3 * width)
        self.self_out = nn.Linear(width, width)
        self.cross_norm = nn.LayerNorm(width)
        self.cross_in = nn.Linear(width, width)
        self.cross_out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, config.feed_forward * width),
            nn.GELU(approximate="tanh"),
            nn.Linear(config.feed_forward * width, width),
        )

    def forward(self, tokens: Tensor, time: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Tokens of shape (B, horizon + 1, width), time (B, width), keys and values (B, tokens, width)."""
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = self.modulation(time).unsqueeze(1).chunk(6, dim=2)
        query, key, value = self.self_in(self.norm(tokens) * (1.0 + scale_a) + shift_a).chunk(3, dim=2)
        tokens = tokens + gate_a * self.self_out(self._attend(query, key, value, None))
        query = self.cross_in(self.cross_norm(tokens))
        tokens = tokens + self.cross_out(self._attend(query, keys, values, mask))
        return tokens + gate_f * self.feed_forward(self.norm(tokens) * (1.0 + scale_f) + shift_f)

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (tensor.unflatten(2, (self._heads, -1)).transpose(1, 2) for tensor in (query, keys, values))
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


def _embed_time(t: Tensor) -> Tensor:
    """Sines and cosines of the flow's time, shape (B, FREQUENCIES)."""
    half = FREQUENCIES // 2
    rates = torch.exp(-math.log(MAX_PERIOD) / half * torch.arange(half, dtype=torch.float32, device=t.device))
    angles = TIME_SCALE * t.unsqueeze(1) * rates.unsqueeze(0)
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)


def build_context(config: Mapping[str, Any]) -> ActionContext:
    """Architecture `rove_context`; `config` is a HeadConfig."""
    return ActionContext(parse(HeadConfig, dict(config), "the head's configuration"))


def build_head(config: Mapping[str, Any]) -> ActionHead:
    """Architecture `rove_head`; `config` is a HeadConfig."""
    return ActionHead(parse(HeadConfig, dict(config), "the head's configuration"))
