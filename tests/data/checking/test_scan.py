"""Pictures one at a time: every trap is handled or refused with its reason, and no bomb is decoded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sightline.data.checking.scan import inspect_picture
from sightline.data.pictures.columns import PictureAccess, PictureFinder
from sightline.data.pictures.images import content_key, open_image
from sightline.errors import DataError
from tests.data.checking.trap_files import noise_picture, write_traps

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")


@pytest.fixture(scope="module")
def traps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_traps(tmp_path_factory.mktemp("traps"))


@pytest.mark.parametrize(
    ("trap", "problem", "reason"),
    [
        ("missing", "missing", "is not there"),
        ("empty", "unreadable", "empty: 0 bytes"),
        ("text", "unreadable", "text"),
        ("svg", "unreadable", "SVG"),
        ("web_page", "unreadable", "web page"),
        ("lfs", "unreadable", "git lfs pull"),
        ("cut", "truncated", "truncated"),
        ("cut_head", "truncated", "in its head"),
        ("wide", "wide_values", "from 70000 to 70000"),
        ("bomb", "too_large", "13342 x 13342 pixels"),
    ],
)
def test_what_cannot_train_is_refused_with_its_reason(traps, trap, problem, reason):
    found = inspect_picture(str(traps[trap]))
    assert found.problem == problem and reason in found.reason and not found.content
    if trap != "missing":
        assert inspect_picture(traps[trap].read_bytes()) == found, "the same from bytes as from a file"


@pytest.mark.parametrize(
    ("trap", "trait"),
    [
        ("animated", "animated"),
        ("cmyk", "cmyk"),
        ("sixteen_bit", "sixteen_bit"),
        ("palette", "transparent"),
        ("vanishing", "vanishing"),
        ("turned", "turned"),
        ("strip", "strip"),
    ],
)
def test_what_is_odd_is_readable_and_named(traps, trap, trait):
    found = inspect_picture(str(traps[trap]))
    assert found.problem == "" and [name for name, _ in found.traits] == [trait] and found.content


def test_what_training_opens_of_odd_pictures(traps):
    assert open_image(traps["animated"], "row 1").getpixel((5, 5)) == (255, 0, 0)  # the first frame
    assert open_image(traps["turned"], "row 1").size == (64, 96)
    assert open_image(traps["cmyk"], "row 1").mode == "RGB"
    assert open_image(traps["palette"], "row 1").getpixel((15, 15)) == (0, 0, 255)
    assert open_image(traps["palette"], "row 1").getpixel((0, 0)) == (255, 255, 255)  # what shines through is white
    assert (inspect_picture(str(traps["turned"])).width, inspect_picture(str(traps["turned"])).height) == (64, 96)
    assert open_image(traps["strip"], "row 1").size == (1, 5000)


def test_greys_of_16_bits_keep_their_upper_8(traps):
    # 4,096 greys from 0 to 65,535 at even distances: the upper bytes run evenly from 0 to 255, 16 pixels each.
    pixels = np.asarray(open_image(traps["sixteen_bit"], "row 1"))
    assert np.array_equal(np.bincount(pixels[..., 0].ravel(), minlength=256), np.full(256, 16))


def test_a_key_of_pixels_made_in_strips_is_that_of_the_whole(monkeypatch):
    picture = noise_picture(50, 33)
    whole = content_key(picture)
    monkeypatch.setattr("sightline.data.pictures.images.STRIP_PIXELS", 500)
    assert content_key(picture) == whole
    assert content_key(picture.crop((0, 0, 50, 32))) != whole


def test_an_address_is_not_fetched():
    assert inspect_picture("https://example.com/a.png").problem == "remote"


def test_the_limit_is_read_from_the_head(tmp_path):
    noise_picture(100, 50).save(tmp_path / "a.png")
    assert inspect_picture(str(tmp_path / "a.png"), max_pixels=5000).problem == ""
    assert inspect_picture(str(tmp_path / "a.png"), max_pixels=4999).reason == "100 x 50 pixels"


def test_traps_take_no_memory(traps):
    """The bomb alone would take 178 MB as pixels of one byte, and 534 MB in RGB."""
    code = """
import resource, sys
from sightline.data.checking.scan import inspect_picture
inspect_picture(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    inspect_picture(path)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    paths = [str(traps["turned"]), *map(str, traps.values())]
    done = subprocess.run([sys.executable, "-c", code, *paths], stdout=subprocess.PIPE, text=True, check=True)
    assert int(done.stdout) < 8 * 1024  # kB


@pytest.mark.parametrize("value", [{"other": "a.png"}, 5, {"base64": "no base64!"}])
def test_a_row_that_names_no_picture_is_told_as_elsewhere(value: object, tmp_path: Path) -> None:
    finder = PictureFinder(tmp_path, PictureAccess(keep_missing=True))
    found = inspect_picture(finder.record(value, "row 1")["bytes"])
    with pytest.raises(DataError) as told:
        PictureFinder(tmp_path, PictureAccess()).record(value, "row 1")
    assert (found.problem, f"row 1: {found.reason}") == ("unreadable", str(told.value))
