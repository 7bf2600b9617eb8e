"""Answers of a ViLT to questions about pictures, with the probabilities it gives them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence as Many
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sightline.models.vilt.heads import load_head
from sightline.models.vilt.matching import PairEncoder
from sightline.types import Answer, Question


@dataclass(frozen=True)
class Guess:
    """An answer with the probability that the model gives it; each answer has its own, they do not sum to 1."""

    answer: str
    probability: float


class ViltAnswerer:
    """An `Answerer` over a `ViltForQuestionAnswering`: each distinct picture and question is embedded once.

    Attributes:
        answers: all that it can say.
    """

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        self.name = name
        self._pairs = PairEncoder(model, processor)
        self._head = model.classifier
        self.answers = tuple(model.config.id2label[index] for index in range(model.config.num_labels))

    def answer(self, questions: Many[Question]) -> Iterator[Answer]:
        """One answer per question, in order; a question about no picture or several gets none."""
        shown = [question for question in questions if len(question.pictures) == 1]
        guesses = iter(self.guess(shown, 1))
        for question in questions:
            if len(question.pictures) != 1:
                found = len(question.pictures)
                yield Answer("", error=f"a ViLT answers questions about one picture, and this one has {found}")
            else:
                yield Answer(next(guesses)[0].answer)

    @torch.inference_mode()
    def guess(self, questions: Many[Question], count: int) -> list[tuple[Guess, ...]]:
        """The `count` most probable answers to each question about its one picture, the best first."""
        if not questions:
            return []
        asked = {question.pictures[0].key: question.pictures[0] for question in questions}
        texts = list(dict.fromkeys(question.text for question in questions))
        row_of = {key: index for index, key in enumerate(asked)}
        column_of = {text: index for index, text in enumerate(texts)}
        pictures = self._pairs.embed_pictures([picture.open() for picture in asked.values()], list(asked))
        rows = np.array([row_of[question.pictures[0].key] for question in questions])
        columns = np.array([column_of[question.text] for question in questions])
        found: dict[int, tuple[Guess, ...]] = {}
        for batch, pooled in self._pairs.pooled(pictures, self._pairs.embed_texts(texts), rows, columns):
            best = self._head(pooled).float().sigmoid().topk(min(count, len(self.answers)), dim=1)
            for index, values, labels in zip(batch.tolist(), best.values.tolist(), best.indices.tolist(), strict=True):
                found[index] = tuple(Guess(self.answers[at], value) for at, value in zip(labels, values, strict=True))
        return [found[index] for index in range(len(questions))]


def load_answerer(name: str) -> ViltAnswerer:
    """The answerer of a folder or Hub id with a ViLT that answers questions.

    Raises:
        InputError: there is none, or it was trained for another task.
    """
    model, processor = load_head(name, "vqa")
    return ViltAnswerer(model, processor, name)
