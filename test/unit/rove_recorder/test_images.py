"""Pixels are those of OpenCV; what is damaged is said, and what a camera adds is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rove_core.errors import EpisodeError
from rove_recorder.windows.images import REDUCTIONS, decode_jpeg, jpeg_size


@pytest.fixture
def picture() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (13, 17, 3), np.uint8)
    return cv2.resize(noise, (130, 97), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def jpeg(picture: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_pixels_are_those_of_opencv(jpeg: np.ndarray, reduction: int) -> None:
    flag = cv2.IMREAD_COLOR_RGB if reduction == 1 else getattr(cv2, f"IMREAD_REDUCED_COLOR_{reduction}")
    expected = cv2.imdecode(jpeg, flag)
    if reduction > 1:
        expected = cv2.cvtColor(expected, cv2.COLOR_BGR2RGB)
    image = decode_jpeg(jpeg, "a", reduction)
    assert image.shape[:2] == jpeg_size(jpeg, "a", reduction)
    np.testing.assert_array_equal(image, expected)
    out = np.empty_like(image)
    assert decode_jpeg(jpeg, "a", reduction, out) is out
    np.testing.assert_array_equal(out, image)


def test_a_grey_image_becomes_rgb(picture: np.ndarray) -> None:
    grey = np.asarray(cv2.imencode(".jpg", picture[:, :, 0])[1])
    image = decode_jpeg(grey, "a")
    assert image.shape == picture.shape
    np.testing.assert_array_equal(image[:, :, 0], image[:, :, 2])


def test_damage_is_said_and_nothing_is_made_up(jpeg: np.ndarray) -> None:
    with pytest.raises(EpisodeError, match="image 3 is cut off"):
        decode_jpeg(jpeg[: len(jpeg) // 2], "image 3")
    for nothing in (jpeg[:0], np.zeros(100, np.uint8)):
        with pytest.raises(EpisodeError, match="image 3 is not a JPEG"):
            decode_jpeg(nothing, "image 3")
    with pytest.raises(EpisodeError, match="image 3 is 130x97 pixels, others are 64x48"):
        decode_jpeg(jpeg, "image 3", out=np.empty((48, 64, 3), np.uint8))


def test_what_cameras_add_does_no_harm(jpeg: np.ndarray) -> None:
    expected = decode_jpeg(jpeg, "a")
    padded = np.concatenate([jpeg, np.zeros(300, np.uint8)])
    np.testing.assert_array_equal(decode_jpeg(padded, "a"), expected)
    end = len(jpeg) - 2
    garbage = np.concatenate([jpeg[:end], np.full(5, 7, np.uint8), jpeg[end:]])  # bytes before a marker
    np.testing.assert_array_equal(decode_jpeg(garbage, "a"), expected)
