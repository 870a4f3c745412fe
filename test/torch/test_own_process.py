"""The actor in a process of its own, as policy_node runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rove_core.joint_space import JointSpace
from rove_inference.bundle import CameraSpec
from rove_inference.isolation import IsolatedPolicy, load_for_robot
from rove_inference.loading import load_policy
from rove_inference.observation import Observation
from rove_inference.query import Query


def test_it_gives_the_answer_that_it_gives_inside_and_ends_when_it_is_closed(actor: Path, space: JointSpace) -> None:
    alone = load_for_robot(actor, space, "iron_r01")
    assert isinstance(alone, IsolatedPolicy)
    rng = np.random.default_rng(1)
    cameras: tuple[CameraSpec, ...] = alone.bundle.spec.cameras
    images = {c.name: rng.integers(0, 256, (120, 160, 3), dtype=np.uint8) for c in cameras}
    observation = Observation(5, 5, space.home, images)
    query = Query("wipe the whiteboard", alone.bundle.spec.condition, cfg_beta=2.0, seed=7)
    inside = load_policy(actor, space)
    answer, expected = alone.predict(observation, query), inside.predict(observation, query)
    assert answer.decoder_steps == expected.decoder_steps
    np.testing.assert_allclose(answer.positions, expected.positions, atol=1e-5)
    pid = alone.process.pid
    alone.close()
    assert not Path(f"/proc/{pid}").exists()
