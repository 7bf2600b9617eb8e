"""Find what stands twice, equal or nearly: images, rows, questions, and evaluation data inside training data."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from sightline.data.checking.findings import Example, Findings, Place
from sightline.data.checking.rows import RowKeys, plain_words, read_texts, shorten
from sightline.data.checking.scan import Looks, Scan, most_alike, thread_count
from sightline.data.marks import MARK
from sightline.data.pictures.images import upright_rgb
from sightline.data.pictures.opener import opened_picture


def distinct_pictures(found: Scan) -> dict[str, int]:
    """The first picture of each content that could be read."""
    first: dict[str, int] = {}
    for index, picture in enumerate(found.pictures):
        if picture.content:
            first.setdefault(picture.content, index)
    return first


def looks_of(found: Scan, pictures: Iterable[int]) -> Looks:
    """The looks of some pictures."""
    chosen = [found.pictures[index] for index in pictures]
    return Looks.of([picture.look for picture in chosen], [(picture.width, picture.height) for picture in chosen])


def confirm_copies(pairs: list[tuple[Scan, int, Scan, int]]) -> list[bool]:
    """Whether the pictures of each pair, which look alike, are copies of each other; opens them again, in threads."""

    def confirm(pair: tuple[Scan, int, Scan, int]) -> bool:
        one, index, other, other_index = pair
        return are_copies(one.stored(index), other.stored(other_index))

    with ThreadPoolExecutor(thread_count()) as threads:
        return list(threads.map(confirm, pairs))


def find_picture_duplicates(found: Scan, findings: Findings) -> None:
    """Note pictures that are stored twice, and copies of pictures that were resized or compressed again."""
    first = distinct_pictures(found)
    for index, picture in enumerate(found.pictures):
        other = first.get(picture.content, index)
        if other != index:
            findings.add("same_picture", pair_example(found, index, found, other))
    order = list(first.values())
    twins = most_alike(looks_of(found, order))
    pairs = [(found, order[place], found, order[twin]) for place, twin in enumerate(twins) if twin >= 0]
    for pair, is_copy in zip(pairs, confirm_copies(pairs), strict=True):
        if is_copy:
            findings.add("near_picture", pair_example(*pair))


def find_row_duplicates(found: Scan, keys: list[RowKeys], findings: Findings) -> None:
    """Note rows that repeat another, that answer its question in another way, or prefer the other of its answers."""
    contents = [row_contents(found, row) for row in range(len(found.shown))]
    rows: dict[tuple[object, bytes], int] = {}
    answered: dict[tuple[object, bytes], tuple[int, bytes]] = {}
    preferred: dict[tuple[object, bytes | None, bytes, bytes], int] = {}
    for row, (shown, row_keys) in enumerate(zip(contents, keys, strict=True)):
        first = rows.setdefault((shown, row_keys.words), row)
        if first != row:
            findings.add("same_row", _row_example(found, row, f"as {found.row_name(first)}"))
            continue
        other = _turned(row, shown, row_keys, preferred)
        if other is not None:
            findings.add("turned_preference", _row_example(found, row, f"against {found.row_name(other)}"))
        if not row_keys.rejected:
            other = _answered_differently(row, shown, row_keys, answered)
            if other is not None and found.row_name(other) != found.row_name(row):  # five captions may lie in one
                detail = _two_answers(found, row, other) if findings.wants_example("other_answer") else ""
                findings.add("other_answer", _row_example(found, row, detail))


def row_contents(found: Scan, row: int) -> tuple[object, ...]:
    """What tells the pictures of a row from others: their contents, or what is stored where they cannot be read."""
    return tuple(found.pictures[index].content or index for index in found.shown[row])


def pair_example(one: Scan, index: int, other: Scan, other_index: int) -> Example:
    """Two pictures that are the same or alike, each by the first row that shows it."""
    places = (one.places[index], other.places[other_index])
    return Example(one.row_name(places[0].row), f"like {other.row_name(places[1].row)}", places)


def _row_example(found: Scan, row: int, detail: str) -> Example:
    places = tuple(Place(found.number, row, part) for part in range(len(found.shown[row])))
    return Example(found.row_name(row), detail, places[:1])


def _two_answers(found: Scan, row: int, other: int) -> str:
    """The first question that two rows answer differently, with both answers."""
    answers = {plain_words(asked or ""): said for asked, said in read_texts(found.dataset[other]).turns}
    for asked, said in read_texts(found.dataset[row]).turns:
        elsewhere = answers.get(plain_words(asked or ""), said)
        if said != elsewhere:
            question, here = shorten(MARK.sub("", asked or "")), shorten(said)
            return f"'{question}' is '{here}' here, '{shorten(elsewhere)}' in {found.row_name(other)}"
    return f"unlike {found.row_name(other)}"


def _answered_differently(
    row: int, shown: tuple[object, ...], keys: RowKeys, answered: dict[tuple[object, bytes], tuple[int, bytes]]
) -> int | None:
    """The earlier row that answers a question of this one about the same pictures in another way."""
    if not shown:
        return None
    found = None
    for asked, said in keys.turns:
        if asked is None:
            continue
        first, answer = answered.setdefault((shown, asked), (row, said))
        if answer != said and first != row:
            found = first
    return found


def _turned(
    row: int, shown: tuple[object, ...], keys: RowKeys, preferred: dict[tuple[object, bytes | None, bytes, bytes], int]
) -> int | None:
    """The earlier row that prefers what this one rejects, for the same question about the same pictures."""
    asked, chosen = keys.turns[-1]
    found = None
    for rejected in keys.rejected:
        found = preferred.get((shown, asked, rejected, chosen), found)
        preferred.setdefault((shown, asked, chosen, rejected), row)
    return found


# A copy made by the same steps differs from the other one only by how it was scaled. In levels of 255, of 200 pictures
# each of 5 kinds (emoji, flat shapes, puzzles, photos, X-rays), at most 1 in 100 of true copies lay over 4.7 (means of
# 2 x 2 pixels) and 26 (the largest difference of 4 x 4 pixels), and 1 in 100 of the nearest others under 6.0 and 38.
MEAN_LEVELS, PEAK_LEVELS, CONTRAST_SHARE, LEAST_LEVELS = 5.5, 32.0, 0.12, 1.5
MAX_SIDE = 1024
COMPARED_SIDE = 256  # without the same compression pictures are compared small, where it averages out


def are_copies(one: Any, other: Any) -> bool:
    """Whether one picture is the other one, resized or compressed again.

    Takes paths or encoded bytes of pictures that can be read. Scaling alone is blind to small pictures: at 64 x 64
    pixels a JPEG of quality 50 lies as far from its original as the next flat drawing does.
    """
    (first, first_jpeg), (second, second_jpeg) = _opened(one), _opened(other)
    smaller, larger = sorted((first, second), key=lambda image: image.width * image.height)
    if _are_equal(larger, smaller, None):
        return True
    ways = ((second, first, first_jpeg), (first, second, second_jpeg))
    return any(jpeg is not None and _are_equal(source, target, jpeg) for source, target, jpeg in ways)


def _opened(stored: Any) -> tuple[Image.Image, JpegImageFile | None]:
    """A picture of at most MAX_SIDE, and the file itself where that shows its pixels as they were compressed."""
    with opened_picture(stored) as image:
        full = image.size
        image.draft("RGB", (MAX_SIDE, MAX_SIDE))
        rgb = upright_rgb(image)
        if max(rgb.size) > MAX_SIDE:
            rgb.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BICUBIC)
    if isinstance(image, JpegImageFile) and image.mode == "RGB" and rgb.size == full:
        return rgb, image
    return rgb, None


def _are_equal(source: Image.Image, target: Image.Image, jpeg: JpegImageFile | None) -> bool:
    """Whether the source becomes the target by scaling and by the target's own compression."""
    if jpeg is None:
        target = target.copy()
        target.thumbnail((COMPARED_SIDE, COMPARED_SIDE), Image.Resampling.BICUBIC)
    scaled = source.resize(target.size, Image.Resampling.BICUBIC)
    if jpeg is not None:
        buffer = BytesIO()
        scaled.save(buffer, "JPEG", qtables=jpeg.quantization, subsampling=get_sampling(jpeg))
        with opened_picture(buffer.getvalue()) as compressed:
            scaled = compressed.copy()
    difference = _means(scaled, 2) - _means(target, 2)
    contrast = float(_means(target, 2).reshape(-1, 3).std(0).max())
    allowed = min(MEAN_LEVELS, max(LEAST_LEVELS, CONTRAST_SHARE * contrast))
    if float(np.sqrt((difference**2).mean())) > allowed:
        return False
    return float(np.abs(_means(scaled, 4) - _means(target, 4)).max()) <= PEAK_LEVELS


def _means(image: Image.Image, side: int) -> np.ndarray:
    """Means over squares of pixels; those at the edges may be smaller."""
    return np.asarray(image.reduce(side), dtype=np.float32)


@dataclass(frozen=True)
class Leaks:
    """How much of an evaluation source the training data hold.

    Attributes:
        pictures: distinct pictures that could be read.
        same_pictures: of these, in the training data pixel for pixel.
        copied_pictures: of these, resized or compressed again.
        leaked_rows: rows that show one of them.
        leaked_questions: rows whose question about one of them is in the training data, too, in any spelling.
    """

    source: str
    rows: int
    pictures: int
    same_pictures: int
    copied_pictures: int
    leaked_rows: int
    leaked_questions: int


def find_leaks(
    source: str, train: Scan, train_keys: list[RowKeys], tested: Scan, tested_keys: list[RowKeys], findings: Findings
) -> Leaks:
    """Note every row of the evaluation source `source` that training has seen, by its picture or with its question."""
    known = distinct_pictures(train)
    same = {content: known[content] for content in distinct_pictures(tested) if content in known}
    copied = _copies(train, known, tested, same)
    match = {**same, **copied}
    asked_of = _questions_by_picture(train, train_keys)
    asked = {question for _, question in asked_of}
    leaked_rows = leaked_questions = 0
    for row, keys in enumerate(tested_keys):
        shown = [index for index in tested.shown[row] if tested.pictures[index].content in match]
        leaked_rows += bool(shown)
        for index in shown[:1]:
            content = tested.pictures[index].content
            kind = "leaked_picture" if content in same else "leaked_copy"
            findings.add(kind, _example(tested, row, index, train, match[content]))
        contents: list[str | None] = [train.pictures[match[tested.pictures[index].content]].content for index in shown]
        about = contents if tested.shown[row] else [None]
        questions = [question for question, _ in keys.turns if question is not None]
        if any((content, question) in asked_of for content in about for question in questions):
            leaked_questions += 1
            findings.add("leaked_question", Example(tested.row_name(row), _where(train, match, tested, shown)))
        elif any(question in asked for question in questions):
            findings.add("known_question", Example(tested.row_name(row)))
    distinct = len(distinct_pictures(tested))
    return Leaks(source, len(tested.shown), distinct, len(same), len(copied), leaked_rows, leaked_questions)


def _copies(train: Scan, known: dict[str, int], tested: Scan, same: dict[str, int]) -> dict[str, int]:
    """For each content of the evaluation source the training picture that it is a copy of; without those in `same`."""
    order = [index for content, index in distinct_pictures(tested).items() if content not in same]
    references = list(known.values())
    if not order or not references:
        return {}
    twins = most_alike(looks_of(tested, order), looks_of(train, references))
    pairs = [(tested, order[place], train, references[twin]) for place, twin in enumerate(twins) if twin >= 0]
    copied = zip(pairs, confirm_copies(pairs), strict=True)
    return {tested.pictures[index].content: other for (_, index, _, other), is_copy in copied if is_copy}


def _questions_by_picture(train: Scan, keys: list[RowKeys]) -> set[tuple[str | None, bytes]]:
    """Each picture's content with each question about it; None stands for rows without pictures."""
    found: set[tuple[str | None, bytes]] = set()
    for shown, row in zip(train.shown, keys, strict=True):
        contents: list[str | None] = [train.pictures[index].content for index in shown]
        found |= {(content, asked) for content in contents or [None] for asked, _ in row.turns if asked is not None}
    return found


def _example(tested: Scan, row: int, index: int, train: Scan, other: int) -> Example:
    pair = pair_example(tested, index, train, other)
    return Example(tested.row_name(row), pair.detail, pair.places)


def _where(train: Scan, match: dict[str, int], tested: Scan, shown: list[int]) -> str:
    """The training row that first shows the picture."""
    if not shown:
        return "a question without a picture"
    place = train.places[match[tested.pictures[shown[0]].content]]
    return f"about the picture of {train.row_name(place.row)}"
