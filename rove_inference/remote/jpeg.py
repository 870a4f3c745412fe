"""Pictures as JPEG, for slow links. A tenth of the bytes, some milliseconds of work at both ends, and not the same."""

from __future__ import annotations

import cv2
import numpy as np

from rove_core.errors import WireError
from rove_inference.backends import Array
from rove_inference.preprocess import Image

# Markers without a length, and those of frame headers (ITU T.81, table B.1).
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def compress(image: Image, quality: int) -> Image:
    """RGB, shape (3, height, width), as the bytes of a JPEG file, shape (n,)."""
    done, data = cv2.imencode(".jpg", image[::-1].transpose(1, 2, 0), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise WireError(f"a picture of {image.shape} is none that JPEG can hold")
    return np.asarray(data, np.uint8).reshape(-1)


def expand(data: Array, height: int, width: int) -> Image:
    """RGB, shape (3, height, width), from the bytes of a JPEG file.

    Raises:
        WireError: not a JPEG of this size. Its size is looked at before there is memory for it.
    """
    size = _size(data.tobytes())
    if size != (height, width):
        seen = "no JPEG" if size is None else f"a JPEG of {size[1]}x{size[0]}"
        raise WireError(f"{seen}, expected one of {width}x{height}")
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if image is None or image.shape != (height, width, 3):
        raise WireError(f"a JPEG of {width}x{height} that cannot be read")
    return np.ascontiguousarray(image.transpose(2, 0, 1)[::-1])


def _size(data: bytes) -> tuple[int, int] | None:
    """Height and width as the frame header says; None when there is none."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        at += 2 if marker in _STANDALONE else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
