"""VQA-RAD: clinicians' questions about radiology images, closed and open."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.data.sources.stored import Row
from sightline.evaluation.metrics.means import mean_score, mean_score_where
from sightline.evaluation.profiles import EXACT
from sightline.evaluation.task import Source, Task, as_asked
from sightline.evaluation.tasks.cells import by_kind, optional, pictures, text
from sightline.evaluation.tasks.prompts import short_answer
from sightline.scoring.records import Item


def _read(row: Row) -> Iterator[Item]:
    """The Hub copy has no answer type: there yes and no are counted as closed, all else as open."""
    answer = text(row, "answer").strip()
    guessed = "CLOSED" if answer.lower() in ("yes", "no") else "OPEN"
    yield Item(
        id=optional(row, "id") or str(row.number),
        name=row.name,
        question=text(row, "question").strip(),
        pictures=pictures(row, "image"),
        answers=(answer,),
        category=optional(row, "answer_type").strip() or guessed,
        facts={"question_type": optional(row, "question_type"), "organ": optional(row, "image_organ")},
    )


_METRICS = (
    mean_score(),
    mean_score_where("closed", lambda item: item.category == "CLOSED"),
    mean_score_where("open", lambda item: item.category == "OPEN"),
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
        read=by_kind({"hub": _read}),
        prompts={"lmms-eval": short_answer, "sightline": as_asked},
        scorers=EXACT.scorers,
        metrics={"strict": _METRICS},
        max_new_tokens=32,
        default_prompt="lmms-eval",
        licence="CC0-1.0",
        paper="Lau et al. 2018, Scientific Data 5:180251",
        note="Train and test of the published split share images. The rows counted are those of the Hub's test split.",
    )
}
