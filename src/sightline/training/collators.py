"""Batches for TRL's trainers: a forest beside the view of its scored tokens, or the plain rows that TRL makes."""

# Dims: N sequences, T scored tokens of a sequence, L tokens of a sequence.
from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sightline.data.sequences import EncodedBatch, SequenceEncoder
from sightline.engine.forest import NO_LABEL, Forest, build_forest
from sightline.engine.routes import UNKNOWN, plain_inputs
from sightline.training.references import StoredReferences
from sightline.training.row_test import opened_rows
from sightline.types import FamilyFacts, Sequence


@dataclass
class SFTCollator:
    """Rows to a batch for `SFTTrainer.compute_loss`; `share` emits a forest, else TRL's own columns.

    Packed rows, each a list of examples, become the rows of the forest. Other examples share rows of up to `max_row`
    tokens, by default as long as the longest tree.
    """

    encoder: SequenceEncoder
    pad_id: int
    share: bool
    facts: FamilyFacts = UNKNOWN
    max_row: int | None = None

    def __call__(self, rows: list[dict[str, Any]] | list[list[dict[str, Any]]]) -> dict[str, Any]:
        packed = [row if isinstance(row, list) else [row] for row in rows]
        batch = self.encoder.encode_sft([example for row in packed for example in row])
        if not self.share:
            return plain_inputs(batch.sequences, batch.image_inputs, self.pad_id, batch.counts, self.facts)
        ids_NT, labels_NT = answer_view(batch.sequences, self.pad_id)
        row_of = [number for number, row in enumerate(packed) for _ in row] if isinstance(rows[0], list) else None
        forest = build_forest(
            batch.sequences, self.pad_id, max_row=self.max_row, both_ways=self.facts.both_ways, row_of=row_of
        )
        return {"input_ids": ids_NT, **_forest_columns(batch, forest), "labels": labels_NT}


@dataclass
class PreferenceCollator:
    """Rows to a batch for `DPOTrainer._compute_loss`, chosen first; `share` emits a forest, else TRL's own columns.

    With `references`, the batch carries the stored reference log-probabilities under TRL's names. Pairs share rows of
    up to `max_row` tokens, by default as long as the longest tree.
    """

    encoder: SequenceEncoder
    pad_id: int
    share: bool
    references: StoredReferences | None = None
    facts: FamilyFacts = UNKNOWN
    max_row: int | None = None

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        batch = self.encoder.encode_preferences(rows)
        if self.share:
            ids, labels = answer_view(batch.sequences, self.pad_id)
            forest = build_forest(batch.sequences, self.pad_id, max_row=self.max_row, both_ways=self.facts.both_ways)
            columns = _forest_columns(batch, forest)
        else:
            columns = plain_inputs(batch.sequences, batch.image_inputs, self.pad_id, batch.counts, self.facts)
            ids, labels = columns.pop("input_ids"), columns.pop("labels")
        stored = self.references.columns(rows) if self.references is not None else {}
        return {"input_ids": ids, **columns, **stored, "completion_mask": (labels != NO_LABEL).long()}


@dataclass
class ProcessorCollator:
    """Rows to a batch by TRL's own collator and so by the processor's own call, for rows that ours would not equal.

    `encoder` says how many pictures chosen answers are held against; more than their own cannot be had here.
    """

    encoder: SequenceEncoder
    collate: Any
    preferences: bool
    references: StoredReferences | None = None

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        names = [f"row {number} of the batch" for number in range(1, len(rows) + 1)]
        columns = dict(self.collate(opened_rows(rows, names, self.preferences)))
        stored = self.references.columns(rows) if self.references is not None else {}
        return {**columns, **stored}


def answer_view(sequences: Many[Sequence], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and labels of the scored tokens alone, (N, 1 + T), behind one token to predict the first from.

    TRL shifts labels by one, so the leading column is never scored; it keeps the label that a sequence's first token
    has in TRL's own rows, where it is counted but not scored either.
    """
    scored = [np.flatnonzero(sequence.scored_L[1:]) + 1 for sequence in sequences]
    width = 1 + max(map(len, scored))
    ids_NT = torch.full((len(sequences), width), pad_id)
    labels_NT = torch.full((len(sequences), width), NO_LABEL)
    for row, (sequence, positions) in enumerate(zip(sequences, scored, strict=True)):
        answer = torch.from_numpy(sequence.ids_L[positions])
        ids_NT[row, 0] = int(sequence.ids_L[positions[0] - 1 if len(positions) else -1])
        ids_NT[row, 1 : 1 + len(answer)] = answer
        labels_NT[row, 1 : 1 + len(answer)] = answer
        if sequence.scored_L[0]:
            labels_NT[row, 0] = int(sequence.ids_L[0])
    return ids_NT, labels_NT


def _forest_columns(batch: EncodedBatch, forest: Forest) -> dict[str, Any]:
    """`attention_mask` of the plain rows (TRL counts tokens by it), the forest, and the distinct images with keys."""
    lengths = torch.tensor([len(sequence.ids_L) for sequence in batch.sequences])
    return {
        "attention_mask": (torch.arange(int(lengths.max())) < lengths[:, None]).long(),
        "forest": forest,
        "image_spans": batch.image_spans,
        **batch.image_inputs,
    }
