"""Read questions about images with soft answer scores, and build the vocabulary of answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.data.marks import without_marks
from sightline.data.sources.answers import column_answers, written_list
from sightline.data.sources.documents import as_published, vqav2_questions
from sightline.data.sources.text_files import row_kind
from sightline.data.vilt import sources
from sightline.errors import DataError

# What an answer is worth that so many of the ten people gave (VQAv2, as ViLT scores it); 1 from four on.
SCORES = (0.0, 0.3, 0.6, 0.9, 1.0)


@dataclass(frozen=True)
class AskedPicture:
    """A question about a picture.

    Attributes:
        name: where it came from ("train.jsonl row 12"), for messages.
        key: what identifies the picture, the cluster of intervals.
        scores: score of each answer that is not worth 0; empty where the answers are kept secret.
        kind: kind of question, where the data names it.
    """

    name: str
    picture: sources.Picture
    key: str
    question: str
    scores: dict[str, float]
    id: str = ""
    kind: str = ""


def read_questions(
    path: str | Path,
    image_folder: str | None = None,
    annotations: str | Path | None = None,
    check: sources.PictureCheck | None = None,
) -> list[AskedPicture]:
    """Questions with scored answers, in the order of the file.

    Takes VQAv2's questions JSON (with `annotations`, its annotations JSON), an Arrow file of ViLT's authors, and JSONL
    or JSON rows with `image`, `question` and `answer` or `answers`. A list of texts names answers that are all right; a
    list of records `{"answer": ...}` is what several people said, and an answer that 1, 2, 3 or more of them gave
    scores 0.3, 0.6, 0.9 or 1.

    Args:
        image_folder: where the pictures lie; the file's own folder by default.
        check: how rows are looked at; where it is given, bad ones are noted there, for the caller to settle.

    Raises:
        DataError: no such file or format, or rows that cannot be used: the first ten by name, and how many there are.
    """
    file = sources.require_file(path)
    owned, check = check is not None, check or sources.PictureCheck()
    rows = list(_read(file, sources.pictures_beside(file, image_folder, check), annotations))
    if not owned or not rows:
        check.bad.settle(len(rows))
    if not rows:
        raise DataError(f"{path} has no rows. Check the file.")
    return rows


def answer_vocabulary(rows: Iterable[AskedPicture], min_count: int = 1) -> list[str]:
    """Answers that are the best of at least `min_count` questions, the most frequent first, then by spelling.

    VQAv2's 3,129 answers are those that occur 9 times.
    """
    best = Counter(max(row.scores, key=row.scores.__getitem__) for row in rows if row.scores)
    return sorted(
        (answer for answer, count in best.items() if count >= min_count), key=lambda text: (-best[text], text)
    )


def read_vocabulary(path: str | Path) -> list[str]:
    """The answers of a file: JSON, a list or a mapping of numbers to answers, or text with one answer a line."""
    file = sources.require_file(path)
    if row_kind(file) != ".json":
        return [line.strip() for line in sources.read_lines(file)]
    content = sources.read_json(file)
    content = content.get("label2ans", content) if isinstance(content, dict) else content
    if isinstance(content, dict):
        content = [content[key] for key in sorted(content, key=int)]
    return [str(answer) for answer in content]


def outside_vocabulary(rows: Iterable[AskedPicture], vocabulary: Sequence[str]) -> int:
    """How many questions have answers, none of which is in the vocabulary: nothing to learn from, never right."""
    known = set(vocabulary)
    return sum(bool(row.scores) and known.isdisjoint(row.scores) for row in rows)


def score_answers(answers: Iterable[str]) -> dict[str, float]:
    """Soft scores of what several people answered.

    >>> score_answers(["red", "Red", "dark red"])
    {'red': 0.6, 'dark red': 0.3}
    """
    counts = Counter(plain_answer(answer) for answer in answers)
    return {answer: SCORES[min(count, len(SCORES) - 1)] for answer, count in counts.items()}


def row_scores(record: sources.Record, name: str) -> dict[str, float]:
    """Scores of a row's `answers` or `answer`: by how many people gave them, or 1 for each of several texts.

    Raises:
        DataError: they are no answers; begins with the row's name.
    """
    column = next((name for name in ("answers", "answer") if record.get(name) not in (None, [], "")), "answer")
    if column not in record:
        return {}
    given = column_answers(record, column, name)
    value = written_list(record[column])
    if isinstance(value, list) and any(isinstance(answer, dict) for answer in value):
        return score_answers(given)
    return {plain_answer(answer): 1.0 for answer in given}


def plain_answer(answer: Any) -> str:
    """An answer in lower case without blanks and full stop at its ends, as vocabularies hold it."""
    return str(answer).strip().lower().rstrip(".")


def _read(file: Path, pictures: sources.PictureFolder, annotations: str | Path | None) -> Iterator[AskedPicture]:
    kind = row_kind(file)
    if kind == ".arrow":
        sources.require_own_names(pictures.check, file)
        return _from_arrow(file, pictures.check)
    if kind == ".json":
        content = sources.read_json(file)
        if isinstance(content, dict):
            sources.require_own_names(pictures.check, file)
            return _from_vqav2(file, content, pictures, annotations)
    if kind not in (".json", ".jsonl"):
        raise DataError(f"{file}: expected questions as .json, .jsonl or .arrow, got '{kind}'.")
    return _from_rows(sources.read_records(file, pictures.check), pictures)


def _from_vqav2(
    file: Path, content: sources.Record, pictures: sources.PictureFolder, annotations: str | Path | None
) -> Iterator[AskedPicture]:
    if "questions" not in content:
        raise DataError(f"{file}: expected VQAv2's key 'questions', found {', '.join(content)}.")
    answered = _annotations(sources.require_file(annotations)) if annotations else None
    for record in vqav2_questions(content, answered, file, pictures.check.bad):
        with pictures.check.bad.of_row(record.name):
            first, *others = record.places
            path = pictures.find(first, record.name, *others)
            question = _question(record.question, record.name)
            scores = score_answers(record.answers)
            yield AskedPicture(record.name, path, path, question, scores, str(record.id), record.kind)


def _annotations(file: Path) -> list[sources.Record]:
    content = sources.read_json(file)
    found = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise DataError(f"{file}: expected VQAv2's key 'annotations' with a list, got {str(content):.60}.")
    return found


def _from_rows(records: dict[str, sources.Record], pictures: sources.PictureFolder) -> Iterator[AskedPicture]:
    for name, record in records.items():
        with pictures.check.bad.of_row(name):
            yield _of_row(record, pictures, name)


def _of_row(record: sources.Record, pictures: sources.PictureFolder, name: str) -> AskedPicture:
    if not isinstance(record.get("image"), str):
        raise DataError(
            f"{name}: expected the path of a picture in 'image', got {record.get('image')!r}; "
            f"the row has {', '.join(record)}. Rename the column of pictures to image."
        )
    path = pictures.find(record["image"], name)
    kind = next(
        (sources.text_of(record, key, name) for key in ("kind", "question_type", "answer_type") if record.get(key)), ""
    )
    question = _question(record.get("question"), name)
    id_ = sources.label_of(record, "id", name, name)
    return AskedPicture(name, path, path, question, row_scores(record, name), id_, kind)


def _from_arrow(file: Path, check: sources.PictureCheck) -> Iterator[AskedPicture]:
    for index, record in enumerate(sources.read_arrow(file)):
        picture = f"{file.name} row {index + 1}"
        if "questions" not in record or "answer_scores" not in record:
            raise DataError(f"{picture}: expected questions, answers and answer_scores, found {', '.join(record)}.")
        for number, question in enumerate(record["questions"]):
            name = f"{picture} question {number + 1}"
            with check.bad.of_row(name), as_published(name):
                check.require(record["image"], name)
                scores = dict(zip(record["answers"][number], record["answer_scores"][number], strict=True))
                id_ = str(record["question_id"][number]) if "question_id" in record else f"{picture}.{number}"
                key = str(record.get("image_id", picture))
                yield AskedPicture(name, record["image"], key, _question(question, name), scores, id_)


def _question(value: Any, name: str) -> str:
    if value is not None and not isinstance(value, str):
        raise DataError(f"{name}: expected the question as a text, got {value!r:.60}. Mend or drop the row.")
    question = " ".join(without_marks(value or "").split())
    if not question:
        raise DataError(f"{name}: the question is empty. Fill it in or drop the row.")
    return question
