"""Score a ViLT's answers by what people gave them, and its judgements of sentences."""

from __future__ import annotations

import time
from collections.abc import Sequence as Many
from typing import Any

import torch

from sightline.data.images import open_image, opened
from sightline.data.vilt.pictures import PictureReader, to_tensors
from sightline.data.vilt.questions import AskedPicture
from sightline.data.vilt.sentences import LABELS, JudgedPictures
from sightline.data.vilt.words import encode_texts
from sightline.errors import ConfigError, DataError
from sightline.evaluation.asking import Progress
from sightline.evaluation.results import EvalResult, summarise
from sightline.models.vilt.answers import ViltAnswerer
from sightline.models.vilt.start import picture_shape
from sightline.types import ItemResult, Question

# Rows in flight: enough that questions of one picture meet, few enough to keep their pictures in memory.
WINDOW = 512
BATCH_ROWS = 32


def evaluate_answers(answerer: ViltAnswerer, rows: Many[AskedPicture], progress: Progress | None = None) -> EvalResult:
    """Mean soft score of the best answers (VQA accuracy), overall and per kind, clustered by picture.

    Raises:
        DataError: the rows have no answers to compare with.
    """
    if not any(row.scores for row in rows):
        raise DataError(f"{rows[0].name}: no row has answers. For VQAv2 name its --annotations.")
    start = time.perf_counter()
    items: list[ItemResult] = []
    for first in range(0, len(rows), WINDOW):
        window = rows[first : first + WINDOW]
        pictures = {row.key: opened(open_image(row.picture, row.name)) for row in window}
        guesses = answerer.guess([Question(row.question, (pictures[row.key],)) for row in window], 1)
        items += [_item(row, guess[0].answer) for row, guess in zip(window, guesses, strict=True)]
        if progress is not None:
            progress(len(items), len(rows))
    return summarise(answerer.name, items, duration_s=time.perf_counter() - start)


def _item(row: AskedPicture, answer: str) -> ItemResult:
    return ItemResult(
        id=row.id,
        name=row.name,
        question=row.question,
        answers=tuple(row.scores),
        prediction=answer,
        score=row.scores.get(answer, 0.0),
        image_key=row.key,
        kind=row.kind,
    )


@torch.inference_mode()
def evaluate_judgements(
    model: Any, processor: Any, name: str, rows: Many[JudgedPictures], progress: Progress | None = None
) -> EvalResult:
    """Share of sentences judged right, clustered by groups of examples that share pictures.

    Raises:
        ConfigError: the model was trained on another number of pictures than the rows show.
    """
    shown = len(rows[0].pictures)
    if model.config.num_images != shown:
        raise ConfigError(
            f"{name} judges sentences about {model.config.num_images} picture(s), but the rows show {shown}. "
            "Name another model or other rows."
        )
    start = time.perf_counter()
    reader = PictureReader(picture_shape(processor))
    items: list[ItemResult] = []
    for first in range(0, len(rows), BATCH_ROWS):
        batch = rows[first : first + BATCH_ROWS]
        values, mask = to_tensors([reader.read(picture, row.name) for row in batch for picture in row.pictures])
        texts = encode_texts(processor.tokenizer, [row.sentence for row in batch], model.config.max_position_embeddings)
        logits = model(
            input_ids=texts.ids_BL.to(model.device),
            attention_mask=texts.mask_BL.to(model.device),
            pixel_values=values.unflatten(0, (-1, shown)).to(model.device),
            pixel_mask=mask.unflatten(0, (-1, shown)).to(model.device),
        ).logits
        for row, label in zip(batch, logits.argmax(-1).tolist(), strict=True):
            score, truth = float(label == row.label), (LABELS[row.label],)
            items.append(
                ItemResult(row.id, row.name, row.sentence, truth, LABELS[label], score, row.group, LABELS[row.label])
            )
        if progress is not None:
            progress(len(items), len(rows))
    return summarise(name, items, duration_s=time.perf_counter() - start)
