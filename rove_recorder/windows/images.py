"""JPEG to pixels, the same for whoever looks at one image and whoever trains on millions.

simplejpeg (MIT, libjpeg-turbo) gives the pixels that OpenCV gives, in half of the time when images are many: it decodes
into memory that is there already, and lets go of the interpreter meanwhile.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError

Image = npt.NDArray[np.uint8]

# What libjpeg can leave out while it decodes: sides become this many times shorter, in less time.
REDUCTIONS = (1, 2, 4, 8)

_END = b"\xff\xd9"
# Some cameras fill up their images after the end.
_PADDING = 4096


def jpeg_size(jpeg: npt.NDArray[np.uint8], where: str, reduction: int = 1) -> tuple[int, int]:
    """Height and width that a JPEG decodes to. Raises EpisodeError when it is none."""
    import simplejpeg

    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg, strict=False)
    except ValueError:
        raise EpisodeError(f"{where} is not a JPEG") from None
    return -(-height // reduction), -(-width // reduction)


def decode_jpeg(jpeg: npt.NDArray[np.uint8], where: str, reduction: int = 1, out: Image | None = None) -> Image:
    """Decode an image.

    Args:
        jpeg: the file's bytes, shape (n,).
        where: it comes from, for the message.
        reduction: one of REDUCTIONS.
        out: where to put it, contiguous and of its size.

    Returns:
        RGB, shape (height, width, 3); `out` when it was given.

    Raises:
        EpisodeError: it is no JPEG, it is cut off, or it is not of the size of `out`.
    """
    import simplejpeg

    height, width = jpeg_size(jpeg, where, reduction)
    if out is None:
        out = np.empty((height, width, 3), np.uint8)
    elif out.shape != (height, width, 3):
        raise EpisodeError(f"{where} is {width}x{height} pixels, others are {out.shape[1]}x{out.shape[0]}")
    smallest = {} if reduction == 1 else {"min_height": height, "min_width": width}
    try:
        simplejpeg.decode_jpeg(jpeg, "RGB", buffer=out, **smallest)
    except ValueError:
        # What libjpeg calls recoverable is so, except where the rest of the image would be made up.
        if _END not in jpeg[-_PADDING:].tobytes():
            raise EpisodeError(f"{where} is cut off") from None
        simplejpeg.decode_jpeg(jpeg, "RGB", buffer=out, strict=False, **smallest)
    return out
