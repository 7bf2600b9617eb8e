"""The table of row formats: the columns by which each is known, an example row, and what becomes of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from sightline.data.formats.comparisons import best_and_worst, json_text, question_pair, read_pair
from sightline.data.formats.conversations import (
    compared_conversations,
    conversation,
    indexed_parts,
    prompt_of_two_kinds,
    swift_conversations,
    swift_pair,
    two_endings,
    without_prompt,
)
from sightline.data.formats.questions import caption, captions, described, label, question_answer, question_answers
from sightline.data.marks import count_marks
from sightline.errors import DataError

_PICTURE_TOKEN = re.compile(r"<[^<>\s]*(?:im|vision|media|patch)[^<>]*>|\[IMG", re.IGNORECASE)
Row = dict[str, Any]
Goal = Literal["sft", "preferences"]
Convert = Callable[[Row, int, str], list[Row]]
_QUESTIONS = frozenset(("question", "questions", "query", "instruction", "prompt", "problem"))


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
    lacks = f"lacks {missing}" if missing else "lacks a picture, or has other values"
    raise DataError(
        f"{source}: expected the columns {_choices(goal)} (and image or images); found {shown}. The nearest format is "
        f"{nearest.name}, of which it {lacks}. Rename the columns, or convert the file; docs/formats.md shows a row of "
        "each format."
    )


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


def _texts(rows: list[Row], column: str) -> list[Any]:
    """The contents of all turns in the first rows."""
    return [turn.get("content") for row in rows for turn in row[column] or () if isinstance(turn, dict)]


def _has_marks(rows: list[Row]) -> bool:
    return any(isinstance(text, str) and count_marks(text) for text in _texts(rows, "messages"))


def _has_from(rows: list[Row]) -> bool:
    turns = [turn for row in rows for turn in row["messages"] or () if isinstance(turn, dict)]
    return any(turn.get("value") is not None for turn in turns)


def _has_indices(rows: list[Row]) -> bool:
    contents = [content for content in _texts(rows, "messages") if isinstance(content, list)]
    return any("index" in part for content in contents for part in content if isinstance(part, dict))


def _has_json_pairs(rows: list[Row]) -> bool:
    return bool(rows) and read_pair(rows[0]["text"]) is not None


def _is_text(rows: list[Row]) -> bool:
    return not _has_json_pairs(rows)


def _is_description(rows: list[Row]) -> bool:
    """Whether texts stand beside pictures, and none of them has a token for one, as TRL's text has."""
    texts = [row["text"] for row in rows if isinstance(row["text"], str)]
    return _is_text(rows) and _has_image(rows) and not any(_PICTURE_TOKEN.search(text) for text in texts)


def _has_image(rows: list[Row]) -> bool:
    return any(row.get("image") is not None or row.get("images") is not None for row in rows)


def _is_described(rows: list[Row]) -> bool:
    """Whether the rows show a picture and ask nothing: a question must not be dropped for one of ours."""
    asked = any(name.lower() in _QUESTIONS and value for row in rows for name, value in row.items())
    return _has_image(rows) and not asked


def _has_class(rows: list[Row]) -> bool:
    return _is_described(rows) and all(isinstance(row["label"], str) for row in rows)


def _are_of_two_kinds(rows: list[Row]) -> bool:
    """Whether some row has text beside messages, or answers that begin with the prompt."""
    return any(len({_kind(row[column]) for column in ("prompt", "chosen", "rejected")} - {""}) > 1 for row in rows)


def _kind(value: Any) -> str:
    """What a prompt or an answer is: text, messages, or a whole conversation; empty for several texts, or nothing."""
    if isinstance(value, str):
        return "text"
    first = value[0] if isinstance(value, list) and value else None
    if not isinstance(first, dict):
        return ""
    return "messages" if first.get("role") == "assistant" or _ends_in_user(value) else "whole"


def _ends_in_user(messages: list[Any]) -> bool:
    return messages[-1].get("role") != "assistant"


def _is_conversational(rows: list[Row]) -> bool:
    return bool(rows) and all(isinstance(rows[0][column], list) for column in ("chosen", "rejected"))


_ASKED = [{"role": "user", "content": "What is red?"}]
_CIRCLE = [{"role": "assistant", "content": "The circle."}]
_SQUARE = [{"role": "assistant", "content": "The square."}]
_LLAVA = [{"from": "human", "value": "<image>\nWhat is red?"}, {"from": "gpt", "value": "The circle."}]
_LLAVA_WORSE = [_LLAVA[0], {"from": "gpt", "value": "The square."}]
_RATED = [
    {"model": "a", "response": "The circle.", "annotations": {"Helpfulness": {"Rating": "5", "Rationale": "Right."}}},
    {"model": "b", "response": "The square.", "annotations": {"Helpfulness": {"Rating": "2", "Rationale": "Wrong."}}},
]
_PAIR_JSON = '{"question": "What is red?", "chosen": "The circle.", "rejected": "The square."}'

# The first that fits is taken, so a format comes before those that need fewer of its columns.
FORMATS = (
    Format(
        "ShareGPT messages with images",
        "sft",
        ("messages",),
        {"messages": [{"role": "user", "content": "<image>What is red?"}, *_CIRCLE], "images": ["a.jpg"]},
        conversation,
        lambda rows: _has_marks(rows) or _has_from(rows),
        ("system",),
        "LLaMA-Factory, ms-swift",
    ),
    Format(
        "llava-instruct-mix-vsft",
        "sft",
        ("messages",),
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"index": None, "text": "What is red?", "type": "text"},
                        {"index": 0, "text": None, "type": "image"},
                    ],
                },
                {"role": "assistant", "content": [{"index": None, "text": "The circle.", "type": "text"}]},
            ],
            "images": ["a.jpg"],
        },
        indexed_parts,
        _has_indices,
        found_in="HuggingFaceH4/llava-instruct-mix-vsft",
    ),
    Format(
        "TRL messages",
        "sft",
        ("messages",),
        {"messages": [*_ASKED, *_CIRCLE], "images": ["a.jpg"]},
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
        described,
        _is_description,
        found_in="captions on the Hub",
    ),
    Format("TRL text", "sft", ("text",), {"text": "All of it is trained."}, matches=_is_text),
    Format(
        "POVID",
        "preferences",
        ("conversations", "rejected_conversations"),
        {"id": "7", "image": "a.jpg", "conversations": _LLAVA, "rejected_conversations": _LLAVA_WORSE},
        compared_conversations,
        found_in="YiyangAiLab/POVID_preference_data_for_VLLMs",
    ),
    Format(
        "ShareGPT preferences",
        "preferences",
        ("conversations", "chosen", "rejected"),
        {"conversations": _LLAVA[:1], "chosen": _LLAVA[1], "rejected": _LLAVA_WORSE[1], "images": ["a.jpg"]},
        two_endings,
        optional=("system",),
        found_in="LLaMA-Factory",
    ),
    Format(
        "LLaVA and ShareGPT conversations",
        "sft",
        ("conversations",),
        {"id": "7", "image": "a.jpg", "conversations": _LLAVA},
        conversation,
        optional=("system",),
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
        swift_pair,
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
        swift_conversations,
        optional=("system",),
        found_in="ms-swift",
    ),
    Format(
        "preferences of text and messages",
        "preferences",
        ("prompt", "chosen", "rejected"),
        {
            "prompt": "What is red?",
            "chosen": [*_ASKED, *_CIRCLE],
            "rejected": [*_ASKED, *_SQUARE],
            "images": ["a.jpg"],
        },
        prompt_of_two_kinds,
        _are_of_two_kinds,
        found_in="UltraFeedback and its relatives",
    ),
    Format(
        "TRL preferences",
        "preferences",
        ("prompt", "chosen", "rejected"),
        {"prompt": _ASKED, "chosen": _CIRCLE, "rejected": _SQUARE, "images": ["a.jpg"]},
    ),
    Format(
        "RLAIF-V",
        "preferences",
        ("question", "chosen", "rejected"),
        {"image": "a.jpg", "question": "What is red?", "chosen": "The circle.", "rejected": "The square."},
        question_pair,
        found_in="openbmb/RLAIF-V-Dataset",
    ),
    Format(
        "RLHF-V",
        "preferences",
        ("text",),
        {"image": "a.jpg", "text": _PAIR_JSON},
        json_text,
        _has_json_pairs,
        found_in="openbmb/RLHF-V-Dataset",
    ),
    Format(
        "VLFeedback",
        "preferences",
        ("prompt", "completions"),
        {"image": "a.jpg", "prompt": "What is red?", "models": ["a", "b"], "completions": _RATED},
        best_and_worst,
        found_in="MMInstruction/VLFeedback",
    ),
    Format(
        "TRL preferences without prompt",
        "preferences",
        ("chosen", "rejected"),
        {"chosen": [*_ASKED, *_CIRCLE], "rejected": [*_ASKED, *_SQUARE], "images": ["a.jpg"]},
        without_prompt,
        _is_conversational,
    ),
    Format(
        "question and answer",
        "sft",
        ("question", "answer"),
        {"image": "a.jpg", "question": "What is red?", "answer": "circle"},
        question_answer,
        found_in="easy-VQA, VQA-RAD, VQAv2's JSON files",
    ),
    Format(
        "question and answers",
        "sft",
        ("question", "answers"),
        {"image": "a.jpg", "question": "What is red?", "answers": ["circle", "circle", "disc"]},
        question_answers,
        found_in="TextVQA, VQAv2 on the Hub",
    ),
    Format(
        "picture and caption",
        "sft",
        ("caption",),
        {"image": "a.jpg", "caption": "A red circle."},
        caption,
        _is_described,
        found_in="COCO, Flickr8k, Flickr30k, image folders, WebDataset",
    ),
    Format(
        "picture and captions",
        "sft",
        ("captions",),
        {"image": "a.jpg", "captions": ["A red circle.", "A disc."]},
        captions,
        _is_described,
        found_in="noto_emoji, COCO with all captions of a picture in one row",
    ),
    Format("picture and label", "sft", ("label",), {"image": "a.jpg", "label": "circle"}, label, _has_class),
)
