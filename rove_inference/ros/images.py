"""`sensor_msgs/Image` as an array, without a copy where that is possible."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import Image

from rove_core.errors import PolicyError
from rove_inference import preprocess


def to_rgb(msg: Image) -> preprocess.Image:
    """The picture as RGB, shape (height, width, 3); a view of the message's bytes.

    Raises:
        PolicyError: not a colour picture of 8 bits, or fewer bytes than its size needs.
    """
    if msg.encoding not in {"rgb8", "bgr8"}:
        raise PolicyError(f"pictures are '{msg.encoding}', expected rgb8 or bgr8")
    needed = msg.height * msg.step
    if msg.step < msg.width * 3 or len(msg.data) < needed or needed == 0:
        raise PolicyError(f"picture of {msg.width}x{msg.height}, step {msg.step}, has {len(msg.data)} bytes")
    rows = np.frombuffer(msg.data, np.uint8, needed).reshape(msg.height, msg.step)
    image = rows[:, : msg.width * 3].reshape(msg.height, msg.width, 3)
    return image[:, :, ::-1] if msg.encoding == "bgr8" else image
