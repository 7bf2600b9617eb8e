"""The table of row formats: the columns that identify each, an example row, and its conversion."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from sightline.data.formats import conversations, matching, questions
from sightline.errors import DataError

Row = dict[str, Any]
Goal = Literal["sft", "preferences"]
Convert = Callable[[Row, int, str], list[Row]]


@dataclass(frozen=True)
class Format:
    """A row format.

    Attributes:
        name: what messages and the documentation call it.
        goal: what its rows train: demonstrations or preferences.
        columns: those that a row must have; they are replaced.
        example: a row in the format's own schema.
        convert: makes TRL's columns of a row; it is given the row, the number of its images and its name, and gives
            any number of rows. None for TRL's own columns, which pass as they are.
        matches: whether the first rows, which have the columns, are of this format.
        optional: columns that are replaced, too, where they are there.
        found_in: where people meet it.
    """

    name: str
    goal: Goal
    columns: tuple[str, ...]
    example: Row
    convert: Convert | None = None
    matches: Callable[[list[Row]], bool] = field(default=lambda rows: True)
    optional: tuple[str, ...] = ()
    found_in: str = ""


def recognise(columns: Iterable[str], first_rows: list[Row], goal: Goal, source: str) -> Format:
    """The first format of the table that fits the columns and the first rows.

    Raises:
        DataError: none does; names what was found and the nearest format, or the command that the rows are for.
    """
    found = set(columns)
    fitting = _fitting(found, first_rows)
    wanted = next((one for one in fitting if one.goal == goal), None)
    if wanted is not None:
        return wanted
    shown = ", ".join(sorted(found)) or "none"
    if fitting:
        command, noun = ("dpo", "preferences") if goal == "sft" else ("sft", "demonstrations")
        raise DataError(
            f"{source}: expected the columns {_choices(goal)}; found {noun} ({fitting[0].name}: {shown}). "
            f"Train on them by `sightline {command}`."
        )
    nearest = _nearest(found, goal)
    missing = ", ".join(name for name in nearest.columns if name not in found)
    lacks = (
        f"lacks {missing}" if missing else f"lacks a picture, or has other values{_first_values(nearest, first_rows)}"
    )
    raise DataError(
        f"{source}: expected the columns {_choices(goal)} (and image or images); found {shown}. The nearest format is "
        f"{nearest.name}, of which it {lacks}. Rename the columns, or convert the file; docs/formats.md shows a row of "
        "each format."
    )


def _first_values(one: Format, rows: list[Row]) -> str:
    """What the first row holds in the columns of a format, for messages."""
    held = [f"{column} is {rows[0][column]!r:.40}" for column in one.columns if rows and column in rows[0]]
    return f" ({', '.join(held)})" if held else ""


def holds(columns: Iterable[str], first_rows: list[Row], goal: Goal) -> bool:
    """Whether rows of these columns serve the goal in one of the formats."""
    return any(one.goal == goal for one in _fitting(set(columns), first_rows))


def _fitting(found: set[str], first_rows: list[Row]) -> list[Format]:
    return [one for one in FORMATS if set(one.columns) <= found and one.matches(first_rows)]


def _choices(goal: Goal) -> str:
    return " or ".join(dict.fromkeys(" + ".join(one.columns) for one in FORMATS if one.goal == goal))


def _nearest(found: set[str], goal: Goal) -> Format:
    """The format that shares most of its columns with those found: one that lacks some before one that lacks none,
    TRL's own before others."""

    def likeness(one: Format) -> tuple[bool, float, bool]:
        shared = len(found & set(one.columns))
        return 0 < shared < len(one.columns), shared / len(one.columns), one.convert is None

    return max((one for one in FORMATS if one.goal == goal), key=likeness)


_ASKED = [{"role": "user", "content": "What is red?"}]
_NUMBERED = [{"index": None, "text": "What is red?", "type": "text"}, {"index": 0, "text": None, "type": "image"}]
_CIRCLE = [{"role": "assistant", "content": "The circle."}]
_SQUARE = [{"role": "assistant", "content": "The square."}]
_LLAVA = [{"from": "human", "value": "<image>\nWhat is red?"}, {"from": "gpt", "value": "The circle."}]
_LLAVA_WORSE = [_LLAVA[0], {"from": "gpt", "value": "The square."}]
_RATED = [
    {"model": "a", "response": "The circle.", "annotations": {"Helpfulness": {"Rating": "5", "Rationale": "Right."}}},
    {"model": "b", "response": "The square.", "annotations": {"Helpfulness": {"Rating": "2", "Rationale": "Wrong."}}},
]
_PAIR_JSON = '{"question": "What is red?", "chosen": "The circle.", "rejected": "The square."}'

# Name, the columns of the question and its two answers, those that may stand beside them, and where people meet it.
_QUESTION_PAIRS: tuple[tuple[str, str, str, str, tuple[str, ...], str], ...] = (
    ("RLAIF-V", "question", "chosen", "rejected", (), "openbmb/RLAIF-V-Dataset"),
    ("question and two responses", "question", "chosen_response", "rejected_response", (), ""),
    ("prompt and two responses", "prompt", "chosen_response", "rejected_response", (), ""),
    ("ms-swift query", "query", "response", "rejected_response", (), "ms-swift 2"),
    ("Alpaca preferences", "instruction", "chosen", "rejected", ("input",), "LLaMA-Factory"),
)

# The same of a question and its one answer.
_QUESTION_ANSWERS: tuple[tuple[str, str, str, tuple[str, ...], str], ...] = (
    ("Alpaca", "instruction", "output", ("input",), "Stanford Alpaca, LLaMA-Factory"),
    ("ms-swift query and response", "query", "response", (), "ms-swift 2"),
    ("problem and solution", "problem", "solution", (), "leonardPKU/clevr_cogen_a_train, open-r1"),
)

# The first that fits is taken, so a format comes before those that need fewer of its columns.
FORMATS = (
    Format(
        "ShareGPT messages with images",
        "sft",
        ("messages",),
        {"messages": [{"role": "user", "content": "<image>What is red?"}, *_CIRCLE], "images": ["a.jpg"]},
        conversations.conversation,
        lambda rows: matching.is_answered(rows) and (matching.has_marks(rows) or matching.has_from(rows)),
        ("system",),
        "LLaMA-Factory, ms-swift",
    ),
    Format(
        "llava-instruct-mix-vsft",
        "sft",
        ("messages",),
        {
            "messages": [
                {"role": "user", "content": _NUMBERED},
                {"role": "assistant", "content": [{"index": None, "text": "The circle.", "type": "text"}]},
            ],
            "images": ["a.jpg"],
        },
        conversations.indexed_parts,
        matching.has_indices,
        found_in="HuggingFaceH4/llava-instruct-mix-vsft",
    ),
    Format(
        "TRL messages",
        "sft",
        ("messages",),
        {"messages": [*_ASKED, *_CIRCLE], "images": ["a.jpg"]},
        None,
        matching.is_answered,
    ),
    Format(
        "TRL prompt and completion",
        "sft",
        ("prompt", "completion"),
        {"prompt": _ASKED, "completion": _CIRCLE, "image": "a.jpg"},
    ),
    Format(
        "picture and text",
        "sft",
        ("text",),
        {"image": "a.jpg", "text": "A red circle."},
        questions.described,
        matching.is_description,
        found_in="captions on the Hub",
    ),
    Format("TRL text", "sft", ("text",), {"text": "All of it is trained."}, matches=matching.is_text),
    Format(
        "POVID",
        "preferences",
        ("conversations", "rejected_conversations"),
        {"id": "7", "image": "a.jpg", "conversations": _LLAVA, "rejected_conversations": _LLAVA_WORSE},
        conversations.compared_conversations,
        found_in="YiyangAiLab/POVID_preference_data_for_VLLMs",
    ),
    Format(
        "ShareGPT preferences",
        "preferences",
        ("conversations", "chosen", "rejected"),
        {"conversations": _LLAVA[:1], "chosen": _LLAVA[1], "rejected": _LLAVA_WORSE[1], "images": ["a.jpg"]},
        conversations.two_endings,
        optional=("system",),
        found_in="LLaMA-Factory",
    ),
    Format(
        "LLaVA and ShareGPT conversations",
        "sft",
        ("conversations",),
        {"id": "7", "image": "a.jpg", "conversations": _LLAVA},
        conversations.conversation,
        matching.is_answered,
        ("system",),
        found_in="liuhaotian/LLaVA-Instruct-150K, LLaVA-CC3M-Pretrain-595K, ShareGPT4V",
    ),
    Format(
        "ms-swift preferences",
        "preferences",
        ("messages", "rejected_response"),
        {
            "messages": [{"role": "user", "content": "<image>What is red?"}, *_CIRCLE],
            "rejected_response": "The square.",
            "images": ["a.jpg"],
        },
        conversations.swift_pair,
        optional=("system",),
        found_in="ms-swift",
    ),
    Format(
        "ms-swift conversations",
        "preferences",
        ("messages", "rejected_messages"),
        {
            "messages": [{"role": "user", "content": "<image>What is red?"}, *_CIRCLE],
            "rejected_messages": [{"role": "user", "content": "<image>What is red?"}, *_SQUARE],
            "images": ["a.jpg"],
        },
        conversations.swift_conversations,
        optional=("system",),
        found_in="ms-swift",
    ),
    Format(
        "TRL preferences",
        "preferences",
        ("prompt", "chosen", "rejected"),
        {"prompt": _ASKED, "chosen": _CIRCLE, "rejected": _SQUARE, "images": ["a.jpg"]},
    ),
    *(
        Format(
            name,
            "preferences",
            (question, chosen, rejected),
            {"image": "a.jpg", question: "What is red?", chosen: "The circle.", rejected: "The square."},
            questions.question_pair,
            optional=(*optional, *questions.BEFORE),
            found_in=found_in,
        )
        for name, question, chosen, rejected, optional, found_in in _QUESTION_PAIRS
    ),
    Format(
        "messages with two answers",
        "preferences",
        ("messages", "chosen", "rejected"),
        {
            "messages": [{"role": "user", "content": "<image>What is red?"}],
            "chosen": _CIRCLE[0],
            "rejected": _SQUARE[0],
            "images": ["a.jpg"],
        },
        conversations.two_endings,
        optional=("system",),
        found_in="LLaMA-Factory",
    ),
    Format(
        "ms-swift pictures",
        "preferences",
        ("messages", "rejected_images"),
        {
            "messages": [{"role": "user", "content": "<image>What is red?"}, *_CIRCLE],
            "images": ["a.jpg"],
            "rejected_images": ["b.jpg"],
        },
        conversations.swift_pictures,
        matching.has_other_pictures,
        ("system",),
        "ms-swift",
    ),
    Format(
        "RLHF-V",
        "preferences",
        ("text",),
        {"image": "a.jpg", "text": _PAIR_JSON},
        questions.json_text,
        matching.has_json_pairs,
        found_in="openbmb/RLHF-V-Dataset",
    ),
    Format(
        "VLFeedback",
        "preferences",
        ("prompt", "completions"),
        {"image": "a.jpg", "prompt": "What is red?", "models": ["a", "b"], "completions": _RATED},
        questions.best_and_worst,
        found_in="MMInstruction/VLFeedback",
    ),
    Format(
        "TRL preferences without prompt",
        "preferences",
        ("chosen", "rejected"),
        {"chosen": [*_ASKED, *_CIRCLE], "rejected": [*_ASKED, *_SQUARE], "images": ["a.jpg"]},
        conversations.without_prompt,
        matching.may_part,
    ),
    Format(
        "question and answer",
        "sft",
        ("question", "answer"),
        {"image": "a.jpg", "question": "What is red?", "answer": "circle"},
        questions.question_answer,
        optional=questions.BEFORE,
        found_in="easy-VQA, VQA-RAD, VQAv2's JSON files",
    ),
    Format(
        "question and answers",
        "sft",
        ("question", "answers"),
        {"image": "a.jpg", "question": "What is red?", "answers": ["circle", "circle", "disc"]},
        questions.question_answers,
        optional=questions.BEFORE,
        found_in="TextVQA, VQAv2 on the Hub",
    ),
    *(
        Format(
            name,
            "sft",
            (question, answer),
            {"image": "a.jpg", question: "What is red?", answer: "The circle."},
            partial(questions.answered, question, answer),
            matching.has_one_answer,
            (*optional, *questions.BEFORE),
            found_in,
        )
        for name, question, answer, optional, found_in in _QUESTION_ANSWERS
    ),
    Format(
        "The Cauldron",
        "sft",
        ("texts",),
        {"images": ["a.jpg"], "texts": [{"user": "What is red?", "assistant": "The circle.", "source": "shapes"}]},
        questions.question_turns,
        matching.has_exchanges,
        found_in="HuggingFaceM4/the_cauldron, FineVision",
    ),
    Format(
        "picture and caption",
        "sft",
        ("caption",),
        {"image": "a.jpg", "caption": "A red circle."},
        questions.caption,
        matching.is_described,
        found_in="COCO, Flickr8k, Flickr30k, image folders, WebDataset",
    ),
    Format(
        "picture and captions",
        "sft",
        ("captions",),
        {"image": "a.jpg", "captions": ["A red circle.", "A disc."]},
        questions.captions,
        matching.is_described,
        found_in="noto_emoji, COCO with all captions of a picture in one row",
    ),
    Format(
        "picture and label",
        "sft",
        ("label",),
        {"image": "a.jpg", "label": "circle"},
        questions.label,
        matching.has_class,
    ),
)
