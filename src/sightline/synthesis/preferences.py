"""Make preference pairs from a model's own answers: scored by gold or a judge, or from spoilt images."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL.Image import Image

from sightline.answering.answerers import Answering
from sightline.answering.asking import Journal, Progress, ask_all
from sightline.answering.requests import LIMIT_FLAG, Request, framed, request_changes, request_of, why_empty
from sightline.data.pictures.augmentation import Blank, Blur, Noise
from sightline.data.pictures.images import Change
from sightline.evaluation.judge import JUDGE_LIMIT_FLAG
from sightline.evaluation.task import Task
from sightline.scoring.normalise import normalise
from sightline.synthesis.outcome import Made, PictureFiles
from sightline.synthesis.replies import ReplyError, read_score
from sightline.synthesis.settings import CORRUPTION, GOLD, SAMPLES, SynthesisConfig
from sightline.synthesis.units import Asked, Questions, reject
from sightline.types import CUT, SYSTEM, Picture, Question, Sampling

KEPT_UNDER_NOISE, BLUR_SHARE = 0.1, 0.06


@dataclass(frozen=True)
class SpoiltPicture:
    """What a change makes of a picture, once that is opened."""

    picture: Picture
    change: Change

    @property
    def key(self) -> str:
        """The content key of the picture, and of what is changed."""
        return hashlib.blake2b(f"{self.change!r} {self.picture.key}".encode(), digest_size=16).hexdigest()

    def open(self) -> Image:
        """The changed picture."""
        return self.change(self.picture.open())


def make_preferences(
    config: SynthesisConfig,
    questions: Questions,
    answering: Answering,
    judge: Answering | None,
    journal: Journal,
    provenance: Mapping[str, Any],
    progress: Progress | None = None,
) -> Made:
    """A pair for each question whose answers differ enough. Raises InputError, MachineError: as `ask_all`."""
    task, asked = questions.task, questions.rows
    answered = _answered(config, questions, answering, journal, progress)
    if judge is None:
        scored = [_scored(task, one, side) for one, side in zip(asked, answered.sides, strict=True)]
        rejects = answered.rejects
    else:
        limit = config.pairs.judge_max_new_tokens or MAX_VERDICT_TOKENS
        judged = judged_sides(asked, answered.sides, judge, config.show_image, journal, progress, limit)
        scored, rejects = judged.sides, answered.rejects + judged.rejects
    choices = [choose_pair(side) for side in scored]
    files = PictureFiles(config.output_path)
    rows = [
        _row(one, choice, files.name_of(one.picture), config.system or "", provenance)
        for one, choice in zip(asked, choices, strict=True)
        if not choice.reason
    ]
    reasons = Counter(choice.reason for choice in choices)
    counts = {
        "questions": len(asked),
        "pairs written": len(rows),
        **{f"left out: {reason}": reasons[reason] for reason in (ALIKE, NO_BETTER, NOTHING)},
        "rejected replies": len(rejects),
        **({f"answers cut at their longest (raise {LIMIT_FLAG})": answered.cut} if answered.cut else {}),
    }
    return Made(tuple(rows), tuple(rejects), counts, answered.changes)


def _answered(
    config: SynthesisConfig, questions: Questions, answering: Answering, journal: Journal, progress: Progress | None
) -> Answered:
    """What may be chosen and rejected for each question, not yet scored; empty answers are none."""
    limit, asked = config.max_new_tokens or questions.task.max_new_tokens, questions.rows
    requests = {
        (place, origin): request_of(framed(question, config.system or ""), answering.fingerprint)
        for place, one in enumerate(asked)
        for origin, question in _questions(config, one, limit)
    }
    answers = ask_all(answering.answerer, requests.values(), journal, progress=progress)
    said: list[list[Candidate]] = [[] for _ in asked]
    rejects = []
    for (place, origin), request in requests.items():
        answer, one = answers[request.key], asked[place]
        if answer.text:
            said[place].append(Candidate(answer.text, origin))
        else:
            rejects.append(reject(one, f"{origin}: {why_empty(answer, limit) or 'the answer is empty'}", "", one.text))
    cut = sum(answer.finish_reason == CUT for answer in answers.values())
    sides = [_sides(config, one, own) for one, own in zip(asked, said, strict=True)]
    return Answered(sides, rejects, cut, request_changes(answers.values()))


def _questions(config: SynthesisConfig, asked: Asked, limit: int) -> Iterator[tuple[str, Question]]:
    """What a model is asked about one row, by the origin that the answer will have."""
    pairs = config.pairs
    if SAMPLES in (pairs.chosen_from, pairs.rejected_from):
        for number in range(pairs.samples):
            is_drawn = number > 0 and config.temperature > 0  # the first sample is the likeliest answer
            sampling = Sampling(config.temperature, _seed(config, asked, number)) if is_drawn else None
            yield f"sample {number + 1}", Question(asked.text, (asked.picture,), limit, sampling=sampling)
    if pairs.rejected_from == CORRUPTION:
        changes: dict[str, Change] = {
            "noise": Noise(KEPT_UNDER_NOISE, config.seed),
            "blur": Blur(BLUR_SHARE),
            "blank": Blank(),
        }
        change = changes[pairs.corruption]
        yield pairs.corruption, Question(asked.text, (SpoiltPicture(asked.picture, change),), limit)


def _seed(config: SynthesisConfig, asked: Asked, number: int) -> int:
    """Of one sample; below 2**31, which every server takes."""
    sample = f"{config.seed} {asked.picture.key} {asked.text} {number}"
    return int.from_bytes(hashlib.blake2b(sample.encode(), digest_size=4).digest()) >> 1


def _sides(config: SynthesisConfig, asked: Asked, said: Sequence[Candidate]) -> Sides:
    samples = tuple(one for one in said if one.origin.startswith("sample"))
    spoilt = tuple(one for one in said if one.origin == config.pairs.corruption)
    gold = tuple(Candidate(answer, GOLD) for answer in asked.item.answers[:1])
    return Sides(
        gold if config.pairs.chosen_from == GOLD else samples,
        spoilt if config.pairs.rejected_from == CORRUPTION else samples,
    )


def _scored(task: Task, asked: Asked, sides: Sides) -> Sides:
    """By the task's own reading of answers; unscored where the row has no gold answer."""
    if not asked.item.answers:
        return sides
    scorer = task.scorers[task.default_profile]
    return sides.scored(lambda one: replace(one, score=scorer(asked.item, one.text).score))


def _row(asked: Asked, choice: Choice, image: str, system: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """A pair in TRL's conversational form."""
    chosen, rejected = choice.chosen, choice.rejected
    assert chosen is not None and rejected is not None, "a choice without a reason has both"
    before = [{"role": SYSTEM, "content": system}] if system.strip() else []
    row = {
        "image": image,
        "prompt": [*before, {"role": "user", "content": asked.text}],
        "chosen": [{"role": "assistant", "content": chosen.text}],
        "rejected": [{"role": "assistant", "content": rejected.text}],
        "scores": {"chosen": chosen.score, "rejected": rejected.score},
    }
    if chosen.verdict:
        row["verdicts"] = {"chosen": chosen.verdict, "rejected": rejected.verdict}
    origins = {"chosen_from": chosen.origin, "rejected_from": rejected.origin}
    return {**row, "provenance": {**provenance, **origins, "row": asked.item.name}}


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
            reason = f"judge: {why_empty(said, limit, JUDGE_LIMIT_FLAG) or error}"
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


ALIKE, NO_BETTER, NOTHING = "answers alike", "none is better", "no answer"


@dataclass(frozen=True)
class Candidate:
    """An answer that may enter a pair.

    Attributes:
        origin: where it came from: "gold", "sample 2", "noise".
        score: higher is better; None where answers are not scored.
        verdict: a judge's words.
    """

    text: str
    origin: str
    score: float | None = None
    verdict: str = ""


@dataclass(frozen=True)
class Sides:
    """Answers to one question: those that may be chosen, and those that may be rejected."""

    better: tuple[Candidate, ...]
    worse: tuple[Candidate, ...]

    def scored(self, score: Callable[[Candidate], Candidate | None]) -> Sides:
        """The same with scores; an answer without one is left out."""
        better, worse = ([done for one in side if (done := score(one))] for side in (self.better, self.worse))
        return Sides(tuple(better), tuple(worse))


@dataclass(frozen=True)
class Answered:
    """The sides of each question, and the replies that could not be used: row, reason, reply, what was shown.

    Attributes:
        cut: answers that ended at their longest.
        changes: as `Made.changes`.
    """

    sides: list[Sides]
    rejects: list[dict[str, str]]
    cut: int = 0
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A pair, or the reason why there is none."""

    chosen: Candidate | None = None
    rejected: Candidate | None = None
    reason: str = ""


def choose_pair(sides: Sides) -> Choice:
    """The best of one side over the worst of the other, the first of equals; without scores the first of each.

    There is no pair where one of them is missing, both say the same, or the chosen one does not score higher.
    """
    if not sides.better or not sides.worse:
        return Choice(reason=NOTHING)
    chosen = max(sides.better, key=_score)
    rejected = min(sides.worse, key=_score)
    if chosen.score is not None and rejected.score is not None and chosen.score <= rejected.score:
        return Choice(reason=NO_BETTER)
    if normalise(chosen.text) == normalise(rejected.text):
        return Choice(reason=ALIKE)
    return Choice(chosen, rejected)


def _score(candidate: Candidate) -> float:
    return 0.0 if candidate.score is None else candidate.score
