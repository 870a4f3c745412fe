"""LeRobot's own reader as a process, in the environment that has it (requirements/lerobot.txt): not imported from here.

python lerobot_windows.py ROOT HORIZON SECONDS   prints random windows a second as JSON
"""

import json
import sys
import time
from importlib.metadata import version

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def measure(root: str, horizon: int, seconds: float) -> None:
    """Read random windows for a while."""
    fps = LeRobotDataset("bench/windows", root=root).fps
    dataset = LeRobotDataset("bench/windows", root=root, delta_timestamps={"action": [i / fps for i in range(horizon)]})
    order = np.random.default_rng(0).permutation(len(dataset)).tolist()
    window = dataset[order[0]]
    images = sorted(key for key in window if key.startswith("observation.images."))
    for number in order[:20]:
        dataset[number]
    began, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        dataset[order[count % len(order)]]
        count += 1
    figures = {
        "version": version("lerobot"),
        "windows_per_s": round(count / passed, 1),
        "windows": len(dataset),
        "images_per_window": len(images),
        "image_shape": list(window[images[0]].shape),
        "action_shape": list(window["action"].shape),
    }
    print(json.dumps(figures))  # noqa: T201


if __name__ == "__main__":
    measure(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
