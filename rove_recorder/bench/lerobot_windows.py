"""LeRobot's own reader as a process, in the environment that has it (requirements/lerobot.txt): not imported from here.

python lerobot_windows.py ROOT HORIZON   says what it has; then reads for each number of seconds on its input random
windows for so long, and says how many a second: one JSON object per line
"""

import json
import sys
import time
from importlib.metadata import version

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def serve(root: str, horizon: int) -> None:
    """Measure whenever asked to."""
    fps = LeRobotDataset("bench/windows", root=root).fps
    dataset = LeRobotDataset("bench/windows", root=root, delta_timestamps={"action": [i / fps for i in range(horizon)]})
    generator = np.random.default_rng(0)
    window = dataset[0]
    images = sorted(key for key in window if key.startswith("observation.images."))
    say(
        version=version("lerobot"),
        windows=len(dataset),
        images_per_window=len(images),
        image_shape=list(window[images[0]].shape),
        action_shape=list(window["action"].shape),
    )
    for line in sys.stdin:
        began, count = time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < float(line):
            dataset[int(generator.integers(len(dataset)))]
            count += 1
        say(windows_per_s=count / passed)


def say(**figures: object) -> None:
    """One line."""
    print(json.dumps(figures), flush=True)  # noqa: T201


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
