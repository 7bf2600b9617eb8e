"""Encoded pictures: formats of a list, limits read from heads, no pipe waited for, failures with their row."""

from __future__ import annotations

import ast
import io
import os
import random
import resource
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.data.checking.scan import inspect_picture
from sightline.data.pictures.images import image_size, named_key, open_image, read_whole, stored_key
from sightline.data.pictures.opener import FORMATS, MAX_PIXELS, PictureError, opened_picture, pixel_limit
from sightline.errors import ConfigError, DataError
from tests.data.checking.trap_files import noise_picture

SOURCE = Path(__file__).parents[2] / "src" / "sightline"
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%BeginPreview: 9 9 1 9\n%%EOF\n"


def encoded(form: str, image: Image.Image | None = None, **options: object) -> bytes:
    content = io.BytesIO()
    (image or noise_picture(40, 30)).save(content, form, **options)
    return content.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_head(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def webp_head(side: int) -> bytes:
    """A lossless WebP of 34 bytes that says how large it is, and no more."""
    bits = struct.pack("<I", (side - 1) | (side - 1) << 14)
    body = b"WEBPVP8L" + struct.pack("<I", 14) + b"\x2f" + bits + bytes(9)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def icon_of(picture: bytes) -> bytes:
    """An icon whose directory says 16 x 16, whatever the picture in it has."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(picture), 22) + picture


def tiff_of(*tags: tuple[int, int, int]) -> bytes:
    """A little TIFF of these (tag, type, value), with four bytes of pixels behind."""
    body = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags
    )
    return b"II*\0\x08\0\0\0" + body + bytes(4) + b"abcd"


def large_tile() -> bytes:
    sizes = ((256, 4, 10), (257, 4, 10), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1))
    return tiff_of(*sizes, (322, 4, 40_000), (323, 4, 40_000), (324, 4, 140), (325, 4, 4))


def many_scans() -> bytes:
    """A progressive JPEG whose last scan is there 200 times."""
    content = encoded("JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * 200 + b"\xff\xd9"


BOMBS = {
    "a WebP of 34 bytes": (webp_head(13_000), "13000 x 13000 pixels"),
    "a WebP with a canvas": (
        b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + struct.pack("<I", 15_999)[:3] * 2 + bytes(4),
        "16000 x 16000 pixels",
    ),
    "a PNG": (png_head(40_000, 40_000) + png_chunk(b"IDAT", b""), "40000 x 40000 pixels"),
    "a PNG in an icon": (icon_of(png_head(12_000, 12_000)), "12000 x 12000 pixels"),
    "a bitmap in an icon": (icon_of(struct.pack("<IiiHHIIiiII", 40, 9_000, -18_000, 1, 32, *[0] * 6)), "9000 x 18000"),
    "a GIF": (b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\0;", "65535 x 65535 pixels"),
    "a GIF whose frame is larger": (b"GIF89a\x09\0\x09\0\0\0\0,\0\0\0\0\0\x40\0\x40\0\x02\0;", "268435456 pixels"),
    "a BMP": (b"BM" + bytes(8) + struct.pack("<IIiiHHIIiiII", 54, 40, 20_000, 9_000, 1, 24, *[0] * 6), "20000 x 9000"),
    "a PPM": (b"P6 30000 30000 255\n", "30000 x 30000 pixels"),
    "a TGA": (struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 60_000, 60_000, 24, 0), "60000 x 60000 pixels"),
    "a TIFF with a tile larger than it": (large_tile(), "40000 x 40000 pixels"),
    "a JPEG of many scans": (many_scans(), "scans"),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_of_many_pixels_is_refused_with_the_number_before_any_is_decoded(bomb):
    content, number = BOMBS[bomb]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for function in (open_image, image_size, read_whole):
        with pytest.raises(DataError, match=rf"rows.jsonl row 3: the image \(.* bytes\) has .*{number}"):
            function(content, "rows.jsonl row 3")
    found = inspect_picture(content)
    assert found.problem == "too_large" and number in found.reason
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024  # kB


def test_no_pixel_limit_of_pillow_is_the_one_that_holds(monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(DataError, match="over the limit of 89,478,485"):
        open_image(png_head(10_000, 10_000) + png_chunk(b"IDAT", b""), "row 1")
    assert not recwarn.list


def test_the_limit_can_be_raised_and_lowered_for_every_command(monkeypatch):
    content = encoded("PNG")
    monkeypatch.setenv("SIGHTLINE_MAX_PIXELS", "1199")
    for function in (open_image, image_size, read_whole):
        with pytest.raises(DataError, match="has 40 x 30 pixels, over the limit of 1,199"):
            function(content, "row 1")
    with pytest.raises(DataError, match="has 40 x 30 pixels, over the limit of 1,199"):
        open_image(noise_picture(40, 30), "row 1")
    monkeypatch.setenv("SIGHTLINE_MAX_PIXELS", "150000000")
    assert pixel_limit() == 150_000_000
    for wrong in ("0", "-1", "many", "1e8", "178956971"):
        monkeypatch.setenv("SIGHTLINE_MAX_PIXELS", wrong)
        with pytest.raises(ConfigError, match=f"SIGHTLINE_MAX_PIXELS: expected a number of pixels .* got '{wrong}'"):
            pixel_limit()
    monkeypatch.delenv("SIGHTLINE_MAX_PIXELS")
    assert pixel_limit() == MAX_PIXELS


FOREIGN = {
    "EPS": POSTSCRIPT,
    "PSD": b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3),
    "FITS": b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800),
    "WMF": b"\xd7\xcd\xc6\x9a\0\0" + bytes(60),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(60),
    "GRIB": b"GRIB\0\0\0\x01" + bytes(60),
    "BUFR": b"BUFR" + bytes(60),
    "PCX": b"\x0a\x05\x01\x08" + bytes(124),
    "MIC": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
}


@pytest.mark.parametrize("form", FOREIGN)
@pytest.mark.parametrize("name", ["a.jpg", "a.eps"])
def test_other_formats_are_refused_whatever_they_are_called(form, name, tmp_path, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("a program was started"))
    path = tmp_path / name
    path.write_bytes(FOREIGN[form])
    for function in (open_image, image_size, read_whole):
        with pytest.raises(DataError, match=rf"row 1: image '.*{name}' is no picture that Pillow can read \("):
            function(str(path), "row 1")
    assert inspect_picture(str(path)).problem == "unreadable"


def test_what_a_foreign_file_is_stands_in_its_message():
    for content, what in {
        POSTSCRIPT: "PostScript", FOREIGN["PSD"]: "Photoshop", b"%PDF-1.7": "PDF", b"": "empty",
        b"\0\0\0\x18ftypheic": "HEIC", b"<html>": "a web page", b"a\x1b[2Jb": "^text$",
    }.items():  # fmt: skip
        with pytest.raises(PictureError, match=what), opened_picture(content):
            pass


def test_the_formats_that_people_have_are_opened():
    image = noise_picture(40, 30)
    assert {"PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"} <= set(FORMATS)
    for form in FORMATS:
        options = {"sizes": [(40, 30)]} if form == "ICO" else {}
        assert open_image(encoded(form, image, **options), "row 1").size == (40, 30)
    assert open_image(encoded("MPO", image, save_all=True, append_images=[image]), "row 1").size == (40, 30)
    assert not {"EPS", "FITS", "WMF", "GRIB", "HDF5", "BUFR", "PSD"} & set(FORMATS)


@pytest.mark.parametrize("form", ["PNG", "GIF", "WEBP", "AVIF", "TIFF"])
def test_of_many_frames_one_is_decoded(form, monkeypatch):
    first = Image.new("RGB", (64, 64), "red")
    content = encoded(
        form, first, save_all=True, append_images=[Image.new("RGB", (64, 64), (0, 0, n % 256)) for n in range(1, 100)]
    )
    seeks: list[int] = []
    original = Image.Image.seek

    def seek(image: Image.Image, frame: int) -> None:
        seeks.append(frame)
        original(image, frame)

    monkeypatch.setattr(Image.Image, "seek", seek)
    pixel: Any = open_image(content, "row 1").getpixel((9, 9))
    assert pixel[0] > 240 and pixel[1] < 20 and pixel[2] < 20 and len(seeks) < 3


def test_pipes_devices_and_folders_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to("/dev/zero")
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere")
    problems: dict[str, list[str]] = {}

    def look() -> None:
        for name in ("pipe.png", "folder.png", "link.png", "lost.png", "a\0b.png", "x" * 300 + ".png"):
            path = str(tmp_path / name)
            for function in (open_image, image_size, read_whole):
                try:
                    function(path, "rows row 2")
                except DataError as error:
                    problems.setdefault(name[:9], []).append(str(error))
            with pytest.raises(OSError):
                stored_key(path)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive() and all(len(found) == 3 for found in problems.values()) and len(problems) == 6
    assert "expected a file, got a pipe" in problems["pipe.png"][0] and "got a device" in problems["link.png"][0]
    assert "got a folder" in problems["folder.pn"][0]
    assert "not found" in problems["lost.png"][0] and "not found" in problems["a\0b.png"][0]


def test_a_file_larger_than_any_picture_is_not_read(tmp_path):
    with (tmp_path / "a.webp").open("wb") as file:
        file.write(b"RIFF\0\0\0\0WEBPVP8L")
        file.truncate(40 * 2**30)  # of holes
    with pytest.raises(DataError, match=r"row 1: image '.*a.webp' cannot be read: it has 42,949,672,960 bytes"):
        open_image(str(tmp_path / "a.webp"), "row 1")


def test_a_file_that_may_not_be_read_is_an_error_of_its_row(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(encoded("PNG"))

    def refuse(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("sightline.data.pictures.opener.os.open", refuse)
    for function in (open_image, image_size, read_whole, named_key):
        with pytest.raises(DataError, match=r"row 1: image '.*a.png' cannot be read: Permission denied. Give"):
            function(str(tmp_path / "a.png"), "row 1")
    assert inspect_picture(str(tmp_path / "a.png")).problem == "denied"


def broken(random_: random.Random) -> bytes:
    """A picture of some format with bytes cut, flipped, taken out or put in."""
    form = random_.choice([*FORMATS, "PNG", "JPEG", "TIFF"])
    content = bytearray(encoded(form, noise_picture(24, 16)))
    place = random_.randrange(len(content))
    way = random_.randrange(4)
    if way == 0:
        return bytes(content[:place])
    if way == 1:
        del content[place : place + random_.randrange(1, 30)]
    if way == 2:
        content[place:place] = random_.randbytes(random_.randrange(1, 30))
    for _ in range(random_.randrange(1, 5)):
        content[random_.randrange(min(len(content), 150))] = random_.choice((0, 127, 128, 255))
    return bytes(content)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_pictures_broken_in_any_way_are_errors_of_their_row():
    random_ = random.Random(0)
    for _ in range(400):
        content = broken(random_)
        for function in (open_image, image_size, read_whole):
            try:
                function(content, "rows row 9")
            except DataError as error:
                assert str(error).startswith("rows row 9: the image (")
        inspect_picture(content)


def test_a_png_whose_text_unpacks_to_megabytes_is_an_error_of_its_row():
    content = encoded("PNG")
    for chunk in (
        png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2_000_000), 9)),
        png_chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(2_000_000), 9)),
        png_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(2_000_000), 9)),
    ):
        with pytest.raises(DataError, match=r"rows row 9: the image \(.* is damaged: .*too large"):
            open_image(content[:33] + chunk + content[33:], "rows row 9")


def test_pictures_are_opened_at_one_place():
    """Whatever opens a picture by itself passes by the formats and the limits."""
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "PIL" not in text and "load_image" not in text:
            continue
        tree = ast.parse(text)
        used = {
            f"{node.value.id}.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        }
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert not used & {"Image.open", "OpenImage.open", "ImageFile.Parser", "image_utils.load_image"}, path
        assert not {"load_image", "open_image_file"} & names, path
        assert path.name == "opener.py" or "Image.OPEN" not in used, path
