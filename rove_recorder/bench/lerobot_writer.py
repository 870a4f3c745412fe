"""LeRobot's own writer at the same load, in real time. Run by LeRobot's Python, not by ours: it imports nothing here.

    python lerobot_writer.py FOLDER IMAGES.npy SECONDS

Prints one JSON object. Images go straight into `add_frame`: no DDS, no streams at 200 Hz.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

FPS, JOINTS = 30, 50
CAMERAS = ("head", "left_wrist", "right_wrist")


def cpu_s() -> float:
    """CPU time of this process, its threads and its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main() -> None:
    """Record one episode."""
    folder, images, seconds = Path(sys.argv[1]), np.load(sys.argv[2]), float(sys.argv[3])
    vector = {"dtype": "float32", "shape": (JOINTS,), "names": None}
    video = {"dtype": "video", "shape": images.shape[1:], "names": ["height", "width", "channels"]}
    features = {"observation.state": vector, "action": vector}
    features |= {f"observation.images.{camera}": video for camera in CAMERAS}
    dataset = LeRobotDataset.create("bench/recording", FPS, features, root=folder, streaming_encoding=True)
    joints = np.zeros(JOINTS, np.float32)
    ticks, late, longest_s = round(seconds * FPS), 0, 0.0
    began, began_cpu = time.perf_counter(), cpu_s()
    for tick in range(ticks):
        due = began + tick / FPS
        time.sleep(max(due - time.perf_counter(), 0))
        late += time.perf_counter() - due > 0.5 / FPS
        frame = {"observation.state": joints, "action": joints, "task": "load"}
        frame |= {f"observation.images.{name}": images[(tick + 5 * i) % len(images)] for i, name in enumerate(CAMERAS)}
        started = time.perf_counter()
        dataset.add_frame(frame)
        longest_s = max(longest_s, time.perf_counter() - started)
    recorded = time.perf_counter()
    share = (cpu_s() - began_cpu) / (recorded - began)
    dataset.save_episode()
    dataset.finalize()
    figures = {
        "cpu_share": round(share, 3),
        "ticks": ticks,
        "ticks_late": late,
        "longest_add_frame_ms": round(longest_s * 1e3, 1),
        "finishing_s": round(time.perf_counter() - recorded, 2),
        "frames": dataset.num_frames,
    }
    print(json.dumps(figures))  # noqa: T201 - this is its answer


if __name__ == "__main__":
    main()
