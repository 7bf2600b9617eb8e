"""VisOnlyQA (real figures): what can only be seen in figures of geometry, chemistry and charts."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.evaluation.task import Item, Row, Source, Task
from sightline.evaluation.tasks.cells import by_kind, optional, pictures, text


def _read_file(row: Row) -> Iterator[Item]:
    yield _item(row, "image", optional(row, "subset"), optional(row, "prompt"))


def _read_hub(row: Row) -> Iterator[Item]:
    yield _item(row, "decoded_image", optional(row, "task_category"), optional(row, "prompt_no_reasoning"))


def _item(row: Row, image: str, subset: str, prompt: str) -> Item:
    """The options stand in the question itself; a gold answer is "True", "c" or, of several, "a,c"."""
    return Item(
        id=text(row, "id"),
        name=row.name,
        question=text(row, "question"),
        pictures=pictures(row, image),
        answers=(text(row, "answer"),),
        category=subset,
        facts={"question_type": optional(row, "question_type"), "prompt": prompt},
    )


def _official(item: Item) -> str:
    return str(item.facts["prompt"] or item.question)


TASKS = {
    "visonlyqa_real": Task(
        name="visonlyqa_real",
        title="VisOnlyQA, real figures",
        rows=500,
        sources=(
            Source("file", "visonlyqa_real/mcq.jsonl", address="https://github.com/psunlpgroup/VisOnlyQA"),
            Source("hub", "ryokamoi/VisOnlyQA_Eval_Real", split="*"),
        ),
        read=by_kind({"file": _read_file, "hub": _read_hub}),
        prompts={"official": _official},
        scorers={},
        metrics={},
        max_new_tokens=32,
        default_prompt="official",
        licence="GPL-3.0; the figures come from MathVista, MMMU, ChartQA and CharXiv under their own terms.",
        paper="Kamoi et al. 2024, arXiv 2412.00947",
    )
}
