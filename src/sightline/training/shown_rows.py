"""A few training rows as the model sees them, for the page of a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from datasets import IterableDataset
from PIL.Image import Image

from sightline.data.pictures.images import open_image, row_images
from sightline.data.sources.datasets import RowNames, row_name
from sightline.engine.forest import NO_LABEL
from sightline.pages.browser import MAX_PICTURE_SIDE, side_by_side, spread
from sightline.pages.report import Card, Verdict
from sightline.training.collators import PreferenceCollator, ProcessorCollator, SFTCollator
from sightline.training.random_states import random_states
from sightline.training.row_guard import RowGuard

SHOWN_ROWS = 6
REPEATED = 4  # equal tokens in a row that are shown as one with their number: those of a picture
LONGEST_TEXT = 700

SHOWN = "Some training rows as the model reads them; a token that follows itself is shown once, with how often."
STREAMED = "The rows are streamed: none can be looked up without taking it from training."


def shown_rows(rows: Any, source: str | RowNames, collate: Any, tokenizer: Any) -> tuple[tuple[Card, ...], str]:
    """Rows spread evenly over those that train, and a sentence about them.

    Nothing is drawn from the random generators that training draws from.

    Args:
        rows: with the columns that `collate` makes batches of.
        source: what messages call them.
    """
    if isinstance(rows, IterableDataset | torch.utils.data.IterableDataset):
        return (), STREAMED
    if isinstance(collate, SFTCollator | PreferenceCollator | ProcessorCollator):
        collate = replace(collate, guard=RowGuard())  # a row that is bad is met, counted and said when its batch comes
    perturbed = isinstance(collate, PreferenceCollator) and collate.encoder.settings.perturbation is not None
    states = random_states()
    try:
        cards = [
            _card(rows[index], row_name(source, index), collate, tokenizer, 3 if perturbed else 2)
            for index in spread(range(len(rows)), SHOWN_ROWS)
        ]
    finally:
        states.put_back()
    return tuple(cards), SHOWN


def small_picture(pictures: Sequence[Any], name: str) -> Image | None:
    """The pictures of a row in one small one; None where it has none.

    Raises:
        DataError: one cannot be read.
    """
    opened = [open_image(picture, name).copy() for picture in pictures]
    for picture in opened:
        picture.thumbnail((MAX_PICTURE_SIDE, MAX_PICTURE_SIDE))
    return side_by_side(opened) if opened else None


def _card(row: Any, name: str, collate: Any, tokenizer: Any, kinds: int) -> Card:
    """`kinds`: of preferences how many sequences a pair has."""
    example = row[0] if isinstance(row, list) else row  # of examples that share a row
    read, learnt = _texts(collate([[example] if isinstance(row, list) else row]), tokenizer, kinds)
    return Card(small_picture(row_images(example), name), read, "", learnt, name)


def _texts(batch: dict[str, Any], tokenizer: Any, kinds: int) -> tuple[str, tuple[Verdict, ...]]:
    """What is only read, and what is learnt; of preferences the chosen answers, then the rejected ones."""
    preferences = "completion_mask" in batch and "labels" not in batch
    ids_NL = batch["input_ids"]
    trained_NL = batch["completion_mask"].bool() if preferences else batch["labels"] != NO_LABEL
    real_NL = batch.get("attention_mask", torch.ones_like(ids_NL)).bool()
    sequences = [
        list(_stretches(ids.tolist(), trained.tolist(), real.tolist(), tokenizer))
        for ids, trained, real in zip(ids_NL, trained_NL, real_NL, strict=True)
    ]
    read = "" if sequences[0][0][0] else sequences[0][0][1]
    if not preferences:
        rest = sequences[0][1:] if read else sequences[0]
        return read, tuple(Verdict("trained" if mark else "read", text, mark or None) for mark, text in rest)
    answers = [" ".join(text for mark, text in sequence if mark) for sequence in sequences]
    pairs = len(answers) // kinds
    chosen = (Verdict("chosen", answer, True) for answer in answers[:1])
    return read, (*chosen, *(Verdict("rejected", answer, False) for answer in answers[pairs : 2 * pairs]))


def _stretches(ids: list[int], trained: list[bool], real: list[bool], tokenizer: Any) -> Iterator[tuple[bool, str]]:
    """The text in order, cut where what is trained begins and ends; whether it is, and the text."""
    kept = [(mark, token) for token, mark, is_real in zip(ids, trained, real, strict=True) if is_real]
    for mark, part in itertools.groupby(kept, key=lambda one: one[0]):
        yield mark, _decoded([token for _, token in part], tokenizer)


def _decoded(ids: list[int], tokenizer: Any) -> str:
    """The text, a run of one token shown once with its number."""
    parts: list[str] = []
    plain: list[int] = []
    for token, run in itertools.groupby(ids):
        count = len(list(run))
        if count < REPEATED:
            plain += [token] * count
            continue
        parts += [tokenizer.decode(plain), f"{tokenizer.decode([token])} \N{MULTIPLICATION SIGN} {count}"]
        plain = []
    text = " ".join(filter(None, (part.strip() for part in (*parts, tokenizer.decode(plain)))))
    half = LONGEST_TEXT // 2
    return text if len(text) <= LONGEST_TEXT else f"{text[:half]} \N{HORIZONTAL ELLIPSIS} {text[-half:]}"
