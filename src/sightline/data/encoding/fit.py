"""Apply `length_policy` to rows longer than `max_length`: cut the answer, shorten the prompt, drop, or raise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from sightline.errors import DataError, TooLongError
from sightline.types import TokenSequence

LENGTH_POLICIES = ("truncate", "drop", "shorten_prompt_text", "error")
DROPPING = ("drop", "shorten_prompt_text")  # those under which a row that does not fit is left out
LENGTH_POLICY_HELP = (
    "What to do with rows longer than max_length; they are counted and printed before training. `truncate` cuts the "
    "end of the answer as TRL does, and refuses rows where that would cut the image or the whole answer; `drop` leaves "
    "the rows out; `shorten_prompt_text` cuts words at the start of the oldest user turn, and leaves out rows where "
    "that is not enough; `error` refuses them."
)
_ADVICE = "Raise max_length, set it to null, or set length_policy to drop."


class LengthLimit(Protocol):
    """The settings that say how long a sequence may be."""

    @property
    def max_length(self) -> int | None: ...
    @property
    def length_policy(self) -> str: ...


@dataclass(frozen=True)
class FittedRow:
    """The sequences of one row.

    Attributes:
        sequences: as they train, none longer than `max_length`.
        length: tokens of the longest before anything was cut.
    """

    sequences: tuple[TokenSequence, ...]
    length: int


class TokenCounts(NamedTuple):
    """Tokens of a row's sequences.

    Attributes:
        length: of the longest before anything was cut.
        tokens: of the longest as it trains.
        total: of all of them as they train.
        trained: those scored, with a token before them to be predicted from.
        placeholders: those that stand for features.
    """

    length: int
    tokens: int
    total: int
    trained: int
    placeholders: int


def count_tokens(row: FittedRow) -> TokenCounts:
    """The tokens of a row."""
    sequences = row.sequences
    return TokenCounts(
        row.length,
        _longest(sequences),
        sum(len(one.ids_L) for one in sequences),
        sum(int(one.scored_L[1:].sum()) for one in sequences),
        sum(int((one.feature_L >= 0).sum()) for one in sequences),
    )


def fit_row(
    row: dict[str, Any],
    render: Callable[[dict[str, Any]], tuple[TokenSequence, ...]],
    limit: LengthLimit,
    tokenizer: Any,
    name: str,
) -> FittedRow:
    """What `render` makes of the row, fitted by `length_policy` where it is longer than `max_length`.

    Both answers of a preference row keep one prompt.

    Raises:
        TooLongError: the row does not fit.
    """
    sequences, policy = render(row), limit.length_policy
    length = longest = _longest(sequences)
    if limit.max_length is None or length <= limit.max_length:
        return FittedRow(sequences, length)
    if policy == "truncate":
        return FittedRow(tuple(_truncated(sequence, limit.max_length) for sequence in sequences), length)
    shorter: dict[str, Any] | None = row if policy == "shorten_prompt_text" else None
    while shorter is not None and longest > limit.max_length:
        shorter = _shorten_prompt(shorter, longest - limit.max_length, tokenizer, name)
        if shorter is not None:
            sequences = render(shorter)
            longest = _longest(sequences)
    if longest > limit.max_length:
        least = f"; {longest} remain when the text of its prompt is cut" if longest < length else ""
        raise TooLongError(f"{name}: {length} tokens, but max_length is {limit.max_length}{least}. {_ADVICE}", length)
    return FittedRow(sequences, length)


def _longest(sequences: tuple[TokenSequence, ...]) -> int:
    return max(len(sequence.ids_L) for sequence in sequences)


def _truncated(sequence: TokenSequence, max_length: int) -> TokenSequence:
    """The first `max_length` tokens, as TRL's `keep_start`; never into an image, never without a scored token."""
    length = len(sequence.ids_L)
    if length <= max_length:
        return sequence
    if (sequence.feature_L[max_length:] >= 0).any():
        raise TooLongError(
            f"{sequence.name}: max_length {max_length} cuts into an image; the row has {length} tokens. {_ADVICE}",
            length,
        )
    if not sequence.scored_L[1:max_length].any():
        raise TooLongError(
            f"{sequence.name}: max_length {max_length} leaves no answer token to train on; the row has {length} "
            f"tokens, {int(np.flatnonzero(sequence.scored_L)[0])} of them before the answer. {_ADVICE}",
            length,
            answerless=True,
        )
    keep = slice(None, max_length)
    return replace(
        sequence,
        ids_L=sequence.ids_L[keep],
        feature_L=sequence.feature_L[keep],
        scored_L=sequence.scored_L[keep],
        image_L=None if sequence.image_L is None else sequence.image_L[keep],
    )


def _shorten_prompt(row: dict[str, Any], excess: int, tokenizer: Any, name: str) -> dict[str, Any] | None:
    """The row with up to `excess` tokens fewer of what its user says, or None where nothing can go.

    Words go at the start of the oldest user turn, then of the next; the last token of each text stays. Images, system
    prompts, answers and what the chat template writes are never touched: the template renders what is left anew.

    Raises:
        DataError: the prompt is plain text, in which a user's words cannot be told from a template's.
    """
    column = "messages" if row.get("messages") is not None else "prompt"
    if not isinstance(row.get(column), list):
        raise DataError(
            f"{name}: it is longer than max_length, and length_policy shorten_prompt_text needs messages, but its "
            "text is plain. Use conversational rows, or set length_policy to drop."
        )
    messages = list(row[column])
    for index, message in enumerate(messages):
        content = message.get("content") if message.get("role") == "user" else None
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or [])
        for place, part in enumerate(parts):
            kept = _without_start(part.get("text") or "", excess, tokenizer)
            if kept:
                parts[place] = {**part, "text": kept}
                messages[index] = {**message, "content": kept if isinstance(content, str) else parts}
                return {**row, column: messages}
    return None


def _without_start(text: str, excess: int, tokenizer: Any) -> str:
    """The text without its first `excess` tokens, at most all but the last; empty where that changes nothing."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    starts = [start for start, _ in encoded["offset_mapping"]]
    kept = text[starts[min(excess, len(starts) - 1)] :].lstrip() if starts else ""
    return kept if len(kept) < len(text.strip()) else ""
