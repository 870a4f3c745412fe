"""Runs in LeRobot's environment: a dataset by its own writer, as a recording of its own tools would be.

    write_lerobot.py DATASET JOINTS.json video|image

Two episodes of 20 and 12 frames; state is `episode + frame / 100` for every joint, plus its number / 1000, the
action 0.001 more. Images are grey with a bright square that moves.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

root, joints, dtype = sys.argv[1], json.loads(Path(sys.argv[2]).read_text()), sys.argv[3]
vector = {"dtype": "float32", "shape": (len(joints),), "names": [f"{name}.pos" for name in joints]}
image = {"dtype": dtype, "shape": (96, 128, 3), "names": ["height", "width", "channels"]}
features = {"observation.state": vector, "action": vector, "observation.images.front": image}
dataset = LeRobotDataset.create(
    "rove/test", fps=20, root=root, robot_type="iron_r01", features=features, use_videos=dtype == "video"
)
for episode, frames in enumerate((20, 12)):
    for frame in range(frames):
        picture = np.full((96, 128, 3), 90, np.uint8)
        picture[30:60, 4 * frame : 4 * frame + 40] = (240, 200, 40 * episode)
        state = (episode + frame / 100 + np.arange(len(joints)) / 1000).astype(np.float32)
        dataset.add_frame(
            {
                "observation.state": state,
                "action": state + np.float32(0.001),
                "observation.images.front": picture,
                "task": f"task {episode}",
            }
        )
    dataset.save_episode()
dataset.finalize()
