"""Show what the model will see: rows as trained, images as cut, and what a batch shares."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL.Image import Image

from sightline.data.encoding.preferences import answer_pairs
from sightline.data.encoding.sequences import EncodedBatch, SequenceEncoder
from sightline.data.pictures.augmentation import NONE, augmented_samples
from sightline.data.pictures.images import content_key, open_image, row_images
from sightline.data.sources.datasets import row_name
from sightline.engine.forest import build_forest
from sightline.errors import DataError
from sightline.inspection.asking import AskingForm, asking_form
from sightline.inspection.tokens import (
    IMAGE,
    CutPicture,
    DrawnForest,
    Token,
    cut_picture,
    draw_forest,
    read_tokens,
    trained,
)
from sightline.training.plan import RunPlan, chosen_rows
from sightline.training.recipe import given_settings, plan_recipe
from sightline.training.sampler import order_seed

DEFAULT_PRESET = "nano"
SHOWN_EPOCHS = 4
FITS, CUT, DROPPED, REFUSED = "fits", "cut", "dropped", "refused"


@dataclass(frozen=True)
class Part:
    """A stretch of a row: the prompt of a pair, an answer, or all of a demonstration."""

    label: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Fit:
    """What `max_length` and `length_policy` make of a row.

    Attributes:
        outcome: `fits`, `cut`, `dropped` or `refused`.
        length: tokens of its longest sequence before anything was cut.
        sentence: the same in words.
    """

    outcome: str
    length: int
    sentence: str


@dataclass(frozen=True)
class RowPreview:
    """One row as the model reads it.

    Attributes:
        parts: in order; a pair has `prompt`, `chosen` and `rejected`, a pair for each rejected answer.
        trained: tokens that are trained, of all its sequences.
        total: tokens of all its sequences.
        augmented: its first picture as the first epochs show it, where the run changes pictures.
        error: why the row cannot be used; the rest is empty then.
    """

    index: int
    name: str
    parts: tuple[Part, ...] = ()
    pictures: tuple[CutPicture, ...] = ()
    fit: Fit | None = None
    trained: int = 0
    total: int = 0
    augmented: tuple[Image, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class BatchPreview:
    """Rows that training puts into one batch, as a forest.

    Attributes:
        rows: names of the rows.
        labels: what each sequence is, in the forest's order.
        pictures: distinct pictures among them.
        texts: the tokens of each sequence.
    """

    rows: tuple[str, ...]
    labels: tuple[str, ...]
    forest: DrawnForest
    pictures: int
    texts: tuple[tuple[Token, ...], ...]


@dataclass(frozen=True)
class Preview:
    """Everything that `sightline data preview` shows."""

    plan: RunPlan
    rows: tuple[RowPreview, ...]
    batch: BatchPreview | None
    asking: AskingForm


@dataclass(frozen=True)
class Asked:
    """What to preview.

    Attributes:
        source: rows, where the recipe's are not meant.
        model: a folder or Hub id, where the recipe's is not meant.
        argv: `--config RECIPE --key value ...`.
        method: `sft` or `dpo`, where neither keys nor columns tell.
        rows: indices from 0; None for the first `limit`.
        batch_size: rows of the batch; None for what the run would take.
    """

    source: str | None = None
    model: str | None = None
    argv: tuple[str, ...] = ()
    method: str | None = None
    rows: tuple[int, ...] | None = None
    limit: int = 3
    batch_size: int | None = None


def preview_data(asked: Asked) -> Preview:
    """What a model will see of the rows that are asked for; where no model is named, what the preset nano does.

    Raises:
        InputError: a setting, the data or the model cannot be used.
    """
    argv = list(asked.argv)
    if asked.source is not None:
        argv.append(f"--dataset_name={asked.source}")
    given = given_settings(argv)
    if asked.model is not None:
        argv += [f"--model_name_or_path={asked.model}", "--no_preset"]
    elif given.get("model_name_or_path") is None and given.get("preset") is None:
        argv += ["--preset", DEFAULT_PRESET]
    plan = plan_recipe(argv, asked.method)
    batch_size = asked.batch_size or plan.settings.training.per_device_train_batch_size
    return run_preview(plan, chosen_rows(plan, asked.rows, asked.limit), batch_size)


def run_preview(plan: RunPlan, indices: Sequence[int], batch_size: int) -> Preview:
    """The rows at `indices`, and the batch that training makes of the first of them and its neighbours."""
    whole = SequenceEncoder(plan.source.processor, replace(plan.encoding, max_length=None))
    pictures = _Pictures(plan)
    rows = tuple(_preview_row(plan, whole, pictures, index) for index in indices)
    usable = [row.index for row in rows if not row.error]
    batch = _preview_batch(plan, usable, batch_size) if usable else None
    return Preview(plan, rows, batch, asking_form(plan))


class _Pictures:
    """Pictures as they are cut, each distinct one once."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan, self._cut = plan, dict[tuple[str, bool], CutPicture]()

    def of(self, row: dict[str, Any], name: str) -> tuple[CutPicture, ...]:
        images = [open_image(value, name) for value in row_images(row)]
        beside = self._plan.encoder.is_beside(images)
        return tuple(self._one(image, beside) for image in images)

    def _one(self, image: Any, beside: bool) -> CutPicture:
        key = content_key(image), beside
        if key not in self._cut:
            self._cut[key] = cut_picture(self._plan.source.processor, image, beside)
        return self._cut[key]


def _preview_row(plan: RunPlan, whole: SequenceEncoder, pictures: _Pictures, index: int) -> RowPreview:
    name = row_name(plan.name, index)
    row = plan.rows[index]
    try:
        batch = _encode(plan, whole, [row], [name])
        cut = pictures.of(row, name)
    except DataError as error:
        return RowPreview(index, name, error=str(error))
    fit, kept = _fit(plan, row, name, batch)
    shown = kept if fit.outcome == CUT and plan.encoding.length_policy == "shorten_prompt_text" and kept else batch
    return RowPreview(
        index,
        name,
        _parts(plan, shown),
        cut,
        fit,
        sum(int(trained(sequence).sum()) for sequence in (kept.sequences if kept else ())),
        sum(len(sequence.ids_L) for sequence in (kept or batch).sequences),
        _augmented(plan, cut),
    )


def _augmented(plan: RunPlan, cut: tuple[CutPicture, ...]) -> tuple[Image, ...]:
    args = plan.settings.training
    if args.augmentation == NONE or not cut:
        return ()
    return tuple(augmented_samples(cut[0].original, args.augmentation, SHOWN_EPOCHS, order_seed(args)))


def _encode(plan: RunPlan, encoder: SequenceEncoder, rows: list[dict[str, Any]], names: list[str]) -> EncodedBatch:
    return encoder.encode_preferences(rows, names) if plan.preferences else encoder.encode_sft(rows, names)


def _fit(plan: RunPlan, row: dict[str, Any], name: str, whole: EncodedBatch) -> tuple[Fit, EncodedBatch | None]:
    """What becomes of the row, and its sequences as they train; None where it does not."""
    limit, policy = plan.encoding.max_length, plan.encoding.length_policy
    length = max(len(sequence.ids_L) for sequence in whole.sequences)
    if limit is None:
        return Fit(FITS, length, f"{length:,} tokens, no max_length"), whole
    if length <= limit:
        return Fit(FITS, length, f"{length:,} tokens, fits max_length {limit:,}"), whole
    try:
        kept = _encode(plan, plan.encoder, [row], [name])
    except DataError as error:
        if policy in ("drop", "shorten_prompt_text"):
            return Fit(
                DROPPED, length, f"{length:,} tokens, max_length {limit:,}: the row is left out ({policy})"
            ), None
        return Fit(REFUSED, length, f"refused: {str(error).removeprefix(f'{name}: ')}"), None
    lost = sum(len(sequence.ids_L) for sequence in whole.sequences) - sum(len(one.ids_L) for one in kept.sequences)
    what = "the prompt loses" if policy == "shorten_prompt_text" else "the end of the answer loses"
    sentence = f"{length:,} tokens, max_length {limit:,}: {what} {lost:,} tokens ({policy})"
    return Fit(CUT, length, sentence), kept


def _parts(plan: RunPlan, batch: EncodedBatch) -> tuple[Part, ...]:
    first_rows = tuple(itertools.accumulate((count for _, count in batch.image_spans), initial=0))[:-1]
    tokenizer = plan.source.processor.tokenizer
    read = [read_tokens(sequence, tokenizer, first_rows) for sequence in batch.sequences]
    if not plan.preferences:
        return (Part("", read[0]),)
    own = 2 * (len(read) // (3 if plan.encoding.perturbation else 2))  # behind them stand answers under other images
    chosen, rejected = read[: own // 2], read[own // 2 : own]
    answer = int(batch.sequences[0].scored_L.argmax())
    parts = [Part("prompt", tuple(token for token in chosen[0] if token.start < answer))]
    for number, pair in enumerate(zip(chosen, rejected, strict=True), start=1):
        for label, tokens in zip(("chosen", "rejected"), pair, strict=True):
            numbered = f"{label} {number}" if len(chosen) > 1 else label
            parts.append(Part(numbered, tuple(token for token in tokens if token.start >= answer)))
    return tuple(parts)


def _preview_batch(plan: RunPlan, usable: Sequence[int], batch_size: int) -> BatchPreview | None:
    """The batch of the first usable rows and their neighbours, or None where no row trains."""
    indices: list[int] = []
    encoder = plan.encoder
    for index in _batch_order(plan, usable[0]):
        name = row_name(plan.name, index)
        try:
            _encode(plan, encoder, [plan.rows[index]], [name])
        except DataError:
            continue
        indices.append(index)
        if len(indices) == batch_size:
            break
    if not indices:
        return None
    names = [row_name(plan.name, index) for index in indices]
    batch = _encode(plan, encoder, [plan.rows[index] for index in indices], names)
    pad_id = plan.source.processor.tokenizer.pad_token_id or 0
    forest = build_forest(batch.sequences, pad_id, both_ways=plan.facts.both_ways if plan.facts else "")
    first_rows = tuple(itertools.accumulate((count for _, count in batch.image_spans), initial=0))[:-1]
    tokenizer = plan.source.processor.tokenizer
    return BatchPreview(
        tuple(names),
        _labels(plan, indices),
        draw_forest(forest),
        len(batch.image_spans),
        tuple(read_tokens(sequence, tokenizer, first_rows) for sequence in batch.sequences),
    )


def _batch_order(plan: RunPlan, first: int) -> list[int]:
    """Rows in the order in which a batch takes them: in SFT those of one picture stand together."""
    order = [*range(first, len(plan.rows)), *range(first)]
    if plan.preferences or not {"image", "images"} & set(plan.rows.column_names):
        return order
    keys = plan.image_keys
    groups: dict[str, list[int]] = {}
    for index in order:
        groups.setdefault(keys[index], []).append(index)
    return [index for group in groups.values() for index in group]


def _labels(plan: RunPlan, indices: Sequence[int]) -> tuple[str, ...]:
    """What each sequence of a batch is, in the order in which they are encoded."""
    if not plan.preferences:
        return tuple(f"row {index + 1}" for index in indices)
    pairs = [index for index in indices for _ in answer_pairs(plan.rows[index], "row")]
    parts = ("chosen", "rejected", "chosen, other picture")[: 3 if plan.encoding.perturbation else 2]
    return tuple(f"row {index + 1} {part}" for part in parts for index in pairs)


def token_counts(row: RowPreview) -> dict[str, int]:
    """Tokens of the row by kind, as shown."""
    counts = {"read": 0, "trained": 0, IMAGE: 0}
    for part in row.parts:
        for token in part.tokens:
            counts[token.kind] += token.count
    return counts
