"""Let a judge score answers from 1 to 10, each on its own; a verdict that cannot be read is kept and not guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sightline.answering.answerers import Answering
from sightline.answering.asking import Progress, ask_all
from sightline.answering.endings import why_empty
from sightline.answering.journal import Journal
from sightline.answering.requests import Request, request_of
from sightline.evaluation.judge import LIMIT_FLAG
from sightline.synthesis.asked import Asked, reject
from sightline.synthesis.pairs import Answered, Candidate, Sides
from sightline.synthesis.replies import ReplyError, read_score
from sightline.types import Question

MAX_VERDICT_TOKENS = 256


def judged_sides(
    asked: Sequence[Asked],
    sides: Sequence[Sides],
    judge: Answering,
    show_image: bool,
    journal: Journal,
    progress: Progress | None = None,
    limit: int = MAX_VERDICT_TOKENS,
) -> Answered:
    """The answers that the judge gave a score, and the verdicts that could not be read."""
    requests = {
        (place, candidate): _request(asked[place], candidate, judge.fingerprint, show_image, limit)
        for place, side in enumerate(sides)
        for candidate in (*side.better, *side.worse)
    }
    answers = ask_all(judge.answerer, requests.values(), journal, progress=progress)
    scored: list[dict[Candidate, Candidate]] = [{} for _ in asked]
    rejects: dict[str, dict[str, str]] = {}
    for (place, candidate), request in requests.items():
        said = answers[request.key]
        try:
            score, _ = read_score(said.text)
            scored[place][candidate] = replace(candidate, score=score, verdict=said.text)
        except ReplyError as error:
            reason = f"judge: {why_empty(said, limit, LIMIT_FLAG) or error}"
            rejects[request.key] = reject(asked[place], reason, said.text, request.question.text)
    found = [side.scored(known.get) for side, known in zip(sides, scored, strict=True)]
    return Answered(found, list(rejects.values()))


def _request(asked: Asked, candidate: Candidate, fingerprint: str, show_image: bool, limit: int) -> Request:
    lines = [f"Question: {asked.text}"]
    if asked.item.answers:
        lines.append(f"Reference: {' | '.join(asked.item.answers)}")
    lines.append(f"Answer: {candidate.text}")
    pictures = (asked.picture,) if show_image else ()
    return request_of(Question("\n".join(lines), pictures, limit), fingerprint)
