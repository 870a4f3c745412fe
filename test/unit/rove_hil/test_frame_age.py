"""The age of a frame does not depend on what the sender's clock says."""

from __future__ import annotations

import numpy as np
import pytest

from rove_core.clocks import NS_PER_S
from rove_hil.operator.frame_age import FrameAge

FRAME_NS = NS_PER_S // 72
LATENCY_NS = 20_000_000


@pytest.mark.parametrize("offset_s", [0.0, 0.4, -0.4, 5.0, -3600.0])
def test_the_offset_of_the_clocks_does_not_matter(offset_s: float) -> None:
    age = FrameAge()
    offset_ns = round(offset_s * NS_PER_S)
    jitter = np.random.default_rng(0).exponential(5e6, 500).astype(int)
    ages = [age.update(i * FRAME_NS + offset_ns, i * FRAME_NS + LATENCY_NS + int(jitter[i])) for i in range(500)]
    assert max(ages) < 0.06
    assert min(ages) >= 0.0


def test_a_frame_that_waited_is_old() -> None:
    age = FrameAge()
    for i in range(100):
        age.update(i * FRAME_NS, i * FRAME_NS + LATENCY_NS)
    assert age.update(100 * FRAME_NS, 100 * FRAME_NS + LATENCY_NS + 400_000_000) == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize("jump_s", [5.0, -5.0])
def test_a_clock_that_jumps_begins_anew(jump_s: float) -> None:
    age = FrameAge()
    jump_ns = round(jump_s * NS_PER_S)
    for i in range(100):
        age.update(i * FRAME_NS, i * FRAME_NS + LATENCY_NS)
    ages = [age.update(i * FRAME_NS + jump_ns, i * FRAME_NS + LATENCY_NS) for i in range(100, 200)]
    assert max(ages) < 0.001


def test_clocks_that_drift_apart_do_not_make_frames_old() -> None:
    age = FrameAge()
    ages = [age.update(round(i * FRAME_NS * 0.999), i * FRAME_NS) for i in range(72 * 600)]
    assert max(ages) < 0.01
