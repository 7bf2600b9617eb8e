"""Read captioned images: COCO, Karpathy's splits, Flickr's token files, JSONL, and the authors' Arrow files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sightline.data.sources.answers import column_answers
from sightline.data.sources.documents import (
    CaptionRecord,
    as_published,
    coco_captions,
    in_split,
    karpathy_captions,
    require_split,
    token_caption,
)
from sightline.data.sources.text_files import row_kind
from sightline.data.vilt import sources
from sightline.errors import DataError


@dataclass(frozen=True)
class CaptionedPicture:
    """A picture with all its captions.

    Attributes:
        name: where it came from ("captions.jsonl row 3"), for messages.
        key: what identifies the picture; two rows of one picture share it.
        asked: questions about the picture, where the captions are their answers; only vocabularies are made from them.
    """

    name: str
    picture: sources.Picture
    key: str
    captions: tuple[str, ...]
    asked: tuple[str, ...] = ()


def read_captions(
    path: str | Path,
    image_folder: str | None = None,
    split: str | None = None,
    check: sources.PictureCheck | None = None,
) -> list[CaptionedPicture]:
    """Pictures with their captions, in the order of the file.

    Takes COCO's captions JSON, Karpathy's dataset JSON, a Flickr8k or Flickr30k token file (`name.jpg#0<tab>caption`),
    an Arrow file of ViLT's authors, and JSONL or JSON rows with `image` and `captions` or `caption`. Rows with
    `question` and `answer` make one caption per picture: its answers but yes and no, each once, by spelling. Such words
    are dense, and teach a small model to see faster than questions do; pictures without any are left out.

    Args:
        image_folder: where the pictures lie; the file's own folder by default.
        split: of Karpathy's JSON or of rows with a `split` column; "train" there includes `restval`. All by default.
        check: how rows are looked at; where it is given, bad ones are noted there, for the caller to settle.

    Raises:
        DataError: no such file or format, or rows that cannot be used: the first ten by name, and how many there are.
    """
    file = sources.require_file(path)
    owned, check = check is not None, check or sources.PictureCheck()
    rows = list(_grouped(_read(file, sources.pictures_beside(file, image_folder, check), split)))
    if not owned or not rows:
        check.bad.settle(len(rows))
    if not rows:
        found = f" of the split '{split}'" if split else ""
        raise DataError(f"{path}: expected captioned pictures{found}, found none. Check the file, or --split.")
    return rows


def _read(file: Path, pictures: sources.PictureFolder, split: str | None) -> Iterator[CaptionedPicture]:
    kind = row_kind(file)
    if kind in (".arrow", ".token", ".txt", ".tsv"):
        require_split(file, split)
        sources.require_own_names(pictures.check, file)
    if kind == ".arrow":
        return _from_arrow(file, pictures.check)
    if kind in (".token", ".txt", ".tsv"):
        return _from_tokens(file, pictures)
    if kind == ".jsonl":
        return _from_rows(file, pictures, split)
    if kind != ".json":
        formats = ".json, .jsonl, .token, .txt, .tsv or .arrow"
        raise DataError(f"{file}: '{file.suffix}' is no format that captions come in. Expected {formats}.")
    content = sources.read_json(file)
    if isinstance(content, list):
        return _from_rows(file, pictures, split)
    sources.require_own_names(pictures.check, file)
    if isinstance(content, dict) and {"images", "annotations"} <= set(content):
        require_split(file, split)
        return _from_records(coco_captions(content, file, pictures.check.bad), pictures)
    if isinstance(content, dict) and "images" in content:
        records = karpathy_captions(content, file, pictures.check.bad)
        return _from_records((record for record in records if in_split(record.split, split)), pictures)
    raise DataError(f"{file}: expected COCO's keys images and annotations, Karpathy's images, or a list of rows.")


def _from_records(records: Iterable[CaptionRecord], pictures: sources.PictureFolder) -> Iterator[CaptionedPicture]:
    for record in records:
        with pictures.check.bad.of_row(record.name):
            yield _of_record(record, pictures)


def _of_record(record: CaptionRecord, pictures: sources.PictureFolder) -> CaptionedPicture:
    first, *others = record.places
    path = pictures.find(first, record.name, *others)
    return CaptionedPicture(record.name, path, path, _texts(list(record.captions), record.name))


def _from_tokens(file: Path, pictures: sources.PictureFolder) -> Iterator[CaptionedPicture]:
    for index, line in enumerate(sources.read_lines(file)):
        name = f"{file.name} row {index + 1}"
        with pictures.check.bad.of_row(name):
            yield _of_record(token_caption(line, name), pictures)


def _from_rows(file: Path, pictures: sources.PictureFolder, split: str | None) -> Iterator[CaptionedPicture]:
    records = sources.read_records(file, pictures.check)
    if not any("split" in record for record in records.values()):
        require_split(file, split)
    first = next(iter(records.values()), {})
    if {"question", "answer"} <= set(first) and not {"caption", "captions"} & set(first):
        yield from _from_answers(records, pictures)
        return
    for name, record in records.items():
        with pictures.check.bad.of_row(name):
            if not in_split(sources.text_of(record, "split", name) or None, split):
                continue
            path = pictures.find(_named_picture(record, name), name)
            yield CaptionedPicture(name, path, path, _texts(_row_captions(record, name), name))


def _named_picture(record: sources.Record, name: str) -> str:
    if not isinstance(record.get("image"), str):
        raise DataError(f"{name}: expected the path of a picture in 'image', got {record.get('image')!r}.")
    return str(record["image"])


def _from_answers(records: dict[str, sources.Record], pictures: sources.PictureFolder) -> Iterator[CaptionedPicture]:
    answers: dict[str, set[str]] = {}
    asked: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for name, record in records.items():
        with pictures.check.bad.of_row(name):
            path = pictures.find(_named_picture(record, name), name)
            question = sources.text_of(record, "question", name)
            given = column_answers(record, "answer", name) if record.get("answer") not in (None, "", []) else ()
            names.setdefault(path, name)
            asked.setdefault(path, []).extend([question] if question.strip() else [])
            answers.setdefault(path, set()).update({one.strip().lower() for one in given} - {"yes", "no", ""})
    for path, name in names.items():
        if answers[path]:
            caption = " ".join(sorted(answers[path]))
            yield CaptionedPicture(name, path, path, (caption,), tuple(asked[path]))


def _from_arrow(file: Path, check: sources.PictureCheck) -> Iterator[CaptionedPicture]:
    for index, record in enumerate(sources.read_arrow(file)):
        name = f"{file.name} row {index + 1}"
        if "caption" not in record or "image" not in record:
            raise DataError(f"{name}: expected the columns image and caption, found {', '.join(record)}.")
        with check.bad.of_row(name), as_published(name):
            check.require(record["image"], name)
            texts = record["caption"] if isinstance(record["caption"], list) else [record["caption"]]
            yield CaptionedPicture(name, record["image"], str(record.get("image_id", name)), _texts(texts, name))


def _row_captions(record: sources.Record, name: str) -> list[str]:
    for column in ("captions", "caption"):
        value = record.get(column)
        if isinstance(value, str | list) and value:
            return [value] if isinstance(value, str) else value
        if value:
            raise DataError(f"{name}: expected texts in {column}, got {str(value)[:60]}. Mend or drop the row.")
    raise DataError(f"{name}: expected captions, caption, or question with answer; found {', '.join(record)}.")


def _texts(captions: list[str], name: str) -> tuple[str, ...]:
    strange = next((caption for caption in captions if not isinstance(caption, str)), "")
    if strange != "":
        raise DataError(f"{name}: expected texts as captions, got {strange!r:.60}. Mend or drop the row.")
    texts = tuple(text for caption in captions if (text := " ".join(caption.split())))
    if not texts:
        raise DataError(f"{name}: the caption is empty. Fill it in or drop the row.")
    return texts


def _grouped(rows: Iterator[CaptionedPicture]) -> Iterator[CaptionedPicture]:
    """Rows of one picture as one row, where the picture was first seen."""
    grouped: dict[str, CaptionedPicture] = {}
    for row in rows:
        first = grouped.get(row.key)
        captions = row.captions if first is None else first.captions + row.captions
        grouped[row.key] = replace(first or row, captions=captions)
    yield from grouped.values()
