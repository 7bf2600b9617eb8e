"""Make batches for TRL's trainers: plain rows as TRL makes them, with a forest beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from sightline.data.encoding.sequences import SequenceEncoder
from sightline.engine.forest import NO_LABEL, build_forest
from sightline.engine.routes import UNKNOWN, plain_inputs
from sightline.training.references import StoredReferences
from sightline.training.row_guard import RowGuard
from sightline.training.row_test import opened_rows
from sightline.types import FamilyFacts, TokenSequence


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
    guard: RowGuard = field(default_factory=RowGuard)

    def __call__(self, rows: list[dict[str, Any]] | list[list[dict[str, Any]]]) -> dict[str, Any]:
        return self.guard.batch(self._made, list(rows))

    def _made(self, rows: list[Any]) -> dict[str, Any]:
        packed = [row if isinstance(row, list) else [row] for row in rows]
        batch = self.encoder.encode_sft([example for row in packed for example in row])
        if not self.share:
            return plain_inputs(batch.sequences, batch.image_inputs, self.pad_id, batch.counts, self.facts)
        row_of = [number for number, row in enumerate(packed) for _ in row] if isinstance(rows[0], list) else None
        forest = build_forest(
            batch.sequences, self.pad_id, max_row=self.max_row, both_ways=self.facts.both_ways, row_of=row_of
        )
        columns = plain_inputs(batch.sequences, {}, self.pad_id, facts=self.facts)
        return {**columns, "forest": forest, "image_spans": batch.image_spans, **batch.image_inputs}


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
    guard: RowGuard = field(default_factory=RowGuard)

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        return self.guard.batch(self._made, list(rows))

    def _made(self, rows: list[Any]) -> dict[str, Any]:
        batch = self.encoder.encode_preferences(rows)
        if self.share:
            forest = build_forest(batch.sequences, self.pad_id, max_row=self.max_row, both_ways=self.facts.both_ways)
            columns = plain_inputs(batch.sequences, {}, self.pad_id, facts=self.facts)
            columns |= {"forest": forest, "image_spans": batch.image_spans, **batch.image_inputs}
        else:
            columns = plain_inputs(batch.sequences, batch.image_inputs, self.pad_id, batch.counts, self.facts)
        scored = columns.pop("labels") != NO_LABEL
        filler = self.encoder.processor.tokenizer.eos_token_id
        if self.pad_id == 0 and filler is not None and self.encoder.settings.perturbation is None:
            _pad_as_trl(columns["input_ids"], batch.sequences, filler)
        stored = self.references.columns(rows) if self.references is not None else {}
        return {**columns, **stored, "completion_mask": scored.long()}


@dataclass
class ProcessorCollator:
    """Rows to a batch by TRL's own collator and so by the processor's own call, for rows that ours would not equal.

    `encoder` says how many pictures chosen answers are held against; more than their own cannot be had here.
    """

    encoder: SequenceEncoder
    collate: Any
    preferences: bool
    references: StoredReferences | None = None
    guard: RowGuard = field(default_factory=RowGuard)

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        return self.guard.batch(self._made, list(rows))

    def _made(self, rows: list[Any]) -> dict[str, Any]:
        names = [f"row {number} of the batch" for number in range(1, len(rows) + 1)]
        columns = dict(self.collate(opened_rows(rows, names, self.preferences)))
        stored = self.references.columns(rows) if self.references is not None else {}
        return {**columns, **stored}


def _pad_as_trl(ids_NL: Tensor, sequences: Sequence[TokenSequence], filler: int) -> None:
    """Puts `filler` where TRL (1.16) pads chosen and rejected answers to one width, whose `pad_token_id or
    eos_token_id` takes a pad token 0 for none; no token sees it, but labels and logits of `predict` show it."""
    answers = [int(sequence.scored_L.sum()) for sequence in sequences]
    pairs = len(sequences) // 2
    widths = [max(answers[:pairs]), max(answers[pairs:])]
    for row, (sequence, answer) in enumerate(zip(sequences, answers, strict=True)):
        prompt = len(sequence.ids_L) - answer
        ids_NL[row, prompt + widths[row >= pairs] : prompt + max(widths)] = filler
