"""MathVista (testmini): mathematics in pictures, with options or a number or list as answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sightline.data.sources.stored import Row
from sightline.evaluation.profiles import MATHVISTA
from sightline.evaluation.task import Prompt, Source, Task
from sightline.evaluation.tasks.cells import (
    by_kind,
    checked_letter,
    letter_of,
    listed_options,
    optional,
    pictures,
    text,
)
from sightline.evaluation.tasks.prompts import LETTER_ANSWER, option_lines, vlmevalkit_file
from sightline.scoring.records import Item

_METADATA = ("source", "task", "category", "context", "grade", "skills", "language")
_KINDS = ("question_type", "answer_type", "unit")
_EXAMPLES = {
    "integer": "an integer answer and provide the final value, e.g., 1, 2, 3, at the end",
    "float 1": "a floating-point number with one decimal place and provide the final value, e.g., 1.2, 1.3, 1.4, "
    "at the end",
    "float 2": "a floating-point number with two decimal places and provide the final value, e.g., 1.23, 1.34, 1.45, "
    "at the end",
    "list": "a Python list as an answer and provide the final list, e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the end",
}
_SHORT_FORMS = {
    "integer": "a single integer number",
    "float 1": "a single floating-point number with one decimal place",
    "float 2": "a single floating-point number with two decimal places",
    "list": "a Python list",
}
# VLMEvalKit's files hold the prompt, from which the bare question is cut out again.
_PROMPT = re.compile(r"(?:Hint: .*?\n)?Question: (?P<question>.*?)(?: \(Unit: .*\))?(?:\nChoices:\n.*)?", re.DOTALL)


def _read_hub(row: Row) -> Iterator[Item]:
    options = _options(row)
    answer = text(row, "answer")
    yield _item(
        row,
        id=text(row, "pid"),
        question=text(row, "question"),
        pictures=pictures(row, "decoded_image"),
        options=options,
        answers=(letter_of(row, answer, options) if options else answer,),
        facts={"query": optional(row, "query"), "answer": answer, **_metadata(row.cells.get("metadata"))},
    )


def _read_tsv(row: Row) -> Iterator[Item]:
    options = _options(row)
    query, answer = text(row, "question"), text(row, "answer")
    found = _PROMPT.fullmatch(query)
    gold = checked_letter(row, text(row, "answer_option"), options) if options else answer
    yield _item(
        row,
        id=optional(row, "pid") or text(row, "index"),
        question=found["question"] if found else query,
        pictures=pictures(row, "image"),
        options=options,
        answers=(gold,),
        facts={"query": query, "answer": answer, **_metadata(row.cells)},
    )


def _item(row: Row, facts: Mapping[str, Any], **parts: Any) -> Item:
    kinds = {name: optional(row, name) for name in _KINDS}
    precision = optional(row, "precision")
    whole = {**kinds, "precision": int(float(precision)) if precision else None, **facts}
    return Item(name=row.name, category=str(whole.get("task", "")), facts=whole, **parts)


def _options(row: Row) -> tuple[str, ...]:
    return listed_options(row, "choices") if text(row, "question_type") == "multi_choice" else ()


def _metadata(cells: object) -> dict[str, Any]:
    return {name: cells[name] for name in _METADATA if cells.get(name)} if isinstance(cells, Mapping) else {}


def _official(item: Item) -> str:
    """The prompt that the publisher ships with each row; where a copy lacks it, the same one built anew."""
    return str(item.facts.get("query") or f"{_hint(item)}\n{_asked(item)}")


def _hint(item: Item) -> str:
    if item.options:
        return "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end."
    return f"Hint: Please answer the question requiring {_EXAMPLES[_number_kind(item)]}."


def _asked(item: Item) -> str:
    lines = [f"Question: {_with_unit(item)}"]
    return "\n".join([*lines, "Choices:", option_lines(item.options, "({}) {}")] if item.options else lines)


def _with_unit(item: Item) -> str:
    unit = item.facts.get("unit")
    return f"{item.question} (Unit: {unit})" if unit else item.question


def _number_kind(item: Item) -> str:
    kind = str(item.facts["answer_type"])
    return f"float {item.facts['precision']}" if kind == "float" else kind


def _format_prompt(item: Item) -> str:
    if item.options:
        return f"{_with_unit(item)}\n{option_lines(item.options)}\n{LETTER_ANSWER}"
    return f"{_with_unit(item)}\nAnswer the question using {_SHORT_FORMS[_number_kind(item)]}."


def _reason_first(item: Item) -> str:
    ending = "in the following format: Answer: xxx."
    if item.options:
        return f"First perform reasoning, then finally select the question from the choices {ending}\n{_asked(item)}"
    wanted = f"answer the question requiring {_EXAMPLES[_number_kind(item)]}"
    return f"First perform reasoning, then finally {wanted} {ending}\n{_asked(item)}"


def _step_by_step(item: Item) -> str:
    return f"{_asked(item)}\n{_hint(item)}"


_EXAMPLE = Item(
    "example",
    "example",
    "How many are there?",
    facts={"question_type": "free_form", "answer_type": "integer", "precision": None, "unit": "$"},
)

_LMMS_EVAL: dict[str, Callable[[Item], str]] = {
    "format-prompt": _format_prompt,
    "reason-first": _reason_first,
    "step-by-step": _step_by_step,
    "solution": lambda item: f"{_step_by_step(item)}\nSolution:",
    "direct": _asked,
}
_PROMPTS: dict[str, Prompt] = {
    "official": _official,
    "vlmevalkit": _official,
    "lmms-eval": _format_prompt,
    **{f"lmms-eval:{shot}": prompt for shot, prompt in _LMMS_EVAL.items()},
}

TASKS = {
    "mathvista_testmini": Task(
        name="mathvista_testmini",
        title="MathVista, testmini",
        rows=1000,
        sources=(
            Source("hub", "AI4Math/MathVista", split="testmini"),
            vlmevalkit_file("VLMEval/MathVista_MINI.tsv", "f199b98e178e5a2a20e7048f5dcb0464"),
        ),
        read=by_kind({"hub": _read_hub, "tsv": _read_tsv}),
        prompts=_PROMPTS,
        scorers=MATHVISTA.scorers,
        metrics=MATHVISTA.metrics,
        max_new_tokens=1024,
        default_prompt="official",
        example=_EXAMPLE,
        licence="CC-BY-SA-4.0 for the new annotations, for testing only; the pictures belong to their sources.",
        paper="Lu et al. 2024, arXiv 2310.02255",
        note="Published scores had GPT-4 read the answers. Here an extractor does, unless you name a judge.",
    )
}
