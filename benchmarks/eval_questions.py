"""Six yes/no questions per picture, and one in four rotations, against `generate`: 80M LLaVA, 576 image tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from answering import OURS, Way, compare_ways, report, settings
from costs import question_limit
from shapes import IMAGE_TOKENS, llava_80m, picture, processor, words

from sightline.answering.local import LocalAnswerer
from sightline.data.encoding.prompts import render_prompt
from sightline.data.pictures.images import opened
from sightline.models.load import LoadedVlm
from sightline.types import Answer, Question

ANSWER_TOKENS = 2  # "Yes" or a letter, and the stop token
YES_NO, ROTATIONS = 6, 4
YES_NO_WORDS = 16
STEM_WORDS, OPTION_WORDS, CLOSING_WORDS = 20, 5, 10
BATCH_SIZES = (1, 2, 6)


def main() -> None:
    """Rounds of a few pictures for both kinds of questions."""
    given = settings(__doc__ or "")
    loaded = LoadedVlm(llava_80m().eval(), processor(), "80M")
    random = np.random.default_rng(0)
    results = []
    for name, ask, count, own in (
        ("eval_yes_no", _yes_no, YES_NO, YES_NO_WORDS),
        ("eval_circular", _rotations, ROTATIONS, 4 * OPTION_WORDS + CLOSING_WORDS),
    ):
        rounds = [[question for _ in range(given.images) for question in ask(random)] for _ in range(given.rounds)]
        shared = IMAGE_TOKENS + 4 + (STEM_WORDS if ask is _rotations else 0)
        limit = question_limit(loaded.model, shared, own, ANSWER_TOKENS, count)
        results += compare_ways(name, _ways(loaded), rounds, {_named(size): limit for size in BATCH_SIZES})
    report(results, "eval_questions", given.output)


def _yes_no(random: np.random.Generator) -> list[Question]:
    shown = (opened(picture(random)),)
    return [Question(words(random, YES_NO_WORDS), shown, ANSWER_TOKENS) for _ in range(YES_NO)]


def _rotations(random: np.random.Generator) -> list[Question]:
    """One question with its options in every rotation, as MMBench asks it."""
    shown = (opened(picture(random)),)
    stem, closing = words(random, STEM_WORDS), words(random, CLOSING_WORDS)
    options = [words(random, OPTION_WORDS) for _ in range(ROTATIONS)]
    return [
        Question(" ".join([stem, *options[first:], *options[:first], closing]), shown, ANSWER_TOKENS)
        for first in range(ROTATIONS)
    ]


def _ways(loaded: LoadedVlm) -> dict[str, Way]:
    answerer = LocalAnswerer(loaded)
    ways: dict[str, Way] = {OURS: lambda questions: list(answerer.answer(questions))}
    for size in BATCH_SIZES:
        ways[_named(size)] = lambda questions, size=size: _generate(loaded, questions, size)  # type: ignore[misc]
    return ways


def _named(size: int) -> str:
    return "generate, one question at a time" if size == 1 else f"generate, {size} questions in a batch"


@torch.inference_mode()
def _generate(loaded: LoadedVlm, questions: Sequence[Question], size: int) -> list[Answer]:
    """transformers' `generate` on what the processor makes of text and picture, left-padded."""
    answers = []
    for start in range(0, len(questions), size):
        batch = questions[start : start + size]
        inputs = loaded.processor(
            images=[[question.pictures[0].open()] for question in batch],
            text=[render_prompt(loaded.processor, question).text for question in batch],
            padding=True,
            padding_side="left",
            return_tensors="pt",
            add_special_tokens=False,
        )
        ids = loaded.model.generate(**inputs, do_sample=False, max_new_tokens=ANSWER_TOKENS, pad_token_id=0)
        texts = loaded.processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        answers += [Answer(text.strip()) for text in texts]
    return answers


if __name__ == "__main__":
    main()
