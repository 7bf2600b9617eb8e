"""Questions whose answers have scores between 0 and 1, because several people gave several answers."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.data.marks import without_marks
from sightline.data.sources.stored import Row
from sightline.data.vilt.questions import plain_answer, row_scores
from sightline.errors import DataError
from sightline.evaluation.metrics.means import mean_score
from sightline.evaluation.task import Task, as_asked
from sightline.evaluation.tasks.cells import by_kind, optional, pictures, text
from sightline.evaluation.tasks.prompts import short_answer
from sightline.scoring.records import Item, Verdict
from sightline.scoring.short_texts import judge_short, same_text
from sightline.types import Picture


def soft_item(
    id_: str, name: str, question: str, picture: Picture, scores: dict[str, float], category: str = ""
) -> Item:
    """A question with its scored answers, the best first."""
    ordered = sorted(scores, key=lambda answer: (-scores[answer], answer))
    return Item(
        id_, name, question, (picture,), answers=tuple(ordered), category=category, facts={"answer_scores": scores}
    )


def _read(row: Row) -> Iterator[Item]:
    scores = row_scores(dict(row.cells), row.name)
    if not scores:
        raise DataError(f"{row.name}: expected answers (or answer), found {', '.join(row.cells)}. Add them.")
    category = next((optional(row, key) for key in ("kind", "question_type", "answer_type") if optional(row, key)), "")
    shown = pictures(row, "images", "image")
    if len(shown) > 1:
        raise DataError(f"{row.name}: expected one picture, got {len(shown)}. Leave the others out.")
    question = without_marks(text(row, "question"))
    id_ = optional(row, "id") or optional(row, "question_id") or str(row.number)
    yield soft_item(id_, row.name, question, shown[0], scores, category)


def _score(item: Item, answer: str) -> Verdict:
    scores = item.facts["answer_scores"]

    def score(said: str) -> float:
        if (plain := plain_answer(said)) in scores:
            return float(scores[plain])
        return max((float(worth) for gold, worth in scores.items() if same_text(said, gold)), default=0.0)

    return judge_short(item, answer, score)


TASKS = {
    "soft_answers": Task(
        name="soft_answers",
        title="Questions of your own with what several people answered (--data FILE)",
        sources=(),
        read=by_kind({"hub": _read}),
        prompts={"sightline": as_asked, "lmms-eval": short_answer},
        scorers={"strict": _score},
        metrics={"strict": (mean_score("soft_accuracy"),)},
        max_new_tokens=16,
        default_prompt="sightline",
        licence="That of your rows.",
        note="Columns: question; image; answers, a list of records {answer} of several people, or texts that are all "
        "right; category. An answer that 1, 2, 3 or more people gave scores 0.3, 0.6, 0.9 or 1, as ViLT counts VQAv2.",
    )
}
