"""Observation in to chunk out, without the model."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np

from rove_core.clocks import NS_PER_S
from rove_core.joint_space import JointSpace
from rove_inference.bench.dummy import CAMERAS, dummy_policy
from rove_inference.observation import ObservationBuffer
from rove_inference.planner import Authority, Planner

# Width and height of the cameras' pictures; the policy always takes 224 x 224.
PICTURES = {"three_224x224": (224, 224), "three_640x480": (640, 480)}
POLICY_SIZE = 224


def run(quick: bool) -> dict[str, Any]:
    """Times from the newest pictures in the buffer to a chunk that can be published. Takes 10 s."""
    space = JointSpace.load("iron_r01")
    cv2.setNumThreads(1)  # as in policy_node
    rounds = 300 if quick else 3000
    return {name: _overhead(space, size, rounds) for name, size in PICTURES.items()}


def _overhead(space: JointSpace, picture: tuple[int, int], rounds: int) -> dict[str, float]:
    planner = Planner(dummy_policy(space, POLICY_SIZE))
    buffer = ObservationBuffer(CAMERAS, 0.3)
    generator = np.random.default_rng(0)
    width, height = picture
    pictures = generator.integers(0, 256, (8, height, width, 3), np.uint8)
    spent = np.empty(rounds)
    for number in range(rounds):
        # One question a second of the clock that the planner sees, each in an epoch of its own: all are due.
        now_ns = number * NS_PER_S
        planner.set_authority(Authority(True, number + 1, "bench", now_ns))
        began = time.perf_counter_ns()
        buffer.add_state(now_ns, space.home)
        for camera, offset in zip(CAMERAS, range(len(CAMERAS)), strict=True):
            buffer.add_image(camera, now_ns, pictures[(number + offset) % len(pictures)])
        request = planner.ask(buffer.newest(now_ns), now_ns)
        if request is None:
            raise RuntimeError("the planner did not ask although everything was there")
        prediction = request.policy.predict(request.observation, request.query)
        planner.answered(request, prediction, now_ns)
        spent[number] = time.perf_counter_ns() - began
    p50, p99 = np.percentile(spent[rounds // 10 :] * 1e-6, [50, 99])
    return {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3)}
