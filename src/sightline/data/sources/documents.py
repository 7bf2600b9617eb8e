"""Read published annotation files: COCO captions, Karpathy's splits, Flickr's token files, VQAv2."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.data.sources.bad_rows import BadRows
from sightline.data.sources.text_files import row_stem
from sightline.errors import DataError
from sightline.notation import read_json

Record = dict[str, Any]
Place = Callable[[tuple[str, ...]], str]

# Karpathy's `restval` are validation pictures that everybody trains on.
TRAINING_SPLITS = ("train", "restval")


@dataclass(frozen=True)
class CaptionRecord:
    """What a file says of one picture.

    Attributes:
        name: the record, for messages ("captions_val2017.json image 3").
        places: where the picture may lie, the likeliest first.
        split: of Karpathy's file.
    """

    name: str
    places: tuple[str, ...]
    captions: tuple[str, ...]
    split: str | None = None


@dataclass(frozen=True)
class QuestionRecord:
    """A question of VQAv2; `answers` are what ten people said, `answer` what most of them did."""

    name: str
    places: tuple[str, ...]
    id: int
    question: str
    answer: str = ""
    answers: tuple[str, ...] = ()
    kind: str = ""


def document_rows(content: Record, file: Path, place: Place, split: str | None, bad: BadRows) -> list[Record]:
    """The rows of a published JSON file: one for each captioned picture or question; records that are bad are noted.

    Raises:
        DataError: no known file.
    """
    if "questions" in content:
        require_split(file, split)
        annotations = _read_annotations(file)
        return [_question_row(record, place) for record in vqav2_questions(content, annotations, file, bad)]
    if {"images", "annotations"} <= set(content):
        require_split(file, split)
        return _caption_rows(coco_captions(content, file, bad), place)
    if "images" in content:
        records = (record for record in karpathy_captions(content, file, bad) if in_split(record.split, split))
        return _caption_rows(records, place)
    raise DataError(
        f"{file.name}: expected a list of rows, {{\"data\": [rows]}}, COCO's keys images and annotations, Karpathy's "
        f"images with sentences, or VQAv2's questions; found {', '.join(content)[:200] or 'nothing'}. Convert the file."
    )


def token_rows(lines: Iterable[str], file: Path, place: Place, bad: BadRows) -> list[Record]:
    """The rows of a Flickr token file, one for each picture; lines that are bad are noted."""
    grouped: dict[tuple[str, ...], tuple[str, ...]] = {}
    for index, line in enumerate(lines):
        name = f"{file.name} row {index + 1}"
        with bad.of_row(name):
            record = token_caption(line, name)
            grouped[record.places] = grouped.get(record.places, ()) + record.captions
    return [{"image": place(places), "captions": list(texts)} for places, texts in grouped.items()]


def coco_captions(content: Record, file: Path, bad: BadRows) -> Iterator[CaptionRecord]:
    """The captioned pictures of COCO's captions JSON, in the order of its images; records that are bad are noted."""
    captions: dict[int, list[str]] = {}
    for index, annotation in enumerate(_listed(content, "annotations", file)):
        if isinstance(annotation, dict) and "caption" not in annotation:
            raise DataError(
                f"{file.name}: expected annotations with a caption, found {', '.join(annotation)[:200]}. Name COCO's "
                "captions file; boxes and masks are no answers to train on."
            )
        name = f"{file.name} annotation {index + 1}"
        with bad.of_row(name), as_published(name):
            captions.setdefault(annotation["image_id"], []).append(_text(annotation["caption"]))
    subset = row_stem(file).rpartition("_")[2]  # captions_train2017.json: the pictures lie in train2017
    for index, image in enumerate(_listed(content, "images", file)):
        name = f"{file.name} image {index + 1}"
        with bad.of_row(name), as_published(name):
            if image["id"] in captions:
                yield CaptionRecord(name, _near(_text(image["file_name"]), subset), tuple(captions[image["id"]]))


def karpathy_captions(content: Record, file: Path, bad: BadRows) -> Iterator[CaptionRecord]:
    """The captioned pictures of one of Karpathy's dataset files, in its order; records that are bad are noted."""
    for index, image in enumerate(_listed(content, "images", file)):
        name = f"{file.name} image {index + 1}"
        with bad.of_row(name), as_published(name):
            texts = tuple(_text(sentence["raw"]) for sentence in image["sentences"])
            places = _near(_text(image["filename"]), _text(image.get("filepath") or ""))
            yield CaptionRecord(name, places, texts, _text(image.get("split") or "") or None)


def token_caption(line: str, name: str) -> CaptionRecord:
    """A line of a Flickr8k or Flickr30k token file: `picture.jpg#0<tab>caption`; `name` is what messages call it.

    Raises:
        DataError: it has no tab.
    """
    label, tab, caption = line.partition("\t")
    if not tab:
        raise DataError(f"{name}: expected 'picture.jpg#0<tab>caption', got {line[:60]!r}.")
    picture = label.rpartition("#")[0] or label
    return CaptionRecord(name, _near(picture, "Flicker8k_Dataset", "flickr30k_images"), (caption.strip(),))


def vqav2_questions(
    content: Record, annotations: list[Record] | None, file: Path, bad: BadRows
) -> Iterator[QuestionRecord]:
    """The questions of VQAv2's questions JSON, with their answers where annotations are given.

    Records that are bad are noted, a question that the annotations do not have among them.
    """
    by_question: dict[int, Record] = {}
    for index, annotation in enumerate(annotations or ()):
        name = f"{file.name}: record {index + 1} of its annotations"
        with bad.of_row(name), as_published(name):
            by_question[annotation["question_id"]] = annotation
    for index, question in enumerate(_listed(content, "questions", file)):
        name = f"{file.name} question {index + 1}"
        with bad.of_row(name), as_published(name):
            yield _vqav2_question(question, by_question, annotations is not None, content.get("data_subtype"), name)


def _vqav2_question(
    question: Record, by_question: dict[int, Record], is_answered: bool, subtype: str | None, name: str
) -> QuestionRecord:
    subtype = _text(subtype or "train2014")
    annotation = by_question.get(question["question_id"], {})
    if is_answered and not annotation:
        raise DataError(
            f"{name}: question_id {question['question_id']} is not in the annotations. Name the file of the same split."
        )
    number = f"{question['image_id']:012d}.jpg"
    return QuestionRecord(
        name,
        _near(f"COCO_{subtype}_{number}", subtype) + (number,),
        question["question_id"],
        _text(question["question"]),
        _text(annotation.get("multiple_choice_answer", "")),
        tuple(_text(answer["answer"]) for answer in annotation.get("answers", ())),
        _text(annotation.get("answer_type", "")),
    )


def _listed(content: Record, key: str, file: Path) -> list[Record]:
    """The records under a key, whatever they are. Raises DataError where no list stands there."""
    found = content.get(key)
    if not isinstance(found, list):
        raise DataError(f"{file.name}: expected a list of objects at {key}, got {str(found)[:60]}. Download it again.")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]} where a text is due")
    return value


@contextmanager
def as_published(name: str) -> Iterator[None]:
    """A record that lacks a key of the published ones, or has a value of another kind, as a DataError with its name."""
    try:
        yield
    except KeyError as error:
        raise DataError(
            f"{name}: expected the key {error.args[0]!r}, got a record without it. Mend the file."
        ) from error
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise DataError(
            f"{name}: expected the values of the published files, got others ({error}). Mend it."
        ) from error


def holds_split(file: Path, split: str | None) -> bool:
    """Whether a file whose rows name no split holds the wanted one: `train`, or one that stands in its name."""
    wanted = rf"(?<![a-z]){re.escape((split or 'train').lower())}(?![a-z])"
    return split in (None, "train") or re.search(wanted, file.stem.lower()) is not None


def require_split(file: Path, split: str | None) -> None:
    """Nothing where `holds_split`.

    Raises:
        DataError: else, since its rows would answer to every split, those of training to that of evaluation.
    """
    if not holds_split(file, split):
        raise DataError(
            f"{file.name} has no split '{split}': one file is one split. Name the file that holds '{split}', a folder "
            "that has it, or leave the split out."
        )


def in_split(found: str | None, wanted: str | None) -> bool:
    """Whether a row belongs to the wanted split; a row that names none belongs to all."""
    if wanted is None or found is None:
        return True
    return found in (TRAINING_SPLITS if wanted == "train" else (wanted,))


def _near(name: str, *folders: str) -> tuple[str, ...]:
    """A picture's name in the folder it counts from, in the named ones below it, and in those beside it."""
    below = tuple(f"{folder}/{name}" for folder in folders if folder)
    return (name, *below, *(f"../{path}" for path in below))


def _caption_rows(records: Iterable[CaptionRecord], place: Place) -> list[Record]:
    return [{"image": place(record.places), "captions": list(record.captions)} for record in records]


def _question_row(record: QuestionRecord, place: Place) -> Record:
    return {
        "image": place(record.places),
        "question": record.question,
        "answer": record.answer,
        "answers": list(record.answers),
        "question_id": record.id,
        "answer_type": record.kind,
    }


def _read_annotations(file: Path) -> list[Record]:
    """The answers to a questions file, which lie beside it under the name that VQAv2 gives them."""
    beside = file.with_name(file.name.replace("OpenEnded_", "").replace("questions", "annotations"))
    if beside == file or not beside.is_file():
        raise DataError(
            f"{file.name}: expected its answers beside it in {beside.name}, found no such file. Put VQAv2's "
            "annotations there."
        )
    try:
        found = read_json(beside.read_text(encoding="utf-8-sig"), unique=True, for_table=True)
    except ValueError as error:
        raise DataError(f"{beside}: expected the JSON of VQAv2's annotations, got {error}. Copy it again.") from error
    return _listed(found if isinstance(found, dict) else {}, "annotations", beside)
