from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rove_core.errors import EpisodeError
from rove_recorder.formats.lerobot_reader import video_images
from rove_recorder.formats.video import VideoWriter, thumbnail, verify

FPS = 30


def moving(count: int) -> list[np.ndarray]:
    """Images of a scene in which something moves."""
    images = []
    for number in range(count):
        image = np.full((96, 128, 3), 60, np.uint8)
        cv2.rectangle(image, (number * 6 % 100, 20), (number * 6 % 100 + 40, 80), (250, 220, 30), -1)
        images.append(image)
    return images


def encode(path: Path, images: list[np.ndarray]) -> list[np.ndarray]:
    with VideoWriter(path, (128, 96), FPS) as video:
        for image in images:
            video.add(image)
        video.finish()
    return [thumbnail(image) for image in images]


def test_every_image_is_in_the_video_at_its_time(tmp_path: Path) -> None:
    images = moving(40)
    encode(tmp_path / "a.mp4", images)
    decoded = list(video_images(tmp_path / "a.mp4", 0.0, 40, FPS))
    assert len(decoded) == 40
    assert max(np.abs(seen.astype(int) - image).mean() for seen, image in zip(decoded, images, strict=True)) < 3


@pytest.mark.parametrize("first", [0, 1, 17])
def test_images_are_found_by_time(tmp_path: Path, first: int) -> None:
    images = moving(30)
    encode(tmp_path / "a.mp4", images)
    decoded = list(video_images(tmp_path / "a.mp4", first / FPS, 5, FPS))
    for seen, image in zip(decoded, images[first : first + 5], strict=True):
        assert np.abs(seen.astype(int) - image).mean() < 3


def test_a_lost_image_is_noticed(tmp_path: Path) -> None:
    images = moving(20)
    wanted = [thumbnail(image) for image in images]
    encode(tmp_path / "a.mp4", images[:7] + images[8:])
    with pytest.raises(EpisodeError, match="image 7 differs"):
        verify(tmp_path / "a.mp4", wanted, FPS)
    encode(tmp_path / "b.mp4", images[:-1])
    with pytest.raises(EpisodeError, match="holds 19 images for 20 rows"):
        verify(tmp_path / "b.mp4", wanted, FPS)


def test_a_doubled_image_is_noticed(tmp_path: Path) -> None:
    images = moving(20)
    encode(tmp_path / "a.mp4", [*images, images[-1]])
    with pytest.raises(EpisodeError, match="holds 21 images for 20 rows"):
        verify(tmp_path / "a.mp4", [thumbnail(image) for image in images], FPS)


def test_a_video_at_another_rate_is_noticed(tmp_path: Path) -> None:
    wanted = encode(tmp_path / "a.mp4", moving(5))
    with pytest.raises(EpisodeError, match="image 1 is at"):
        verify(tmp_path / "a.mp4", wanted, 15)


def test_odd_sizes_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match="127x96") as error:
        VideoWriter(tmp_path / "a.mp4", (127, 96), FPS)
    assert "size=" in error.value.hint


def test_a_video_that_is_cut_says_how_far_it_goes(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", moving(10))
    with pytest.raises(EpisodeError, match="ends after 8 of 20 images"):
        list(video_images(tmp_path / "a.mp4", 2 / FPS, 20, FPS))
    (tmp_path / "b.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:300])
    with pytest.raises(EpisodeError, match=r"cannot read .*b\.mp4"):
        list(video_images(tmp_path / "b.mp4", 0.0, 1, FPS))


class LosingWriter(VideoWriter):
    """Loses an image on its way into the encoder, as an overloaded one does."""

    def _mux(self, frame: Any) -> None:
        if frame is None or frame.pts != 7:
            super()._mux(frame)


def test_a_writer_that_lost_an_image_cannot_finish(tmp_path: Path) -> None:
    with LosingWriter(tmp_path / "a.mp4", (128, 96), FPS) as video:
        for image in moving(20):
            video.add(image)
        with pytest.raises(EpisodeError, match="image 7 is at"):
            video.finish()
