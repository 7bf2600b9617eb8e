"""Read a trainer's rows once; drop and report those that exceed `max_length`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sightline.data.encoding.checks import ReadRows, Track, describe, read_rows, require_fitting
from sightline.data.encoding.fit import DROPPING
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.sources.datasets import RowNames
from sightline.data.tables import is_table, why_no_table
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.training.given_rows import GivenRows
from sightline.training.planned_rows import PlannedRows


def encoder_of(rows: GivenRows, processor: Any, settings: EncodingSettings) -> SequenceEncoder:
    """The encoder of a trainer: it remembers the texts that its plan read, where both encode alike."""
    encoder = SequenceEncoder(processor, settings)
    read = rows.train.read
    return read.encoder.with_settings(settings) if read is not None and encoder.reads_as(read.encoder) else encoder


def fit_rows(
    rows: GivenRows,
    encoder: SequenceEncoder,
    preferences: bool,
    columns_of: Callable[[Any], Any],
    track: Track,
    packing: bool = False,
) -> GivenRows:
    """The rows that `max_length` lets in, each read: by their plan, or here for `max_length` or `packing`.

    Args:
        columns_of: the columns of a dataset that a batch is made of.
        track: shows progress, as `read_rows` wants it.

    Raises:
        DataError: rows that `length_policy` refuses.
        ConfigError: rows must be read before training, but the dataset is streamed, or a transform makes them anew.
    """
    settings = encoder.settings
    if not is_table(rows.train.dataset) and (
        packing or (settings.max_length is not None and settings.length_policy == "drop")
    ):
        setting = "packing" if packing else "length_policy drop"
        raise ConfigError(
            f"{setting} reads every row before training, but {why_no_table('train_dataset', rows.train.dataset)}. "
            "Pass a Dataset without a transform, or set "
            f"{'packing to false' if packing else 'length_policy to truncate'}."
        )

    def fit(part: PlannedRows) -> PlannedRows:
        if not is_table(part.dataset):
            return part
        read = part.read if part.read is not None and encoder.reads_as(part.read.encoder) else None
        if read is None and (settings.max_length is not None or (packing and part is rows.train)):
            read = require_fitting(read_rows(columns_of(part.dataset), part.name, encoder, preferences, track))
        if read is None or settings.max_length is None:
            return replace(part, read=read)
        say(describe(read, str(part.name)))
        return _without_too_long(part, read) if settings.length_policy in DROPPING else replace(part, read=read)

    return rows.each(fit)


def _without_too_long(part: PlannedRows, read: ReadRows) -> PlannedRows:
    if not read.too_long:
        return replace(part, read=read)
    kept = [index for index in range(len(read)) if index not in read.too_long]
    return replace(part, dataset=part.dataset.select(kept), name=RowNames(str(part.name), kept), read=read.select(kept))
