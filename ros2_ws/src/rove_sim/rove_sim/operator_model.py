"""How a person at the headset behaves: reactions, speed, precision, and how long they need to find in.

The numbers are chosen, not measured on people of this project; their order of magnitude is that of
reaching studies (peak palm speeds .25-.6 m/s, simple reactions .2-.5 s, physiological tremor 8-12 Hz below
a millimetre or a few) and of the adaptation times that the ROVE paper shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rove_core.config import ConfigModel
from rove_core.errors import ConfigError, nearest

FloatArray = npt.NDArray[np.float64]


class OperatorProfile(ConfigModel):
    """One kind of operator. Ranges are (lowest, highest) of a uniform draw per takeover."""

    name: str
    reaction_s: tuple[float, float] = Field(description="from seeing something to moving [s]")
    align_s: tuple[float, float] = Field(description="to bring the own body to the robot's pose [s]")
    mismatch_rad: float = Field(ge=0, description="arm joints' standard deviation from the robot's pose at takeover")
    adaptation_s: tuple[float, float] = Field(description="of finding in after a takeover [s]")
    retraction_m: float = Field(ge=0, description="how far the hand draws back while finding in")
    redundant_m: float = Field(ge=0, description="how far it moves to and fro while finding in")
    hesitation_share: float = Field(ge=0, le=1, description="of the adaptation spent not moving")
    speed_mps: float = Field(gt=0, description="peak speed of the palm on a free way")
    overlap: float = Field(ge=0, lt=1, description="share of a stroke that overlaps with the next")
    aim_sigma_m: float = Field(ge=0, description="standard deviation of where a stroke ends, per axis")
    tremor_m: float = Field(ge=0, description="amplitude of tremor")
    drift_m: float = Field(ge=0, description="standard deviation of slow wandering of the palm")


PROFILES = {
    profile.name: profile
    for profile in (
        OperatorProfile(
            name="expert",
            reaction_s=(0.2, 0.3),
            align_s=(0.9, 1.2),
            mismatch_rad=0.01,
            adaptation_s=(0.4, 0.7),
            retraction_m=0.01,
            redundant_m=0.01,
            hesitation_share=0.5,
            speed_mps=0.3,
            overlap=0.35,
            aim_sigma_m=0.001,
            tremor_m=0.0003,
            drift_m=0.0008,
        ),
        OperatorProfile(
            name="typical",
            reaction_s=(0.3, 0.5),
            align_s=(1.2, 1.7),
            mismatch_rad=0.03,
            adaptation_s=(1.5, 3.0),
            retraction_m=0.04,
            redundant_m=0.03,
            hesitation_share=0.4,
            speed_mps=0.27,
            overlap=0.3,
            aim_sigma_m=0.003,
            tremor_m=0.0006,
            drift_m=0.002,
        ),
        OperatorProfile(
            name="clumsy",
            reaction_s=(0.4, 0.8),
            align_s=(1.5, 2.2),
            mismatch_rad=0.05,
            adaptation_s=(3.0, 6.0),
            retraction_m=0.07,
            redundant_m=0.06,
            hesitation_share=0.35,
            speed_mps=0.22,
            overlap=0.2,
            aim_sigma_m=0.006,
            tremor_m=0.001,
            drift_m=0.004,
        ),
    )
}


def load_profile(name: str) -> OperatorProfile:
    """The profile of that name.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name not in PROFILES:
        raise ConfigError(f"no operator profile '{name}'", nearest(name, PROFILES))
    return PROFILES[name]


@dataclass(frozen=True, slots=True)
class AdaptationStroke:
    """One aimless stroke (or, without a shift, a hesitation) of a person who is finding in."""

    shift_m: FloatArray
    duration_s: float


# A stroke or hesitation while finding in takes about this long [s].
ADAPTATION_STROKE_S = 0.45


def adaptation(profile: OperatorProfile, duration_s: float, rng: np.random.Generator) -> Iterator[AdaptationStroke]:
    """What a person does with the hand until they have found in: draw back, hesitate, move to and fro.

    The durations add up to `duration_s`. Drawing back goes towards the body and up (away from the task);
    moving to and fro ends about where it began.
    """
    strokes = max(1, round(duration_s / ADAPTATION_STROKE_S))
    each_s = duration_s / strokes
    back = profile.retraction_m * np.array([-0.9, 0.0, 0.45]) * rng.uniform(0.6, 1.2)
    away = np.zeros(3)
    for number in range(strokes):
        if number == 0 and strokes > 1:
            shift = back
        elif rng.random() < profile.hesitation_share:
            shift = np.zeros(3)
        elif np.any(away):
            shift, away = -away, np.zeros(3)
        else:
            away = rng.normal(0.0, 0.6, 3) * profile.redundant_m
            shift = away
        yield AdaptationStroke(shift, each_s)


class Unsteadiness:
    """Tremor and slow wandering of a palm. Depends only on time and the seed, so that it never jumps."""

    # Physiological tremor of an outstretched hand [Hz].
    TREMOR_HZ = (8.0, 12.0)
    # Slow wandering: a sum of sines in this band [Hz].
    DRIFT_HZ = (0.08, 0.45)
    COMPONENTS = 4

    def __init__(self, profile: OperatorProfile, rng: np.random.Generator) -> None:
        shape = (self.COMPONENTS, 3)
        self._rates = 2.0 * np.pi * np.stack([rng.uniform(*self.TREMOR_HZ, shape), rng.uniform(*self.DRIFT_HZ, shape)])
        self._phases = rng.uniform(0.0, 2.0 * np.pi, (2, *shape))
        # n sines of amplitude a have standard deviation a sqrt(n / 2).
        spread = np.sqrt(self.COMPONENTS / 2.0)
        self._amplitudes = np.array([profile.tremor_m / self.COMPONENTS, profile.drift_m / spread])

    def at(self, t_s: float) -> FloatArray:
        """Displacement of the palm [m], shape (3,), at `t_s`."""
        waves = np.sin(self._rates * t_s + self._phases).sum(axis=1)
        return np.asarray(self._amplitudes @ waves)
