"""What is wrong with an episode as a recording: streams over their budget. Flags, because a person decides about them.

A flag is computed from the arrays and events when an episode is finished, and anybody can compute it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rove_core.modes import Mode
from rove_recorder.reader import Episode

DEFAULT_CAMERA_AGE_S = 0.15


@dataclass(frozen=True, slots=True)
class Budget:
    """How old and how incomplete the streams of an episode may be.

    Attributes:
        state_age_s: age of the joint state in a row [s]. camera_age_s: of a camera's image [s], per camera.
        stale_share: share of the rows in which a stream may be older than that.
        dropped_share: share of a camera's images, or of the filter's ticks, that may be missing.
    """

    state_age_s: float = 0.05
    camera_age_s: Mapping[str, float] | None = None
    stale_share: float = 0.05
    dropped_share: float = 0.10

    def attribute(self) -> dict[str, Any]:
        """As the attribute `budgets` of an episode."""
        return asdict(self)

    @staticmethod
    def of(attributes: Mapping[str, Any]) -> Budget:
        """The budget of an episode; the defaults for one that was recorded before there were any."""
        return Budget(**attributes.get("budgets", {}))

    def camera_s(self, camera: str) -> float:
        """Age that an image of this camera may have [s]."""
        return (self.camera_age_s or {}).get(camera, DEFAULT_CAMERA_AGE_S)


@dataclass(frozen=True, slots=True)
class Flag:
    """One thing that is over budget: `share` of the rows, images or ticks, and a line for people."""

    code: str
    detail: str
    share: float


def flags_of(episode: Episode) -> list[dict[str, Any]]:
    """The attribute `flags` of an episode; empty when every stream kept its budget.

    Raises:
        EpisodeError: the episode is damaged.
    """
    found = (*_ages(episode), *_frames(episode), *_ticks(episode), *_clocks(episode))
    return [asdict(flag) for flag in found]


def _ages(episode: Episode) -> Iterator[Flag]:
    """Rows of the attempt, pauses left out, in which a stream was older than its budget."""
    steps, budget = episode.steps, Budget.of(episode.attrs)
    attempt = np.isin(steps["mode"], (Mode.ROLLOUT.number, Mode.TAKEOVER.number))
    if not attempt.any():
        return
    none = steps["t_obs_ns"] < 0
    ages = {"state": (np.where(none, -1, steps["t_ros_ns"] - steps["t_obs_ns"]), budget.state_age_s)}
    ages |= {name: (steps[f"camera_age_ns_{name}"], budget.camera_s(name)) for name in episode.cameras}
    for name, (age_ns, limit_s) in ages.items():
        share = float(np.mean(((age_ns < 0) | (age_ns > limit_s * 1e9))[attempt]))
        if share > budget.stale_share:
            what = "joint state" if name == "state" else f"camera '{name}'"
            oldest = "none" if (age_ns[attempt] < 0).all() else f"oldest {age_ns[attempt].max() / 1e9:.2f} s"
            detail = f"{what} older than {limit_s:g} s in {share:.0%} of the rows ({oldest})"
            yield Flag("state_over_budget" if name == "state" else "camera_over_budget", detail, round(share, 4))


def _frames(episode: Episode) -> Iterator[Flag]:
    limit = Budget.of(episode.attrs).dropped_share
    for camera, dropped in frames_dropped(episode).items():
        recorded = len(episode.frames(camera))
        share = dropped / max(recorded + dropped, 1)
        if share > limit:
            detail = f"camera '{camera}': {dropped} of {recorded + dropped} images are missing"
            yield Flag("frames_dropped", detail, round(share, 4))


def frames_dropped(episode: Episode) -> dict[str, int]:
    """Images that are known to be missing, per camera."""
    dropped = dict.fromkeys(episode.cameras, 0)
    for event in episode.events():
        if event["type"] == "frame_drop" and event.get("camera") in dropped:
            dropped[event["camera"]] += int(event.get("count", 0))
    return dropped


def _ticks(episode: Episode) -> Iterator[Flag]:
    missing, recorded = missing_ticks(episode.streams["commands"]["tick"]), episode.streams["commands"].records
    share = missing / max(recorded + missing, 1)
    if share > Budget.of(episode.attrs).dropped_share:
        yield Flag(
            "ticks_missing", f"{missing} of {recorded + missing} ticks of the filter are missing", round(share, 4)
        )


def missing_ticks(ticks: npt.NDArray[np.uint64]) -> int:
    """Ticks between the first and the last that were not recorded; a filter that was restarted counts anew."""
    jumps = np.diff(ticks.astype(np.int64))
    return int((jumps[jumps > 1] - 1).sum())


def _clocks(episode: Episode) -> Iterator[Flag]:
    back = [event for event in episode.events() if event["type"] == "clock_went_back"]
    if back:
        worst = max(back, key=lambda event: float(event.get("by_s", 0.0)))
        refused = sum(int(event.get("count", 0)) for event in back)
        messages = sum(stream.records for stream in episode.streams.values())
        detail = f"the stamps of {worst.get('stream', 'a stream')} went back by {float(worst.get('by_s', 0.0)):.3f} s"
        yield Flag("clock_went_back", detail, round(refused / max(refused + messages, 1), 4))
