"""Let another model judge answers that a profile cannot read; only on request, and fully recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sightline.answering.asking import Journal, Progress, ask_all
from sightline.answering.requests import request_of, why_empty
from sightline.evaluation.task import JudgeNote
from sightline.scoring.final_answer import without_thought
from sightline.scoring.records import Item, Judged, Verdict
from sightline.types import Answerer, Question

MAX_VERDICT_TOKENS = 16
JUDGE_LIMIT_FLAG = "--judge_max_new_tokens"
_OPENING = "You compare a response with the correct answer to a question."
_CLOSING = (
    "Does the response give the correct answer? Say one word: correct, incorrect, or unclear if the response gives no "
    "answer at all."
)


@dataclass(frozen=True)
class SecondOpinion:
    """Judged items with the judge's verdicts in place of those that were unparsed, and its notes by item id."""

    judged: tuple[Judged, ...]
    notes: Mapping[str, JudgeNote]


def judge_unparsed(
    judged: Sequence[Judged],
    judge: Answerer,
    fingerprint: str,
    journal: Journal | None = None,
    progress: Progress | None = None,
    limit: int = MAX_VERDICT_TOKENS,
) -> SecondOpinion:
    """The judge's verdict on each item that has an answer which the profile could not read.

    What the judge calls unclear, or does not judge in one of its three words, stays unparsed.
    """
    requests = {
        place: request_of(Question(_prompt(one.item, one.answer), max_new_tokens=limit), fingerprint)
        for place, one in enumerate(judged)
        if one.verdict.parsed is None and not one.error
    }
    answers = ask_all(judge, requests.values(), journal, progress=progress)
    changed, notes = list(judged), {}
    for place, request in requests.items():
        answer = answers[request.key]
        one = judged[place]
        notes[one.item.id] = JudgeNote(
            judge.name, request.question.text, answer.text or why_empty(answer, limit, JUDGE_LIMIT_FLAG)
        )
        changed[place] = replace(one, verdict=_verdict(one, answer.text))
    return SecondOpinion(tuple(changed), notes)


def _prompt(item: Item, answer: str) -> str:
    options = [f"{chr(65 + index)}. {option}" for index, option in enumerate(item.options)]
    before = [f"{turn.role.capitalize()}: {turn.text}" for turn in item.turns]
    lines = [_OPENING, *before, f"Question: {item.question}", *options, f"Correct answer: {' or '.join(item.answers)}"]
    return "\n".join([*lines, f"Response: {answer}", _CLOSING])


def _verdict(one: Judged, said: str) -> Verdict:
    word = without_thought(said).lower().strip(".!*\"' ")
    if word.startswith("correct"):
        return Verdict(1.0, one.item.answers[0])
    if word.startswith("incorrect"):
        return Verdict(0.0, "judged incorrect")
    return one.verdict
