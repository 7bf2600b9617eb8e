"""Likelihood of four options against each option in its own row: 80M LLaVA shape, 576 image tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from answering import OURS, compare_ways, report, settings
from costs import option_limit
from shapes import IMAGE_TOKENS, llava_80m, picture, processor, words

from sightline.answering.local import LocalAnswerer
from sightline.data.encoding.prompts import option_ids, render_prompt
from sightline.data.pictures.images import opened
from sightline.models.load import LoadedVlm
from sightline.types import Answer, OptionScore, Question

OPTIONS = 4
OPTION_WORDS = 4
QUESTION_WORDS = 12
ROWS = "each option in its own row, four rows in a batch"
ALONE = "each option in its own row, one at a time"


def main() -> None:
    """Rounds of a few pictures, one question with four options of four tokens about each."""
    given = settings(__doc__ or "")
    loaded = LoadedVlm(llava_80m().eval(), processor(), "80M")
    random = np.random.default_rng(0)
    rounds = [
        [
            Question(
                words(random, QUESTION_WORDS),
                (opened(picture(random)),),
                options=tuple(words(random, OPTION_WORDS) for _ in range(OPTIONS)),
            )
            for _ in range(given.images)
        ]
        for _ in range(given.rounds)
    ]
    answerer = LocalAnswerer(loaded)
    ways = {
        OURS: lambda questions: list(answerer.answer(questions)),
        ROWS: lambda questions: _in_rows(loaded, questions, OPTIONS),
        ALONE: lambda questions: _in_rows(loaded, questions, 1),
    }
    limit = option_limit(loaded.model, prompt=IMAGE_TOKENS + QUESTION_WORDS + 4, option=OPTION_WORDS, options=OPTIONS)
    report(compare_ways("eval_options", ways, rounds, {ROWS: limit, ALONE: limit}), "eval_options", given.output)


@torch.inference_mode()
def _in_rows(loaded: LoadedVlm, questions: Sequence[Question], batch: int) -> list[Answer]:
    """The model's own forward over prompt and option, as evaluation harnesses score options."""
    answers = []
    for question in questions:
        prompt = render_prompt(loaded.processor, question)
        image = question.pictures[0].open()
        scores: list[OptionScore] = []
        for start in range(0, len(question.options), batch):
            ids = [option_ids(loaded.processor, option) for option in question.options[start : start + batch]]
            inputs = loaded.processor(
                images=[[image]] * len(ids),
                text=[prompt.text] * len(ids),
                return_tensors="pt",
                add_special_tokens=False,
            )
            tail = torch.tensor(np.stack(ids))
            inputs["input_ids"] = torch.cat([inputs["input_ids"], tail], dim=1)
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
            logits = loaded.model(**inputs, use_cache=False).logits[:, -OPTION_WORDS - 1 : -1]
            logprobs = logits.log_softmax(-1).gather(-1, tail[..., None]).sum(dim=(1, 2))
            scores += [OptionScore(float(value), OPTION_WORDS) for value in logprobs]
        answers.append(Answer(options=tuple(scores)))
    return answers


if __name__ == "__main__":
    main()
