"""Pictures get transformers' sizes and values; tiny, huge and narrow ones are handled or refused by name."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from PIL import Image
from transformers.models.vilt.image_processing_pil_vilt import ViltImageProcessorPil

from sightline.data.pictures.augmentation import OPERATIONS, rand_augment
from sightline.data.vilt.pictures import PictureReader, PictureShape, check_shapes, to_tensors
from sightline.data.vilt.sources import PictureCheck
from sightline.errors import DataError


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (500, 375), (333, 500), (64, 64), (1200, 300), (1, 1)])
def test_pixels_and_masks_equal_those_of_transformers(size):
    image, square = noise(*size), noise(96, 96, 1)
    expected = ViltImageProcessorPil(size={"shortest_edge": 96}, size_divisor=32)([image, square], return_tensors="pt")
    reader = PictureReader(PictureShape(96, 32))
    values, mask = to_tensors([reader.read(picture, "row 1") for picture in (image, square)])
    torch.testing.assert_close(values, expected["pixel_values"], atol=1e-5, rtol=0)
    assert torch.equal(mask, expected["pixel_mask"])


def test_the_papers_bounds():
    """384 by 639, floored to multiples of 32: a COCO picture of 640 x 480 becomes 512 x 384, a panorama 608 wide."""
    assert PictureShape().target(640, 480, "") == (512, 384)
    assert PictureShape().target(3000, 1000, "") == (608, 192)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_sides_are_whole_patches_within_bounds(width, height):
    shape = PictureShape(384, 32)
    try:
        wide, high = shape.target(width, height, "row")
    except DataError:
        assert max(width, height) / min(width, height) > 639 / 32 - 1
        return
    assert wide % 32 == 0 and high % 32 == 0
    assert 32 <= min(wide, high) <= 384 and max(wide, high) <= 639


def test_a_picture_of_forty_megapixels_is_read(tmp_path):
    path = tmp_path / "large.jpg"
    Image.new("RGB", (8000, 5000), "red").save(path)
    check = PictureCheck()
    check.require(str(path), "row 1")
    check_shapes([(str(path), "row 1")], PictureShape(64, 32), check)
    assert check.sizes == {str(path): (8000, 5000)} and not check.bad.problems
    assert PictureReader(PictureShape(64, 32)).read(str(path), "row 1").shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: Image.new("RGB", (4000, 3)).save(path),
            r"rows row 7: the picture has 4000 x 3 pixels, too narrow",
        ),
        (lambda path: path.write_bytes(b"no picture"), r"rows row 7: image '.*' is no picture that Pillow can read"),
        (lambda path: None, r"rows row 7: image '.*' not found"),
    ],
)
def test_pictures_that_cannot_be_used_are_refused_with_their_row(make, message, tmp_path):
    path = tmp_path / "picture.png"
    make(path)
    check = PictureCheck()
    for row in ("rows row 7", "rows row 9"):
        with check.bad.of_row(row):
            check.require(str(path), row)
            check_shapes([(str(path), row)], PictureShape(64, 32), check)
    with pytest.raises(DataError, match=message) as caught:
        check.bad.settle(0)
    assert "\nrows row 9: " in str(caught.value), "every row of a picture is named"


def test_a_picture_is_decoded_once_and_the_oldest_leaves_first(tmp_path):
    paths = [str(tmp_path / f"{index}.png") for index in range(3)]
    for index, path in enumerate(paths):
        noise(32, 32, index).save(path)
    reader = PictureReader(PictureShape(32, 32), cache_bytes=2 * 32 * 32 * 3)
    first = reader.read(paths[0], "")
    assert reader.read(paths[0], "") is first
    reader.read(paths[1], "")
    reader.read(paths[2], "")
    assert reader.read(paths[0], "") is not first


def test_augmenting_changes_pictures_by_the_seed_alone_and_keeps_their_size():
    pixels = np.asarray(noise(48, 32))
    twice = [rand_augment(pixels, np.random.default_rng(3)) for _ in range(2)]
    assert np.array_equal(twice[0], twice[1])
    assert twice[0].shape == pixels.shape
    assert {rand_augment(pixels, np.random.default_rng(seed)).tobytes() for seed in range(8)} != {pixels.tobytes()}


def test_augmenting_neither_inverts_nor_cuts_out():
    assert len(OPERATIONS) == 14 and not {"invert", "cutout"} & set(OPERATIONS)


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_each_change_gives_a_picture_of_the_same_size(name):
    low, high, change = OPERATIONS[name]
    for sign in (-1, 1):
        changed = change(noise(48, 32), low + 0.3 * (high - low), sign)
        assert changed.size == (48, 32) and changed.mode == "RGB"


def test_a_picture_that_was_replaced_is_read_anew(tmp_path):
    path = tmp_path / "a.bmp"
    reader = PictureReader(PictureShape(32, 16))
    read = []
    for seed in (0, 1):
        stat = path.stat() if seed else None
        noise(32, 32, seed).save(path)
        if stat is not None:
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        read.append(reader.read(str(path), "row 1"))
    assert (read[0] != read[1]).any() and reader.read(str(path), "row 1") is read[1]
