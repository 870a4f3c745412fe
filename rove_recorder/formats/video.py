"""Video with one image per row, and the proof that it is so.

AV1 by SVT-AV1 (BSD), as LeRobot writes it: every second image stands for itself, so that any one is near to decode.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rove_core.errors import EpisodeError

# The encoder writes pages to standard error otherwise; read when it starts.
os.environ.setdefault("SVT_LOG", "1")

import av
import av.error

Image = npt.NDArray[np.uint8]

ENCODER = "libsvtav1"
PIXELS = "yuv420p"
# LeRobot's defaults for the first two; the fastest preset, 2.5 times real time for a 640x480 camera on two cores.
ENCODER_OPTIONS = {"g": "2", "crf": "30", "preset": "12"}

# Of each image a grey thumbnail is kept until its video was decoded again: 192 bytes per image.
_THUMBNAIL = (16, 12)
# Means over pixels survive the codec within a few grey levels. A lost or doubled image of a moving scene does not.
_TOLERANCE = 6.0


def thumbnail(image: Image) -> Image:
    """A small grey version of an RGB image, shape (12, 16)."""
    small = cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


class VideoWriter:
    """One mp4 file at a constant rate. As a context manager it closes the file, whatever happened.

    Args:
        size: width, height; even, as the pixel format demands.
        fps: images per second.

    Raises:
        EpisodeError: the size is odd, or the encoder refuses it.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: int) -> None:
        width, height = size
        if width % 2 or height % 2:
            raise EpisodeError(
                f"images of {width}x{height} cannot become video", "resize them: size=WIDTHxHEIGHT, even"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.fps = path, fps
        self.images = 0
        self.bytes = 0
        self._thumbnails: list[Image] = []
        self._container = av.open(str(path), "w")
        stream: Any = self._container.add_stream(ENCODER, rate=fps, options=ENCODER_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, PIXELS
        stream.time_base = Fraction(1, fps)
        self._stream = stream

    def add(self, image: Image) -> None:
        """The next image, (height, width, 3) uint8 RGB."""
        self._thumbnails.append(thumbnail(image))
        frame = av.VideoFrame.from_ndarray(image, "rgb24")
        frame.pts, frame.time_base = self.images, Fraction(1, self.fps)
        self._mux(frame)
        self.images += 1

    def _mux(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                self.bytes += packet.size
                self._container.mux(packet)
        except av.error.FFmpegError as error:
            raise EpisodeError(f"{self.path}: the video encoder refused: {error.strerror}") from None

    def finish(self) -> None:
        """Write what the encoder holds back, close the file, and prove that it holds every image.

        Raises:
            EpisodeError: it does not.
        """
        self._mux(None)
        self._container.close()
        verify(self.path, self._thumbnails, self.fps)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._container.close()


def verify(path: Path, thumbnails: list[Image], fps: int) -> None:
    """Decode a video and compare it, image by image, with the thumbnails of what went in.

    Raises:
        EpisodeError: the number of images, a time or an image is not what it should be.
    """
    seen = 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if seen < len(thumbnails):
                if frame.time is None or abs(frame.time - seen / fps) > 1e-6:
                    raise EpisodeError(f"{path}: image {seen} is at {frame.time} s, expected {seen / fps:.6f} s")
                decoded = thumbnail(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
                difference = float(np.abs(decoded.astype(np.int16) - thumbnails[seen]).mean())
                if difference > _TOLERANCE:
                    raise EpisodeError(f"{path}: image {seen} differs by {difference:.1f} grey levels from its row's")
            seen += 1
    if seen != len(thumbnails):
        raise EpisodeError(f"{path} holds {seen} images for {len(thumbnails)} rows")
