"""Pictures open upright and in RGB from wherever they lie; bad ones are named with their row."""

from __future__ import annotations

import ast
import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.data.pictures.images import as_rgb, content_key, open_image, stored_key
from sightline.errors import DataError
from tests.project_tree import SOURCE, source_files

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


def transparent_pictures() -> dict[str, Image.Image]:
    """Pictures of each way to be transparent, their pixels drawn at random; files that say it are written and read."""
    random = np.random.default_rng(1)
    colours = Image.fromarray(random.integers(0, 256, (9, 7, 4), dtype=np.uint8), "RGBA")
    plain = colours.convert("RGB")
    modes = {mode: colours.convert(mode) for mode in ("RGBA", "LA", "PA", "P", "RGB", "L", "1", "CMYK", "YCbCr", "HSV")}
    written = {
        "L, one grey": (plain.convert("L"), plain.convert("L").getpixel((2, 2))),
        "RGB, one colour": (plain, plain.getpixel((3, 1))),
        "P, one colour": (plain.quantize(6), 2),
        "P, opacities": (plain.quantize(6), bytes([0, 90, 255, 17])),
        "1, white": (plain.convert("1"), 255),
    }
    files = {name: encoded(image, transparency=hidden) for name, (image, hidden) in written.items()}
    files["GIF"] = encoded(plain.quantize(6), "GIF", transparency=1)
    files["WebP"] = encoded(colours, "WEBP", lossless=True)
    return modes | {name: Image.open(BytesIO(content)) for name, content in files.items()}


@pytest.mark.parametrize("way", transparent_pictures())
def test_pictures_become_rgb_to_the_bit_as_processors_make_them(way: str) -> None:
    from transformers.image_transforms import convert_to_rgb

    picture = transparent_pictures()[way]
    assert np.array_equal(np.asarray(open_image(picture, ROW)), convert_to_rgb(picture, return_numpy=True))


def test_a_shape_on_a_transparent_ground_stands_on_white() -> None:
    logo = Image.new("RGBA", (3, 1), (0, 0, 0, 0))
    logo.putpixel((1, 0), (255, 0, 0, 255))
    logo.putpixel((2, 0), (0, 0, 0, 102))  # black at 40%: 255 x 0.6
    shown = [open_image(encoded(logo), ROW).getpixel((x, 0)) for x in range(3)]
    assert shown == [(255, 255, 255), (255, 0, 0), (153, 153, 153)]


def test_greys_of_16_bits_keep_their_upper_8_where_one_of_them_is_transparent() -> None:
    greys = Image.fromarray(np.array([[1000, 2000, 7, 40000]], dtype=np.uint16))
    shown = open_image(encoded(greys, transparency=1000), ROW)
    assert np.asarray(shown)[0, :, 0].tolist() == [255, 7, 0, 156]


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_greys_of_16_bits_are_read_in_either_order_of_bytes(order: str) -> None:
    values = np.array([[0, 256, 65535]], dtype=order)
    grey = Image.frombytes("I;16" if order == "<u2" else "I;16B", (3, 1), values.tobytes())
    assert np.asarray(open_image(encoded(grey, "TIFF"), ROW))[0, :, 0].tolist() == [0, 1, 255]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([[0, 70000]], dtype=np.int32), "mode I .32 bits. run from 0 to 70000"),
        (np.array([[-1, 5]], dtype=np.int32), "from -1 to 5"),
        (np.array([[0.0, 1.0]], dtype=np.float32), "mode F .32 bits. run from 0 to 1, expected 0 to 255"),
        (np.array([[0.0, np.nan]], dtype=np.float32), "nan"),
    ],
)
def test_pixels_that_8_bits_cannot_hold_are_refused_with_their_range(values: np.ndarray, said: str) -> None:
    wide = Image.fromarray(values)
    for stored in (wide, encoded(wide, "TIFF")):
        with pytest.raises(DataError, match=f"train.jsonl row 12: .*{said}.*Save it as PNG of 8 bits"):
            open_image(stored, ROW)


def test_a_mode_without_a_way_to_rgb_is_refused_by_its_name() -> None:
    with pytest.raises(DataError, match="train.jsonl row 12: the image cannot be shown: its mode is La"):
        open_image(Image.new("RGBA", (2, 2)).convert("LA").convert("La"), ROW)


def test_the_first_frame_of_several_is_shown(picture: Image.Image) -> None:
    other = Image.new("RGB", picture.size, "blue")
    for format in ("GIF", "PNG", "WEBP", "TIFF"):
        content = encoded(picture.quantize(64), format, save_all=True, append_images=[other.quantize(64)])
        assert open_image(content, ROW).getpixel((0, 0)) != (0, 0, 255)


def test_wide_pixels_within_8_bits_are_kept() -> None:
    for kind in (np.int32, np.float32):
        wide = Image.fromarray(np.array([[0, 100, 255]], dtype=kind))
        assert np.asarray(open_image(encoded(wide, "TIFF"), ROW))[0, :, 0].tolist() == [0, 100, 255]


def test_keys_of_stored_pictures_say_by_which_rule_they_are_shown(picture: Image.Image) -> None:
    """What was kept under a hash of the content alone shows the colour beneath transparent pixels."""
    content = encoded(picture.convert("RGBA"))
    assert stored_key(content) != hashlib.blake2b(content, digest_size=16).hexdigest()


def test_no_other_file_turns_pictures_into_rgb() -> None:
    """A second way to RGB would show models, pages and endpoints different pictures."""
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in source_files()
        if path.name != "images.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "convert"
        and any(isinstance(value, ast.Constant) and value.value == "RGB" for value in node.args)
    ]
    assert found == [] and as_rgb(Image.new("L", (1, 1))).mode == "RGB"


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
