"""Pictures open upright and in RGB from wherever they lie; bad ones are named with their row."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.data.images import content_key, open_image
from sightline.errors import DataError

ROW = "train.jsonl row 12"


@pytest.fixture
def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(picture: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format=format, **options)
    return buffer.getvalue()


def test_path_bytes_record_and_pil_give_the_same_picture(picture: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture.save(path)
    forms = [
        path,
        str(path),
        encoded(picture),
        {"path": str(path), "bytes": None},
        {"path": None, "bytes": encoded(picture)},
    ]
    assert {content_key(open_image(form, ROW)) for form in forms} == {content_key(picture)}


def test_content_key_tells_pixels_and_shapes_apart(picture: Image.Image) -> None:
    changed = picture.copy()
    changed.putpixel((3, 3), (1, 2, 3))
    assert len({content_key(image) for image in (picture, changed, picture.resize((6, 16)))}) == 3
    assert content_key(Image.new("RGB", (2, 6))) != content_key(Image.new("RGB", (6, 2)))


def test_exif_orientation_is_applied_as_datasets_applies_it(picture: Image.Image, tmp_path: Path) -> None:
    from datasets import Image as ImageFeature

    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter
    path = tmp_path / "turned.jpg"
    picture.save(path, exif=exif, quality=100)
    ours = open_image(path, ROW)
    theirs = ImageFeature().decode_example({"path": str(path), "bytes": None})
    assert ours.size == (8, 12)
    assert content_key(ours) == content_key(theirs.convert("RGB"))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK"])
def test_other_modes_become_rgb(mode: str, picture: Image.Image) -> None:
    assert open_image(picture.convert(mode), ROW).mode == "RGB"


def test_a_missing_picture_is_named_with_its_row() -> None:
    with pytest.raises(DataError, match=r"train.jsonl row 12: image 'x/none.png' not found"):
        open_image("x/none.png", ROW)


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not a picture")
    with pytest.raises(DataError, match=r"train.jsonl row 12: image '.*a.png' is no picture that Pillow can read"):
        open_image(tmp_path / "a.png", ROW)


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_a_truncated_picture_is_named(format: str, tmp_path: Path) -> None:
    large = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    content = encoded(large, format)
    (tmp_path / "cut").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"train.jsonl row 12: image '.*cut' is damaged"):
        open_image(tmp_path / "cut", ROW)


def test_no_picture_at_all_says_what_is_expected() -> None:
    with pytest.raises(DataError, match="expected an image .* got NoneType"):
        open_image(None, ROW)
