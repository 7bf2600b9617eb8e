"""VQA-RAD: clinicians' questions about radiology images, closed and open."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.evaluation.task import Item, Row, Source, Task
from sightline.evaluation.tasks.cells import by_kind, optional, pictures, text
from sightline.evaluation.tasks.prompts import as_asked, short_answer


def _read_file(row: Row) -> Iterator[Item]:
    """The publisher's columns; `answer_type` is CLOSED or OPEN, with a trailing blank in some of its rows."""
    yield _item(row, text(row, "id"), text(row, "answer_type").strip())


def _read_hub(row: Row) -> Iterator[Item]:
    """The Hub copy has no answer type: yes and no are counted as closed, all else as open."""
    is_closed = text(row, "answer").strip().lower() in ("yes", "no")
    yield _item(row, str(row.number), "CLOSED" if is_closed else "OPEN")


def _item(row: Row, identity: str, category: str) -> Item:
    return Item(
        id=identity,
        name=row.name,
        question=text(row, "question").strip(),
        pictures=pictures(row, "image"),
        answers=(text(row, "answer").strip(),),
        category=category,
        facts={"question_type": optional(row, "question_type"), "organ": optional(row, "image_organ")},
    )


TASKS = {
    "vqa_rad": Task(
        name="vqa_rad",
        title="VQA-RAD",
        rows=451,
        sources=(
            Source("file", "vqa_rad/qa.jsonl", address="https://osf.io/89kps/"),
            Source(
                "hub", "flaviagiammarino/vqa-rad", split="test", revision="0be11a5dbdd87e29586d0c9028153cb4f44dc877"
            ),
        ),
        read=by_kind({"file": _read_file, "hub": _read_hub}),
        prompts={"lmms-eval": short_answer, "sightline": as_asked},
        scorers={},
        metrics={},
        max_new_tokens=32,
        default_prompt="lmms-eval",
        licence="CC0-1.0",
        paper="Lau et al. 2018, Scientific Data 5:180251",
        note="Train and test of the published split share images. A file is taken whole; the count is that of the Hub's test split.",
    )
}
