from __future__ import annotations

import numpy as np
import pytest

from rove_core.errors import PolicyError
from rove_inference.bundle import CameraSpec, Crop
from rove_inference.preprocess import prepare_image


def test_shrinking_averages_areas_and_brings_channels_to_the_front() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[:2, :2, 0] = 100
    image[2:, 4:, 2] = [[0, 100], [100, 200]]
    prepared = prepare_image(image, CameraSpec(name="head", width=3, height=2))
    assert prepared.shape == (3, 2, 3)
    assert prepared[0].tolist() == [[100, 0, 0], [0, 0, 0]]
    assert prepared[2].tolist() == [[0, 0, 0], [0, 0, 100]]
    assert prepared.flags.c_contiguous


def test_the_crop_is_cut_before_resizing() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    image[5:, 10:] = 255
    camera = CameraSpec(name="head", width=5, height=5, crop=Crop(left=0.5, top=0.5))
    assert (prepare_image(image, camera) == 255).all()


def test_a_picture_of_the_right_size_is_not_changed() -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    prepared = prepare_image(image, CameraSpec(name="head", width=32, height=24))
    np.testing.assert_array_equal(prepared.transpose(1, 2, 0), image)


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_colour_picture_is_refused(image: np.ndarray) -> None:
    with pytest.raises(PolicyError, match="camera 'head': picture of shape"):
        prepare_image(image, CameraSpec(name="head", width=2, height=2))
