"""MMBench (dev): a question counts when every rotation of its options is answered right, or the first one alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from sightline.data.sources.stored import Row
from sightline.errors import DataError
from sightline.evaluation.profiles import ACCURACY, MMBENCH
from sightline.evaluation.task import Prompt, Source, Task
from sightline.evaluation.tasks import cells, prompts
from sightline.scoring.records import Item

_FOLDER = "benchmarks/MMBench"
_ROTATION = 1_000_000
_MISSING = "nan"


def rotation_of(index: str) -> tuple[str, int]:
    """(question, rotation) of an index: k * 1,000,000 + question is the k-th rotation of its options.

    >>> rotation_of("2000101")
    ('101', 2)
    """
    rotation, question = divmod(int(index), _ROTATION)
    return str(question), rotation


def _read(row: Row, missing: str, first_only: bool) -> Iterator[Item]:
    """The item of a row; `missing` is what the source writes into cells that have nothing."""
    filled = Row(row.name, row.number, {name: _filled(value, missing) for name, value in row.cells.items()})
    index = cells.text(filled, "index")
    if not index.isdigit():
        raise DataError(f"{row.name}: expected a whole number as index (question + k * 1,000,000), got '{index}'.")
    question, rotation = rotation_of(index)
    if first_only and rotation:
        return
    options = cells.lettered_options(filled)
    yield cells.asked_item(
        filled,
        index,
        (cells.gold_letter(filled, "answer", options),),
        options=options,
        category=cells.optional(filled, "category"),
        group="" if first_only else question,
        facts={
            "hint": cells.optional(filled, "hint"),
            "l2-category": cells.optional(filled, "l2-category") or cells.optional(filled, "L2-category"),
            "split": cells.optional(filled, "split"),
            "rotation": rotation,
            "group_size": len(options),
        },
    )


def _filled(value: object, missing: str) -> object:
    return "" if missing and value == missing else value


def _lmms_eval(item: Item, ending: str = prompts.LETTER_ANSWER) -> str:
    asked = " ".join(part for part in (item.facts.get("hint", ""), item.question) if part)
    return f"{asked} There are several options:\n{prompts.option_lines(item.options)}\n\n{ending}"


_LMMS_EVAL_CN = "请直接使用所提供的选项字母作为答案回答。"
_PROMPTS: dict[str, Prompt] = {
    "vlmevalkit": prompts.vlmevalkit_choice,
    "lmms-eval": _lmms_eval,
    "model-card:llava-1.5": prompts.hinted_letter_answer,
    "model-card:qwen2-vl": prompts.qwen2_vl_choice,
}
_CHINESE_PROMPTS: dict[str, Prompt] = {
    **_PROMPTS,
    "lmms-eval": lambda item: _lmms_eval(item, _LMMS_EVAL_CN),
    "model-card:llava-1.5": lambda item: prompts.hinted_letter_answer(item, prompts.LETTER_ANSWER_CN),
}
_EXAMPLE = replace(prompts.CHOICE_EXAMPLE, facts={"hint": "Look at the sign."})
_CHINESE_EXAMPLE = replace(
    prompts.CHOICE_EXAMPLE, question="图中是什么？", options=("猫", "狗"), facts={"hint": "请看标志。"}
)


def _task(edition: str, title: str, file: Source, config: str, first_only: bool) -> Task:
    """One edition; the Hub has the first edition of each language and not the revised ones."""

    is_chinese = edition.startswith("dev_cn")

    def reader(missing: str) -> Callable[[Row], Iterable[Item]]:
        return lambda row: _read(row, missing, first_only)

    return Task(
        name=f"mmbench_{edition}{'_vanilla' if first_only else ''}",
        title=f"MMBench, {title}, {'first rotation only' if first_only else 'every rotation'}",
        sources=(file, *(prompts.lmms_eval_datasets("MMBench", "dev", config) if config else ())),
        read=cells.by_kind({"hub": reader(_MISSING), "tsv": reader("")}),
        prompts=_CHINESE_PROMPTS if is_chinese else _PROMPTS,
        scorers=MMBENCH.scorers,
        metrics=dict.fromkeys(MMBENCH.scorers, ACCURACY) if first_only else MMBENCH.metrics,
        max_new_tokens=64,
        default_prompt="vlmevalkit",
        example=_CHINESE_EXAMPLE if is_chinese else _EXAMPLE,
        licence="Not stated for the data; the pictures come partly from COCO, Places and others. Code Apache-2.0.",
        paper="Liu et al. 2024, arXiv 2307.06281",
        note="A vanilla score is higher than a circular one: guessing one of four is right in 25% of first rotations, "
        "but in 0.4% of all four.",
    )


_EDITIONS = (
    ("dev_en", "dev, English",
     prompts.vlmevalkit_file(f"{_FOLDER}/MMBench_DEV_EN.tsv", "b6caf1133a01c6bb705cf753bb527ed8"), "en"),
    ("dev_cn", "dev, Chinese", prompts.vlmevalkit_file(f"{_FOLDER}/MMBench_DEV_CN.tsv"), "cn"),
    ("dev_en_v11", "dev v1.1, English",
     prompts.vlmevalkit_file(f"{_FOLDER}/MMBench_DEV_EN_V11.tsv", "30c05be8f2f347a50be25aa067248184"), ""),
    ("dev_cn_v11", "dev v1.1, Chinese", prompts.vlmevalkit_file(f"{_FOLDER}/MMBench_DEV_CN_V11.tsv"), ""),
)  # fmt: skip

TASKS = {
    task.name: task for task in (_task(*edition, first_only) for edition in _EDITIONS for first_only in (False, True))
}
