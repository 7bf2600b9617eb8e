"""How answers ended: cut at their longest, held back by a filter, or without a word; counted, and said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sightline.types import CUT, Answer

LIMIT_FLAG = "--max_new_tokens"


def why_empty(answer: Answer, limit: int, flag: str = LIMIT_FLAG) -> str:
    """Why an answer says nothing, in words: its error, or that it was cut off in its thought; empty for neither."""
    if answer.error or answer.text or answer.finish_reason != CUT:
        return answer.error
    return f"cut off in its thought after {limit} tokens: raise {flag}"


def cut_note(answers: Iterable[Answer], limit: int, flag: str = LIMIT_FLAG) -> str:
    """How many answers were cut at their longest, and what to do; empty where none was."""
    all_answers = list(answers)
    cut = [answer for answer in all_answers if answer.finish_reason == CUT]
    if not cut:
        return ""
    silent = sum(not answer.text for answer in cut)
    thought = f", {silent:,} of them in their thought" if silent else ""
    were = "was" if len(cut) == 1 else "were"
    return f"{len(cut):,} of {len(all_answers):,} answers {were} cut at {limit:,} tokens{thought}: raise {flag}"


def endings(answers: Iterable[Answer]) -> dict[str, int]:
    """How often answers ended in each way that was told, the most frequent first."""
    counts = Counter(answer.finish_reason for answer in answers if answer.finish_reason)
    return dict(counts.most_common())


def request_changes(answers: Iterable[Answer]) -> tuple[str, ...]:
    """What a server was asked otherwise than it was meant, for any of the answers."""
    return tuple(dict.fromkeys(change for answer in answers for change in answer.changes))
