"""Draws docs/images/takeover-*.svg from the output of `rove bench takeover --json`.

python scripts/takeover_figures.py figures.json docs/images
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt

NAMES = {
    "rove": "ROVE HIL",
    "direct_switch": "direct switch",
    "linear_slide": "linear slide, 1 s, blocking",
    "ruckig_given_velocity": "ruckig, exact velocity given",
}
COLOURS = {
    "rove": "#0b6e4f",
    "direct_switch": "#b23a48",
    "linear_slide": "#c98b1b",
    "ruckig_given_velocity": "#3b6ea5",
}
# Drawn in place of exactly 0 on a logarithmic axis.
NOTHING = 1e-7


def main(figures: Path, folder: Path) -> None:
    """Write the pictures."""
    found = json.loads(figures.read_text(encoding="utf-8"))["takeover"]
    plt.rcParams.update({"font.size": 9, "svg.hashsalt": "rove", "axes.spines.top": False, "axes.spines.right": False})
    methods = found["methods"]
    told = f"{found['takeovers']} takeovers over DDS, operator up to {found['mismatch_up_to_rad']:.0f} rad away"
    _shares(methods, told, folder / "takeover-motion.svg")
    _steps(methods, told, folder / "takeover-step.svg")
    _limits(methods, told, folder / "takeover-limits.svg")
    _tracking(methods, told, folder / "takeover-tracking.svg")
    _times(found, told, folder / "takeover-times.svg")


def _shares(methods: dict[str, Any], told: str, path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
    titles = {"operator_motion": "operator's own motion that comes through", "gap_closed": "gap at the switch, closed"}
    for ax, (share, title) in zip(axes, titles.items(), strict=True):
        for name, method in methods.items():
            values = method["shares"][share]
            times = [float(key.removesuffix("_s")) for key in values]
            ax.plot(times, list(values.values()), label=NAMES[name], color=COLOURS[name])
        ax.set_title(title)
        ax.set_xlabel("time since the switch [s]")
    axes[0].set_ylabel("share")
    axes[1].legend(frameon=False, loc="lower right")
    _save(figure, told, path)


def _steps(methods: dict[str, Any], told: str, path: Path) -> None:
    figure, ax = plt.subplots(figsize=(8, 3))
    groups = list(methods["rove"]["step_at_switch_rad"])
    width = 0.8 / len(methods)
    for index, (name, method) in enumerate(methods.items()):
        values = [max(method["step_at_switch_rad"][group], NOTHING) for group in groups]
        ax.bar([place + index * width for place in range(len(groups))], values, width, label=NAMES[name],
               color=COLOURS[name])  # fmt: skip
    ax.set_yscale("log")
    ax.set_xticks([place + 1.5 * width for place in range(len(groups))], [group.replace("_", " ") for group in groups])
    ax.set_ylabel("largest command step\nat the switch [rad]")
    ax.legend(frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, 1.3))
    _save(figure, told, path)


def _limits(methods: dict[str, Any], told: str, path: Path) -> None:
    figure, ax = plt.subplots(figsize=(8, 3))
    quantities = list(methods["rove"]["of_limits_max_ratio"])
    width = 0.8 / len(methods)
    for index, (name, method) in enumerate(methods.items()):
        places = [place + index * width for place in range(len(quantities))]
        bars = ax.bar(places, list(method["of_limits_max_ratio"].values()), width, label=NAMES[name],
                      color=COLOURS[name])  # fmt: skip
        ax.bar_label(bars, fmt="{:.3g}", fontsize=7)
    ax.axhline(1, color="black", linewidth=0.8, linestyle="--")
    ax.set_yscale("log")
    ax.set_xticks([place + 1.5 * width for place in range(len(quantities))], quantities)
    ax.set_ylabel("largest, over the joint's limit")
    ax.legend(frameon=False, loc="upper left")
    _save(figure, told, path)


def _tracking(methods: dict[str, Any], told: str, path: Path) -> None:
    figure, ax = plt.subplots(figsize=(8, 2.2))
    values = [method["tracking_rms_after_1_s_mrad"] for method in methods.values()]
    bars = ax.barh([NAMES[name] for name in methods], values, color=[COLOURS[name] for name in methods])
    ax.bar_label(bars, fmt="{:.2f}", padding=3)
    ax.invert_yaxis()
    ax.set_xlabel("tracking error, RMS from 1 s to 1.5 s after the switch [mrad]")
    _save(figure, told, path)


def _times(found: dict[str, Any], told: str, path: Path) -> None:
    figure, ax = plt.subplots(figsize=(8, 2.2))
    waits = ("pause_to_braking", "pause_to_held", "go_to_operator")
    for place, wait in enumerate(waits):
        ax.barh(place, found[f"{wait}_max_ms"], color="#c7d5cf", label="worst" if not place else None)
        ax.barh(place, found[f"{wait}_p50_ms"], color=COLOURS["rove"], label="median" if not place else None)
    ax.set_yticks(range(len(waits)), ["pedal to braking", "pedal to standing still", "go to operator's first command"])
    ax.invert_yaxis()
    ax.set_xlabel("time over DDS, between processes [ms]")
    ax.legend(frameon=False)
    _save(figure, told, path)


def _save(figure: Any, told: str, path: Path) -> None:
    figure.text(0.995, 0.005, told, ha="right", va="bottom", fontsize=6, color="#555555")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
