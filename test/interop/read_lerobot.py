"""Runs in LeRobot's environment: what its loaders make of a dataset, as an .npz file.

read_lerobot.py DATASET OUT          every row by LeRobotDataset, chunks of four actions by delta_timestamps
read_lerobot.py DATASET OUT replay   ReplayBuffer.from_lerobot_dataset
read_lerobot.py DATASET OUT convert  their v2.1 to v3.0 first, in place
"""

from __future__ import annotations

import json
import sys

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

root, out, *what = sys.argv[1:]
CHUNK = 4

if what == ["convert"]:
    from lerobot.scripts.convert_dataset_v21_to_v30 import convert_dataset

    convert_dataset("rove/test", root=root, push_to_hub=False)

if what == ["replay"]:
    from lerobot.rl.buffer import ReplayBuffer

    buffer = ReplayBuffer.from_lerobot_dataset(
        LeRobotDataset("rove/test", root=root), device="cpu", state_keys=["observation.state"]
    )
    n = buffer.size
    np.savez(
        out,
        state=buffer.states["observation.state"][:n],
        next_state=buffer.next_states["observation.state"][:n],
        action=buffer.actions[:n],
        reward=buffer.rewards[:n],
        done=buffer.dones[:n],
        is_intervention=buffer.complementary_info["is_intervention"][:n],
    )
    sys.exit()

fps = LeRobotDataset("rove/test", root=root).fps
dataset = LeRobotDataset("rove/test", root=root, delta_timestamps={"action": [i / fps for i in range(CHUNK)]})
items = [dataset[index] for index in range(len(dataset))]
arrays = {
    key: np.stack([np.asarray(item[key]) for item in items])
    for key, value in items[0].items()
    if hasattr(value, "shape")
}
episodes = dataset.meta.episodes
about = {
    "fps": dataset.fps,
    "cameras": dataset.meta.camera_keys,
    "tasks": [item["task"] for item in items],
    "episodes": [dict(episodes[i]) for i in range(len(episodes))],
    "successes": dataset.meta.filter_episodes(lambda row: row.get("outcome") == "success"),
    "stats": {
        key: {name: value.tolist() for name, value in found.items()} for key, found in dataset.meta.stats.items()
    },
}
np.savez(out, about=np.frombuffer(json.dumps(about, default=str).encode(), np.uint8), **arrays)
