"""VisOnlyQA (real figures): what can only be seen in figures of geometry, chemistry and charts."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.data.sources.stored import Row
from sightline.evaluation.profiles import ACCURACY
from sightline.evaluation.task import Source, Task
from sightline.evaluation.tasks.cells import by_kind, optional, pictures, text, truth
from sightline.scoring import short_answers
from sightline.scoring.records import Item


def _read(row: Row) -> Iterator[Item]:
    """The options stand in the question itself; a gold answer is "True", "c" or, of several, "a,c"."""
    yield Item(
        id=text(row, "id"),
        name=row.name,
        question=text(row, "question"),
        pictures=pictures(row, "image", "decoded_image"),
        answers=(truth(row, "answer"),),
        category=optional(row, "subset") or optional(row, "task_category"),
        facts={
            "question_type": optional(row, "question_type"),
            "prompt": text(row, "prompt" if "prompt" in row.cells else "prompt_no_reasoning"),
        },
    )


def _official(item: Item) -> str:
    """The prompt that the publisher ships with each row."""
    return str(item.facts["prompt"])


_ASKED = "In the figure, the two lines intersect. True or False?"
_EXAMPLE = Item(
    "example",
    "example",
    _ASKED,
    facts={
        "prompt": f"{_ASKED}\n\nYour response should only include the final answer (True, False). "
        "Do not include any reasoning or explanation in your response."
    },
)

TASKS = {
    "visonlyqa_real": Task(
        name="visonlyqa_real",
        title="VisOnlyQA, real figures",
        rows=500,
        sources=(
            Source("file", "visonlyqa_real/mcq.jsonl", address="https://github.com/psunlpgroup/VisOnlyQA"),
            Source("hub", "ryokamoi/VisOnlyQA_Eval_Real", split="*"),
        ),
        read=by_kind({"hub": _read}),
        prompts={"official": _official},
        scorers={"strict": short_answers.score_visonlyqa},
        metrics={"strict": ACCURACY},
        max_new_tokens=32,
        default_prompt="official",
        example=_EXAMPLE,
        licence="GPL-3.0; the figures come from MathVista, MMMU, ChartQA and CharXiv under their own terms.",
        paper="Kamoi et al. 2024, arXiv 2412.00947",
    )
}
