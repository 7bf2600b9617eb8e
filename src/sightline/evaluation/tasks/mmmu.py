"""MMMU (validation): college exams of 30 subjects, options or an open answer, up to seven pictures inside the text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sightline.data.sources.stored import Row
from sightline.errors import DataError
from sightline.evaluation.profiles import MMMU
from sightline.evaluation.task import Source, Task
from sightline.evaluation.tasks import cells, prompts
from sightline.scoring.records import Item
from sightline.types import Picture

_SPLIT = "validation"
_COLUMNS = tuple(f"image_{number}" for number in range(1, 8))


def _read_hub(row: Row) -> Iterator[Item]:
    is_choice = cells.text(row, "question_type") == "multiple-choice"
    options = cells.listed_options(row, "options") if is_choice else ()
    identity = cells.text(row, "id")
    yield Item(
        id=identity,
        name=row.name,
        question=cells.text(row, "question"),
        pictures=_shown(row, options),
        options=options,
        answers=(cells.gold_letter(row, "answer", options),) if is_choice else cells.texts(row, "answer"),
        category=_subject(identity),
        facts={"question_type": row.cells["question_type"], "subfield": cells.optional(row, "subfield")},
    )


def _read_tsv(row: Row) -> Iterator[Item]:
    if cells.optional(row, "split") not in ("", _SPLIT):
        return
    options = cells.lettered_options(row)
    yield cells.asked_item(
        row,
        cells.optional(row, "id") or cells.text(row, "index"),
        (cells.gold_letter(row, "answer", options),) if options else cells.texts(row, "answer"),
        options=options,
        category=cells.optional(row, "category"),
        facts={"question_type": "multiple-choice" if options else "open"},
    )


def _shown(row: Row, options: tuple[str, ...]) -> tuple[Picture, ...]:
    """The pictures in order, one for each mark in the text."""
    found = cells.pictures(row, *_COLUMNS)
    marks = re.findall(r"<image (\d)>", " ".join((cells.text(row, "question"), *options)))
    absent = [mark for mark in marks if row.cells.get(f"image_{mark}") is None]
    if absent:
        raise DataError(f"{row.name}: the text shows <image {absent[0]}>, but image_{absent[0]} is empty.")
    return found


def _subject(identity: str) -> str:
    """The subject in an id: "validation_Art_Theory_3" is of Art_Theory."""
    return identity.partition("_")[2].rpartition("_")[0]


def _official(item: Item) -> str:
    if not item.options:
        return f"{item.question}\n\n{prompts.SHORT_ANSWER}"
    return f"{item.question}\n{prompts.option_lines(item.options, '({}) {}')}\n\n{prompts.LETTER_ANSWER}"


def _lmms_eval(item: Item) -> str:
    if not item.options:
        return f"{item.question}\n\n{prompts.SHORT_ANSWER}"
    return f"{item.question}\n{prompts.option_lines(item.options)}\n\n{prompts.LETTER_ANSWER}"


_EXAMPLE = Item("example", "example", "Which is larger, <image 1> or <image 2>?", options=("the first", "the second"))

TASKS = {
    "mmmu_val": Task(
        name="mmmu_val",
        title="MMMU, validation",
        rows=900,
        sources=(
            *prompts.lmms_eval_datasets("MMMU", _SPLIT),
            Source("hub", "MMMU/MMMU", config="*", split=_SPLIT),
            prompts.vlmevalkit_file("VLMEval/MMMU_DEV_VAL.tsv", "585e8ad75e73f75dcad265dfd0417d64"),
        ),
        read=cells.by_kind({"hub": _read_hub, "tsv": _read_tsv}),
        prompts={
            "official": _official,
            "lmms-eval": _lmms_eval,
            "lmms-eval:simple": lambda item: prompts.pictures_first(item, _lmms_eval(item)),
            "vlmevalkit": prompts.vlmevalkit_choice,
            "model-card:qwen2-vl": lambda item: prompts.pictures_first(item, prompts.selected_choice(item)),
        },
        scorers=MMMU.scorers,
        metrics=MMMU.metrics,
        max_new_tokens=128,
        default_prompt="official",
        example=_EXAMPLE,
        licence="Apache-2.0 (repository and data); the pictures have various origins.",
        paper="Yue et al. 2024, arXiv 2311.16502",
    )
}
