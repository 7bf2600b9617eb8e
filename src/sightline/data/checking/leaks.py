"""Find evaluation data in training data: equal images, near copies, equal questions."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.data.checking.duplicates import confirm_copies, distinct_pictures, looks_of, pair_example
from sightline.data.checking.findings import Example, Findings
from sightline.data.checking.looks import most_alike
from sightline.data.checking.rows import RowKeys
from sightline.data.checking.scan import Scan


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
    source: str,
    train: Scan,
    train_keys: list[RowKeys],
    tested: Scan,
    tested_keys: list[RowKeys],
    findings: Findings,
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
