"""Read sentences that are true or false of one image (NLVR) or of two (NLVR2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sightline.data.sources.documents import as_published
from sightline.data.sources.text_files import row_kind, row_stem
from sightline.data.vilt import sources
from sightline.errors import DataError

LABELS = ("false", "true")
PERMUTATIONS = 6  # NLVR shows each example's three boxes in six orders, one picture each


@dataclass(frozen=True)
class JudgedPictures:
    """A sentence about one or two pictures.

    Attributes:
        name: where it came from ("dev.jsonl row 3"), for messages.
        label: 1 where the sentence is true.
        group: examples of one group show the same or permuted pictures; the cluster of intervals.
    """

    name: str
    pictures: tuple[sources.Picture, ...]
    sentence: str
    label: int
    group: str
    id: str = ""


def read_sentences(
    path: str | Path, image_folder: str | None = None, check: sources.PictureCheck | None = None
) -> list[JudgedPictures]:
    """Sentences with their pictures and labels, in the order of the file.

    Takes NLVR2's JSONL (`identifier`, `sentence`, `label`; pictures `...-img0.png` and `...-img1.png`, also below
    their `directory`), NLVR's (six pictures `train-IDENTIFIER-0.png` ... per row), an Arrow file of ViLT's authors, and
    rows with `image` or `images`, `sentence` or `question`, and `label` or `answer`.

    Args:
        check: how rows are looked at; where it is given, bad ones are noted there, for the caller to settle.

    Raises:
        DataError: no such file or format, rows of one and of two pictures, or rows that cannot be used: the first ten
            by name, and how many there are.
    """
    file = sources.require_file(path)
    owned, check = check is not None, check or sources.PictureCheck()
    pictures = sources.pictures_beside(file, image_folder, check)
    if row_kind(file) == ".arrow":
        sources.require_own_names(check, file)
        rows = list(_from_arrow(file, check))
    else:
        rows = list(_from_rows(file, pictures))
    if not owned or not rows:
        check.bad.settle(len(rows))
    counts = {len(row.pictures): row.name for row in rows}
    if len(counts) != 1 or not set(counts) <= {1, 2}:
        found = ", ".join(f"{count} ({name})" for count, name in sorted(counts.items())) or "no rows"
        raise DataError(f"{path}: expected one picture in every row, or two in every row; found {found}.")
    return rows


def _from_rows(file: Path, pictures: sources.PictureFolder) -> Iterator[JudgedPictures]:
    for name, record in sources.read_records(file, pictures.check).items():
        with pictures.check.bad.of_row(name):
            yield from _of_row(record, name, file, pictures)


def _of_row(record: sources.Record, name: str, file: Path, pictures: sources.PictureFolder) -> list[JudgedPictures]:
    """The examples of a row, all or none."""
    sentence = (sources.text_of(record, "sentence", name) or sources.text_of(record, "question", name)).strip()
    if not sentence:
        raise DataError(f"{name}: expected a sentence (or question), found {', '.join(record)}.")
    label = _label(record.get("label", record.get("answer")), name)
    identifier = sources.label_of(record, "identifier", name, "")
    # NLVR2's `dev-850-0-1` shows the pictures of all `dev-850-0-...`.
    group = identifier.split("-")[0] if identifier.count("-") == 1 else identifier.rpartition("-")[0] or name
    return [
        JudgedPictures(name, shown, sentence, label, group, sources.label_of(record, "id", name, f"{name}.{number}"))
        for number, shown in enumerate(_pictures(record, name, file, pictures))
    ]


def _pictures(
    record: sources.Record, name: str, file: Path, pictures: sources.PictureFolder
) -> Iterator[tuple[sources.Picture, ...]]:
    """What the row shows, one tuple per example."""
    given = record.get("images") or ([record["image"]] if record.get("image") else [])
    if given:
        paths = given if isinstance(given, list) else [given]
        if not all(isinstance(path, str) for path in paths):
            raise DataError(f"{name}: expected paths of pictures, got {given!r:.60}. Mend or drop the row.")
        yield tuple(pictures.find(path, name) for path in paths)
        return
    identifier = sources.label_of(record, "identifier", name, "")
    directory = sources.label_of(record, "directory", name, "")
    folder = f"{directory}/" if directory else ""
    stems = [f"{identifier.rpartition('-')[0]}-img{side}.png" for side in (0, 1)]
    if identifier.count("-") >= 3:
        yield tuple(pictures.find(stem, name, folder + stem) for stem in stems)
    elif identifier:
        stems = [f"{row_stem(file)}-{identifier}-{order}.png" for order in range(PERMUTATIONS)]
        yield from ((pictures.find(folder + stem, name, f"images/{folder}{stem}", stem),) for stem in stems)
    else:
        raise DataError(f"{name}: expected image, images or an identifier, found {', '.join(record)}.")


def _from_arrow(file: Path, check: sources.PictureCheck) -> Iterator[JudgedPictures]:
    for index, record in enumerate(sources.read_arrow(file)):
        name = f"{file.name} row {index + 1}"
        if not {"image_0", "image_1", "questions", "answers"} <= set(record):
            raise DataError(f"{name}: expected image_0, image_1, questions and answers, found {', '.join(record)}.")
        group = str((record.get("identifier") or [name])[0]).rpartition("-")[0] or name
        shown = (record["image_0"], record["image_1"])
        with check.bad.of_row(name), as_published(name):
            for picture in shown:
                check.require(picture, name)
            answers = [answer[0] if isinstance(answer, list) else answer for answer in record["answers"]]
            labels = [_label(answer, name) for answer in answers]
            for number, (sentence, label) in enumerate(zip(record["questions"], labels, strict=True)):
                yield JudgedPictures(name, shown, sentence, label, group, f"{name}.{number}")


def _label(value: object, name: str) -> int:
    text = str(value).strip().lower()
    if text not in LABELS:
        raise DataError(f"{name}: expected the label true or false, got {value!r}. Mend or drop the row.")
    return LABELS.index(text)
