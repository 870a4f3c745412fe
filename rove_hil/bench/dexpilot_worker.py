"""What `rove bench retarget` runs in the environment of its peers (`make bench-peers`): dex-retargeting on one hand.

Imports nothing of this project, whose versions of numpy and others the peer need not share. Reads an .npz with
`keypoints` (frames, 21, 3) [m] in the frame of the hand's root link, and a URDF of that hand; prints one JSON object
per way of dex-retargeting: joint names, joint positions [rad] and milliseconds per frame.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
from dex_retargeting.retargeting_config import RetargetingConfig

TIPS = [4, 8, 12, 16, 20]


def main(urdf: str, data: str, side: str, fingers: list[str]) -> None:
    """Solve every frame with each of the ways and print what came out."""
    keypoints = np.load(data)["keypoints"]
    tips = [f"{side}_{finger}_tip" for finger in fingers]
    # No low-pass filter on the output, and no scaling: the human hand of this benchmark is the robot's.
    common: dict[str, Any] = {"urdf_path": urdf, "low_pass_alpha": 1.0, "add_dummy_free_joint": False}
    ways: dict[str, dict[str, Any]] = {
        "dexpilot": {
            "type": "DexPilot",
            "wrist_link_name": f"{side}_palm",
            "finger_tip_link_names": tips,
            "scaling_factor": 1.0,
        },
        "position": {
            "type": "position",
            "target_link_names": tips,
            "target_link_human_indices": np.array(TIPS),
        },
    }
    results = {}
    for name, way in ways.items():
        retargeting = RetargetingConfig.from_dict({**common, **way}).build()
        indices = retargeting.optimizer.target_link_human_indices
        positions, milliseconds = [], []
        for points in keypoints:
            if name == "position":
                reference = points[indices]
            else:
                reference = points[indices[1]] - points[indices[0]]
            began = time.perf_counter_ns()
            positions.append(retargeting.retarget(reference).tolist())
            milliseconds.append((time.perf_counter_ns() - began) * 1e-6)
        results[name] = {"joints": list(retargeting.joint_names), "q": positions, "ms": milliseconds}
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4].split(","))
