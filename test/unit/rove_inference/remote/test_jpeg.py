"""Pictures for slow links."""

from __future__ import annotations

import numpy as np
import pytest

from rove_core.errors import WireError
from rove_inference.remote import jpeg


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([3 * x, 4 * y, x + y]).astype(np.uint8)


def test_colours_and_places_survive() -> None:
    image = picture()
    data = jpeg.compress(image, 95)
    back = jpeg.expand(data, 48, 64)
    assert back.flags.c_contiguous
    assert np.abs(back.astype(int) - image).mean() < 2
    assert data.nbytes < image.nbytes / 3


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "no JPEG"),
        (b"\xff\xd8\xff\xe0\x00", "no JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "no JPEG"),
        # A frame header that claims 65535 x 65535: 12 GB of memory if somebody believed it.
        (
            b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03" + bytes(20),
            "a JPEG of 65535x65535, expected one of 64x48",
        ),
        (b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x30\x00\x40\x03" + bytes(20), "cannot be read"),
    ],
)
def test_what_is_no_such_picture_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(WireError, match=text):
        jpeg.expand(np.frombuffer(data, np.uint8), 48, 64)
