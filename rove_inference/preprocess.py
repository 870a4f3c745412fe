"""From a camera's picture to the tensor that a policy takes. The robot and the trainer both call this."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from rove_core.errors import PolicyError
from rove_inference.bundle import CameraSpec

Image = npt.NDArray[np.uint8]


def prepare_image(image: Image, camera: CameraSpec) -> Image:
    """Crop and resize a picture, and bring its channels to the front.

    Args:
        image: RGB, shape (height, width, 3), any size.

    Returns:
        RGB, shape (3, camera.height, camera.width), contiguous. Values are not scaled: the model does that.

    Raises:
        PolicyError: not a colour picture of 8 bits.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise PolicyError(
            f"camera '{camera.name}': picture of shape {image.shape} {image.dtype}, expected (h, w, 3) uint8"
        )
    height, width = image.shape[:2]
    crop = camera.crop
    top, left = round(crop.top * height), round(crop.left * width)
    bottom, right = max(round(crop.bottom * height), top + 1), max(round(crop.right * width), left + 1)
    cut = image[top:bottom, left:right]
    if cut.shape[:2] != (camera.height, camera.width):
        # Areas are averaged when shrinking: nothing aliases, and a small object does not come and go with its position.
        cut = cv2.resize(cut, (camera.width, camera.height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    planes = cut.transpose(2, 0, 1)
    if not planes.flags.c_contiguous:  # a policy server gets them with the channels in front
        planes = np.empty((3, camera.height, camera.width), np.uint8)
        cv2.split(cut, list(planes))  # four times as fast as numpy's copy, which moves every byte by itself
    return planes
