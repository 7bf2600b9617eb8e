"""Image marks in texts (`<image>`, `[img]`, ...): find them, number them, and split texts at them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from sightline.errors import DataError

Row = dict[str, Any]

IMAGE_MARK = "<image>"
# <image>, <Image 1>, <image_1>, <|image|>, <|image_1|>, and what Qwen, Gemma, InternLM-XComposer, DeepSeek and others
# write. <img> alone is HTML, too: it is a mark at the start or the end of a text, or around a path as Qwen-VL has it.
_SPELT = (
    r"<\|vision_start\|><\|image_pad\|><\|vision_end\|>|<\|image_pad\|>|<start_of_image>|<image_soft_token>"
    r"|<image_placeholder>|<image_(?:token|pad)>|<image ?/>|<IMG_CONTEXT>"
    r"|<ImageHere>|\[IMG\]|\[IMAGE\]|<img>[^<>]{1,4096}</img>|\A\s*<img>|<img>\s*\Z"
    r"|<\|?(?:image(?:[ _-]?(?P<number>\d+))?|img[ _-]?(?P<short>\d+))\|?>"
)
MARK = re.compile(_SPELT, re.IGNORECASE)
_WITH_BLANKS = re.compile(rf"\s*(?:{_SPELT})\s*", re.IGNORECASE)
# What Arrow finds in each text that may have a mark.
MAY_MARK = r"(?i)<\|?(?:image|img|start_of_image|vision_start)|\[IMA?GE?\]"


def count_marks(text: str) -> int:
    """How many marks a text has."""
    return len(_marks(text))


def marked_pictures(text: str) -> int:
    """How many pictures a text marks: a number that comes again is one of them."""
    given = [mark.group("number") or mark.group("short") for mark in _marks(text)]
    return len({number for number in given if number}) + sum(number is None for number in given)


def unnumbered_marks(text: str) -> int:
    """How many marks of a text have no number, so that they do not refer to a picture shown elsewhere."""
    return sum(not (mark.group("number") or mark.group("short")) for mark in _marks(text))


def refuse_marked(texts: Iterable[str], which: str, name: str) -> None:
    """Raise DataError for a mark in an answer, which shows no picture; a number refers to one of the question."""
    marked = next((text for text in texts if unnumbered_marks(text)), None)
    if marked is not None:
        raise DataError(
            f"{name}: expected words alone in the {which}, got a mark for an image: {marked[:60]!r}. Take it out; "
            "only a mark in the question shows a picture."
        )


def place_pictures(texts: Sequence[str], images: int, name: str) -> list[list[Row]] | None:
    """The texts of a conversation as content parts, a picture where each mark stands, the blanks around it taken away;
    None where there is no mark.

    Numbered marks stand for the picture of their number: pictures without one come first, and a number that comes again
    stays a word.

    Raises:
        DataError: more or fewer marks than pictures, or numbers that are not in the pictures' order.

    >>> place_pictures(["<image>\\nWhat is it?"], 1, "row 1")
    [[{'type': 'image', 'text': None}, {'type': 'text', 'text': 'What is it?'}]]
    """
    marks = [(place, mark) for place, text in enumerate(texts) for mark in _marks(text)]
    if not marks:
        return None
    numbers = _numbers([mark for _, mark in marks], images, name)
    first: dict[int, int] = {}
    for index, number in enumerate(numbers):
        first.setdefault(number, index)
    order = [*(number for number in range(1, images + 1) if number not in first), *first]
    if order != sorted(order):
        shown = ", ".join(marks[index][1].group() for index in first.values())
        raise DataError(
            f"{name}: expected marks in the order of the {images} images, got {shown}. Put the images into the order "
            "in which the text shows them."
        )
    kept = set(first.values())
    parts = [
        _split(text, [mark for index, (at, mark) in enumerate(marks) if at == place and index in kept])
        for place, text in enumerate(texts)
    ]
    asked = marks[0][0]
    parts[asked] = [{"type": "image", "text": None}] * (images - len(first)) + parts[asked]
    return parts


def numbered(texts: Sequence[str], images: int, name: str) -> tuple[str, ...]:
    """The texts of one question with each mark as `<image N>`, counted on over all of them, as prompts take it. Blanks
    around marks without a number go, as in conversations.

    Raises:
        DataError: more or fewer marks than pictures.
    """
    marks = [mark for text in texts for mark in _marks(text)]
    if not marks:
        return tuple(texts)
    numbers = iter(_numbers(marks, images, name))
    counted = any(mark.group("number") or mark.group("short") for mark in marks)
    spelt = MARK if counted else _WITH_BLANKS
    return tuple(spelt.sub(lambda mark: f"<image {next(numbers)}>", text) for text in texts)


def without_marks(text: str) -> str:
    """The text without its marks and the blanks around them, for models that read one picture beside the words."""
    return " ".join(part.strip() for part in MARK.sub("\0", text).split("\0") if part.strip()) if _marks(text) else text


def _marks(text: str) -> list[re.Match[str]]:
    return list(MARK.finditer(text)) if "<" in text or "[" in text else []


def _numbers(marks: Sequence[re.Match[str]], images: int, name: str) -> list[int]:
    """For each mark the number of its picture, from 1."""
    given = [mark.group("number") or mark.group("short") for mark in marks]
    if not any(given):
        if len(marks) != images:
            raise DataError(_other_count(name, images, len(marks), marks[0].group()))
        return list(range(1, images + 1))
    from_zero = "0" in given
    numbers = [int(number) + from_zero if number else 0 for number in given]
    odd = next((mark for mark, number in zip(marks, numbers, strict=True) if not 1 <= number <= images), None)
    if odd is not None:
        raise DataError(_other_count(name, images, len(set(given)), odd.group()))
    return numbers


def _split(text: str, marks: list[re.Match[str]]) -> list[Row]:
    if not marks:
        return [{"type": "text", "text": text}]
    parts: list[Row] = []
    start = 0
    for mark in marks:
        before = text[start : mark.start()]
        parts += [
            {"type": "text", "text": before.strip() if start else before.rstrip()},
            {"type": "image", "text": None},
        ]
        start = mark.end()
    parts.append({"type": "text", "text": text[start:].lstrip()})
    return [part for part in parts if part["type"] == "image" or part["text"]]


def _other_count(name: str, images: int, marks: int, example: str) -> str:
    return (
        f"{name}: {images} image{'s' * (images != 1)}, but the text has {marks} mark{'s' * (marks != 1)} such as "
        f"{example[:80]}. Write one mark for each image, or none: then the images come first."
    )
