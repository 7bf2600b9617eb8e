"""Find the text around an image that can be tokenized on its own, apart from the words beside it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Borders:
    """Where an image's own tokens begin and end in the text that its placeholder becomes.

    Attributes:
        before: words in front of them, which the tokenizer may merge with those of the row (Gemma 3's newlines).
        first: index of the first own token, where the whole text is tokenized alone.
        end: index behind the last one.
        after: words behind them.
    """

    before: str
    first: int
    end: int
    after: str


@functools.lru_cache(maxsize=20_000)
def find_borders(tokenizer: Any, placeholder: str, written: str) -> Borders | None:
    """The borders of what a processor writes for an image; None where none of its tokens can stand for the rest.

    A text tokenizes alike around `placeholder` and around the own tokens if both begin and end with added tokens that
    are cut out of a text in the same way, and no other added token can reach across their ends.
    """
    if not tokenizer.is_fast:
        return None
    added = tokenizer.added_tokens_decoder
    hole = added.get(tokenizer.convert_tokens_to_ids(placeholder))
    if hole is None or not _is_cut_out(tokenizer, str(hole)):
        return None
    encoded = tokenizer(written, add_special_tokens=False, return_offsets_mapping=True)
    offsets = encoded["offset_mapping"]
    own = [
        index
        for index, token in enumerate(encoded["input_ids"])
        if token in added and added[token].normalized == hole.normalized and _is_cut_out(tokenizer, str(added[token]))
    ]
    if not own:
        return None
    first, last = own[0], own[-1]
    ends = added[encoded["input_ids"][first]], added[encoded["input_ids"][last]]
    if ends[0].lstrip != hole.lstrip or ends[1].rstrip != hole.rstrip:
        return None
    return Borders(written[: offsets[first][0]], first, last + 1, written[offsets[last][1] :])


def spelt_out(text: str, placeholder: str, around: Sequence[tuple[str, str]]) -> str:
    """The text with each placeholder between the words that the processor writes around that image's tokens.

    >>> spelt_out("user <image>?", "<image>", [("[", "]")])
    'user [<image>]?'
    """
    if not any(before or after for before, after in around):
        return text
    parts = text.split(placeholder)
    if len(parts) != len(around) + 1:
        return text  # placeholders and images do not match, which is said where they meet
    return parts[0] + "".join(
        before + placeholder + after + part for (before, after), part in zip(around, parts[1:], strict=True)
    )


@functools.lru_cache(maxsize=1000)
def _is_cut_out(tokenizer: Any, token: str) -> bool:
    """Whether the token is found in a text wherever it is written, whatever stands beside it."""
    added = tokenizer.added_tokens_decoder.values()
    if next(one for one in added if str(one) == token).single_word:
        return False
    return not any(_reaches_across(str(other), token) for other in added)


def _reaches_across(other: str, token: str) -> bool:
    """Whether the other token may hold the token's start and what is in front of it, or its end and what follows."""
    return any(part.startswith(token) or token.startswith(part) for part in _parts(other, behind=True)) or any(
        part.endswith(token) or token.endswith(part) for part in _parts(other, behind=False)
    )


def _parts(word: str, behind: bool) -> Iterator[str]:
    """What remains of a word without its start, at each length, or without its end."""
    return (word[cut:] if behind else word[:cut] for cut in range(1, len(word)))
