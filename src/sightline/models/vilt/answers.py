"""Answers of a ViLT: probabilities of answers to a question, and judgements of sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from sightline.data.vilt.pictures import PictureReader, to_tensors
from sightline.data.vilt.words import encode_texts
from sightline.errors import DataError
from sightline.models.vilt.heads import load_head, task_of
from sightline.models.vilt.matching import PairEncoder
from sightline.models.vilt.start import picture_shape
from sightline.types import Answer, Question

BATCH_SENTENCES = 32


class ViltSpeaker(Protocol):
    """An `Answerer` over a ViLT that chooses among fixed answers.

    Attributes:
        answers: all that it can say.
    """

    name: str
    model: Any
    processor: Any
    answers: tuple[str, ...]

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]: ...


@dataclass(frozen=True)
class Guess:
    """An answer with the probability that the model gives it; each answer has its own, they do not sum to 1."""

    answer: str
    probability: float


class ViltAnswerer:
    """A `ViltSpeaker` over a `ViltForQuestionAnswering`: each distinct picture and question is embedded once."""

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        self.name, self.model, self.processor = name, model, processor
        self._pairs = PairEncoder(model, processor)
        self._head = model.classifier
        self.answers = tuple(model.config.id2label[index] for index in range(model.config.num_labels))

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """One answer per question, in order; a question about no picture or several gets none."""
        shown = [question for question in questions if len(question.pictures) == 1]
        said = iter(_said(shown, lambda some: [guesses[0].answer for guesses in self.guess(some, 1)]))
        for question in questions:
            yield next(said) if len(question.pictures) == 1 else _not_shown(1, question)

    @torch.inference_mode()
    def guess(self, questions: Sequence[Question], count: int) -> list[tuple[Guess, ...]]:
        """The `count` most probable answers to each question about its one picture, the best first."""
        if not questions:
            return []
        asked = {question.pictures[0].key: question.pictures[0] for question in questions}
        names = {question.pictures[0].key: _named(question) for question in questions}
        texts = list(dict.fromkeys(question.text for question in questions))
        row_of = {key: index for index, key in enumerate(asked)}
        column_of = {text: index for index, text in enumerate(texts)}
        pictures = self._pairs.embed_pictures([picture.open() for picture in asked.values()], [*names.values()])
        rows = np.array([row_of[question.pictures[0].key] for question in questions])
        columns = np.array([column_of[question.text] for question in questions])
        found: dict[int, tuple[Guess, ...]] = {}
        for batch, pooled in self._pairs.pooled(pictures, self._pairs.embed_texts(texts), rows, columns):
            best = self._head(pooled).float().sigmoid().topk(min(count, len(self.answers)), dim=1)
            for index, values, labels in zip(batch.tolist(), best.values.tolist(), best.indices.tolist(), strict=True):
                found[index] = tuple(Guess(self.answers[at], value) for at, value in zip(labels, values, strict=True))
        return [found[index] for index in range(len(questions))]


class ViltJudge:
    """A `ViltSpeaker` over a `ViltForImagesAndTextClassification`: says true or false of a sentence about pictures."""

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        self.name, self.model, self.processor = name, model, processor
        self.answers = tuple(model.config.id2label[index] for index in range(model.config.num_labels))
        self._reader = PictureReader(picture_shape(processor), cache_bytes=0)

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """One judgement per sentence, in order; one about another number of pictures than was trained gets none."""
        wanted = self.model.config.num_images
        for first in range(0, len(questions), BATCH_SENTENCES):
            batch = questions[first : first + BATCH_SENTENCES]
            shown = [question for question in batch if len(question.pictures) == wanted]
            said = iter(_said(shown, self._judge))
            for question in batch:
                yield next(said) if len(question.pictures) == wanted else _not_shown(wanted, question)

    @torch.inference_mode()
    def _judge(self, questions: Sequence[Question]) -> list[str]:
        if not questions:
            return []
        model, shown = self.model, self.model.config.num_images
        pictures = [(picture, _named(question)) for question in questions for picture in question.pictures]
        values, mask = to_tensors([self._reader.read(picture.open(), name) for picture, name in pictures])
        limit = model.config.max_position_embeddings
        texts = encode_texts(self.processor.tokenizer, [question.text for question in questions], limit)
        logits = model(
            input_ids=texts.ids_BL.to(model.device),
            attention_mask=texts.mask_BL.to(model.device),
            pixel_values=values.unflatten(0, (-1, shown)).to(model.device),
            pixel_mask=mask.unflatten(0, (-1, shown)).to(model.device),
        ).logits
        return [self.answers[label] for label in logits.argmax(-1).tolist()]


def load_answerer(name: str, device: str | None = None) -> ViltAnswerer:
    """The answerer of a folder or Hub id with a ViLT that answers questions.

    Raises:
        InputError: there is none, or it was trained for another task.
    """
    return ViltAnswerer(*load_head(name, "vqa", device), name)


def load_speaker(name: str, device: str | None = None) -> ViltSpeaker:
    """The answerer of a folder or Hub id with a ViLT that answers questions or judges sentences.

    Raises:
        InputError: there is none, or it was trained for another task.
    """
    if task_of(name) == "nlvr2":
        return ViltJudge(*load_head(name, "nlvr2", device), name)
    return load_answerer(name, device)


def _said(questions: Sequence[Question], answer: Callable[[Sequence[Question]], list[str]]) -> list[Answer]:
    """The answers to all at once; where a picture cannot be used, its questions get the reason, the others theirs."""
    try:
        return [Answer(text) for text in answer(questions)]
    except DataError as error:
        if len(questions) == 1:
            return [Answer("", error=str(error))]
        middle = len(questions) // 2
        return [*_said(questions[:middle], answer), *_said(questions[middle:], answer)]


def _named(question: Question) -> str:
    """What messages call the picture of a question."""
    return f"The picture of the question '{question.text}'"


def _not_shown(wanted: int, question: Question) -> Answer:
    found = len(question.pictures)
    return Answer("", error=f"this ViLT reads {wanted} picture(s) with each text, and here are {found}")
