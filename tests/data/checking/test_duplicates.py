"""Copies among pictures and between splits: found when planted, and never where pictures only look alike."""

from __future__ import annotations

import random
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from sightline.data.checking.check import Source, check_data
from sightline.data.checking.duplicates import are_copies
from sightline.data.checking.scan import REACH, Looks, glance, most_alike
from sightline.data.pictures.images import as_rgb
from tests.data.checking.trap_files import noise_picture

FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def encoded(picture: Image.Image, kind: str = "PNG", **settings: int) -> bytes:
    buffer = BytesIO()
    as_rgb(picture).save(buffer, kind, **settings)
    return buffer.getvalue()


def copied(picture: Image.Image, draw: random.Random) -> bytes:
    """The picture at half to one and a half times its size, as a JPEG of quality 50 to 90."""
    scale = draw.uniform(0.5, 1.5)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return encoded(as_rgb(picture).resize(size, draw.choice(FILTERS)), "JPEG", quality=draw.randint(50, 90))


def table(pictures: list[bytes], question: str = "what is it?") -> Dataset:
    records = [{"bytes": picture, "path": None} for picture in pictures]
    rows = {"question": [question] * len(records), "answer": [f"thing {index}" for index in range(len(records))]}
    return Dataset.from_dict({"image": records, **rows})


def test_looks_are_compared_exactly():
    """Against every pair, one at a time, by the definition: the closest earlier look within reach."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
    pixels[30:50] = np.clip(pixels[:20].astype(int) + np.random.default_rng(1).integers(-8, 9, (20, 8, 8, 3)), 0, 255)
    looks = Looks.of([glance(Image.fromarray(one)) for one in pixels], [(24, 24)] * 60)
    cells = pixels.reshape(60, -1).astype(float)
    expected = []
    for index in range(60):
        distances = [float(np.sqrt(((cells[index] - cells[other]) ** 2).mean())) for other in range(index)]
        best = int(np.argmin(distances)) if distances else -1
        expected.append(best if distances and distances[best] <= REACH else -1)
    assert most_alike(looks).tolist() == expected
    assert sum(index >= 0 for index in expected) == 20


def test_a_copy_needs_the_same_shape():
    wide, high = noise_picture(80, 40), noise_picture(40, 80)
    looks = Looks.of([glance(wide), glance(high)], [wide.size, high.size])
    assert most_alike(looks).tolist() == [-1, -1]


@pytest.mark.parametrize("quality", [50, 75, 90])
def test_a_small_drawing_moved_by_two_pixels_is_no_copy(quality):
    def drawing(left: int) -> Image.Image:
        picture = Image.new("RGB", (64, 64), (240, 230, 225))
        picture.paste((200, 40, 30), (left, 20, left + 24, 40))
        return picture

    small = encoded(drawing(12).resize((40, 40), Image.Resampling.BILINEAR), "JPEG", quality=quality)
    assert are_copies(small, encoded(drawing(12))) and are_copies(encoded(drawing(12)), small)
    assert not are_copies(small, encoded(drawing(14)))


def test_leaks_are_counted_by_row_with_the_row_that_they_copy():
    draw = random.Random(0)
    train = [noise_picture(120, 90, seed) for seed in range(20)]
    tested = [encoded(train[3]), copied(train[5], draw), encoded(noise_picture(120, 90, 99))]
    sources = [Source("test.jsonl", table(tested, "What is it"))]
    found = check_data(Source("train.jsonl", table([encoded(picture) for picture in train])), sources).check
    (leak,) = found.leaks
    assert (leak.rows, leak.pictures, leak.same_pictures, leak.copied_pictures) == (3, 3, 1, 1)
    assert (leak.leaked_rows, leak.leaked_questions) == (2, 2)
    cases = {finding.kind: [(case.row, case.detail) for case in finding.examples] for finding in found.findings}
    assert cases["leaked_picture"] == [("test.jsonl row 1", "like train.jsonl row 4")]
    assert cases["leaked_copy"] == [("test.jsonl row 2", "like train.jsonl row 6")]
    assert cases["known_question"] == [("test.jsonl row 3", "")]
    assert not found.is_clean


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("coco_cc_captions/images/*.jpg", 74),
        ("noto_emoji/images/*.png", 1207),
        ("easy_vqa/images/*/*.png", 1200),
        ("puzzlevqa/images/*/*.png", 150),
    ],
)
def test_planted_leaks_are_found_and_others_are_not(shared: Path, pattern: str, count: int):
    """Half of the pictures train, the others test, with copies of a quarter of the training half among them."""
    draw = random.Random(1)
    paths = sorted((shared / "data").glob(pattern))
    paths = draw.sample(paths, min(count, len(paths)))
    train, own = paths[: len(paths) // 2], paths[len(paths) // 2 :]
    planted = [copied(Image.open(path), draw) for path in draw.sample(train, len(train) // 4)]
    pictures = [path.read_bytes() for path in own] + planted
    sources = [Source("test", table(pictures))]
    found = check_data(Source("train", table([path.read_bytes() for path in train])), sources).check
    flagged = [case for finding in found.findings if finding.kind == "leaked_copy" for case in finding.examples]
    (leak,) = found.leaks
    wrong = sum(int(case.row.split()[-1]) <= len(own) for case in flagged)  # of the cases that are kept
    assert leak.copied_pictures >= 0.95 * len(planted)
    assert wrong == 0 and leak.copied_pictures <= len(planted) + 0.01 * len(own)
