from __future__ import annotations

import numpy as np

from rove_inference.decoders.inpainting import known_part
from rove_inference.decoders.prefix import Prefix

MEAN, STD = np.array([1.0, 2.0], np.float32), np.array([0.5, 0.1], np.float32)


def test_a_prefix_comes_in_the_networks_units_and_order() -> None:
    prefix = Prefix(np.array([[2.3, 0.5]], np.float32), np.ones(1, np.float32), 1)
    known = known_part(prefix, np.array([1, 0]), MEAN, STD)
    np.testing.assert_allclose(known.actions, [[-1.0, 3.0]], rtol=1e-5)


def test_what_a_step_without_weight_holds_does_not_matter() -> None:
    actions = np.array([[1.0, 2.0], [np.nan, np.inf]], np.float32)
    known = known_part(Prefix(actions, np.array([1, 0], np.float32), 1), np.arange(2), MEAN, STD)
    clean = np.array([[9.0, 9.0], [3.0, 4.0]], np.float32)
    np.testing.assert_array_equal(known.pull(clean), [[0.0, 0.0], [3.0, 4.0]])
