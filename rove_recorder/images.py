"""JPEG to pixels, the same for whoever looks at one image and whoever trains on millions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError

Image = npt.NDArray[np.uint8]

# What libjpeg can leave out while it decodes: sides become this many times shorter, in a third of the time or less.
REDUCTIONS = (1, 2, 4, 8)


def decode_jpeg(jpeg: npt.NDArray[np.uint8], where: str, reduction: int = 1) -> Image:
    """Decode an image.

    Args:
        jpeg: the file's bytes, shape (n,).
        where: it comes from, for the message.
        reduction: one of REDUCTIONS.

    Returns:
        RGB, shape (height, width, 3).

    Raises:
        EpisodeError: it is no JPEG.
    """
    import cv2

    image = cv2.imdecode(jpeg, _flag(cv2, reduction)) if len(jpeg) else None
    if image is None:
        raise EpisodeError(f"{where} is not a JPEG")
    if reduction > 1:  # the flags of reduced images know only BGR
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return np.asarray(image, dtype=np.uint8)


def _flag(cv2: Any, reduction: int) -> int:
    if reduction == 1:
        return int(cv2.IMREAD_COLOR_RGB)
    return int(getattr(cv2, f"IMREAD_REDUCED_COLOR_{reduction}"))
