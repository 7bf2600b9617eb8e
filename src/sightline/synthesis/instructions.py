"""Make training rows from a model's replies: conversations, descriptions, reasoning, paraphrases."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sightline.answering.answerers import Answering
from sightline.answering.asking import Journal, Progress, ask_all
from sightline.answering.requests import LIMIT_FLAG, request_changes, request_of, why_empty
from sightline.data.sources.bad_rows import BadRows
from sightline.data.sources.stored import DatasetTable
from sightline.scoring.normalise import normalise
from sightline.synthesis.outcome import Made, PictureFiles
from sightline.synthesis.replies import Pair, PromptFile, ReplyError, read_description, read_pairs
from sightline.synthesis.settings import SynthesisConfig
from sightline.synthesis.units import Unit, read_scenes, read_turns, source_table
from sightline.types import CUT, Answer, Question, Sampling


@dataclass(frozen=True)
class Instruction:
    """A kind of row.

    Attributes:
        read: units of a source's rows: the rows, how many units, and where bad rows are noted.
        parse: a reply's questions and answers; raises ReplyError.
    """

    read: Callable[[DatasetTable, int | None, BadRows], list[Unit]]
    parse: Callable[[str, Unit], tuple[Pair, ...]]
    max_new_tokens: int


INSTRUCTIONS: dict[str, Instruction] = {
    "conversation": Instruction(read_scenes, lambda reply, unit: read_pairs(reply, fewest=2), 1024),
    "description": Instruction(read_scenes, lambda reply, unit: ((unit.question, read_description(reply)),), 512),
    "reasoning": Instruction(read_scenes, lambda reply, unit: read_pairs(reply, 1, 1), 768),
    "paraphrase": Instruction(
        read_turns, lambda reply, unit: read_pairs(reply, len(unit.pairs), len(unit.pairs)), 1024
    ),
}


def read_units(config: SynthesisConfig, prompt: PromptFile, bad: BadRows) -> list[Unit]:
    """What a reply is asked for, from the source. Raises DataError where a row cannot be used, nor be left out."""
    units = INSTRUCTIONS[config.kind].read(source_table(config), config.limit, bad)
    return [_with_question(unit, prompt, config.seed) for unit in units]


def make_instructions(
    config: SynthesisConfig,
    units: Sequence[Unit],
    answering: Answering,
    journal: Journal,
    provenance: Mapping[str, Any],
    progress: Progress | None = None,
) -> Made:
    """Rows of the replies: each asked for once, read strictly, without questions that their picture has already.

    Raises:
        InputError, MachineError: as `ask_all`.
    """
    kind = INSTRUCTIONS[config.kind]
    requests = [
        request_of(_question(unit, config, config.max_new_tokens or kind.max_new_tokens), answering.fingerprint)
        for unit in units
    ]
    answers = ask_all(answering.answerer, requests, journal, progress=progress)
    rows, rejects = _Rows(config, provenance, units), []
    for unit, request in zip(units, requests, strict=True):
        answer = answers[request.key]
        if unit.pairs:
            rows.keep(unit)
        try:
            rows.add(unit, kind.parse(_text(answer, request.question.max_new_tokens), unit))
        except ReplyError as error:
            cut = f", cut at {request.question.max_new_tokens} tokens: raise {LIMIT_FLAG}" * _is_cut(answer)
            rejects.append({"row": unit.name, "reason": f"{error}{cut}", "reply": answer.text, "shown": unit.shown})
    counts = {
        "asked": len(units),
        "rows written": len(rows.rows),
        "questions": rows.questions,
        "duplicate questions left out": rows.duplicates,
        "rejected replies": len(rejects),
    }
    return Made(tuple(rows.rows), tuple(rejects), counts, request_changes(answers.values()))


class _Rows:
    """Rows in TRL's form, without questions that were asked about a picture before."""

    def __init__(self, config: SynthesisConfig, provenance: Mapping[str, Any], units: Sequence[Unit]) -> None:
        self.rows: list[dict[str, Any]] = []
        self.questions = self.duplicates = 0
        self._provenance = provenance
        self._files = PictureFiles(config.output_path)
        self._seen = {_asked(unit, question) for unit in units for question, _ in unit.pairs}

    def keep(self, unit: Unit) -> None:
        """Adds the row that is paraphrased, as it was."""
        self.rows.append(self._row(unit, unit.pairs, None))

    def add(self, unit: Unit, pairs: tuple[Pair, ...]) -> None:
        """Adds the row of a reply, where it asks something new."""
        new = []
        for question, answer in pairs:
            if _asked(unit, question) not in self._seen:
                self._seen.add(_asked(unit, question))
                new.append((question, answer))
        self.duplicates += len(pairs) - len(new)
        self.questions += len(new)
        if new:
            self.rows.append(self._row(unit, tuple(new), {**self._provenance, "row": unit.name}))

    def _row(self, unit: Unit, pairs: tuple[Pair, ...], provenance: Mapping[str, Any] | None) -> dict[str, Any]:
        system = [{"role": "system", "content": unit.system}] if unit.system else []
        turns = [
            {"role": role, "content": text}
            for pair in pairs
            for role, text in zip(("user", "assistant"), pair, strict=True)
        ]
        return {"image": self._files.name_of(unit.picture), "messages": [*system, *turns], "provenance": provenance}


def _with_question(unit: Unit, prompt: PromptFile, seed: int) -> Unit:
    """The unit with a question of the prompt's, drawn by seed and picture."""
    if not prompt.questions:
        return unit
    digest = hashlib.blake2b(f"{seed} {unit.picture.key}".encode(), digest_size=8).digest()
    return replace(unit, question=prompt.questions[int.from_bytes(digest) % len(prompt.questions)])


def _question(unit: Unit, config: SynthesisConfig, max_new_tokens: int) -> Question:
    sampling = Sampling(config.temperature, config.seed) if config.temperature else None
    pictures = (unit.picture,) if config.show_image else ()
    return Question(unit.shown, pictures, max_new_tokens, sampling=sampling)


def _text(answer: Answer, limit: int) -> str:
    missing = why_empty(answer, limit)
    if missing:
        raise ReplyError(f"no reply came: {missing}")
    return answer.text


def _is_cut(answer: Answer) -> bool:
    """Whether a reply lacks its end, which explains what is wrong with it."""
    return bool(answer.text) and answer.finish_reason == CUT


def _asked(unit: Unit, question: str) -> tuple[str, str]:
    return unit.picture.key, normalise(question)
