"""Set-up that SFT and DPO share: columns, encoding, route, and the forward that takes a forest."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from datasets import Dataset, Image, IterableDataset

from sightline.data.encoding.checks import check_heads
from sightline.data.encoding.row_pictures import image_keys
from sightline.data.encoding.sequences import EncodedBatch, SequenceEncoder
from sightline.data.formats.columns import gathered, refuse_addresses, without_pictures
from sightline.data.formats.converted import has_images
from sightline.data.pictures.columns import close_images, is_opened
from sightline.data.tables import is_table, is_transformed, unformatted
from sightline.engine.feature_store import FeatureStore
from sightline.engine.selftest import RouteChoice, choose_route, possible, use_attention
from sightline.errors import ConfigError
from sightline.models.adapters import base_model
from sightline.models.families import family_of
from sightline.training.obstacles import fork_obstacle, needs_plain_rows, overridden, refuse_inexact
from sightline.training.packing import ONE_ROW, shares_rows
from sightline.training.planned_rows import PlannedRows
from sightline.training.row_test import ChosenRows, choose_rows, find_difference
from sightline.training.sampler import ImageGroupSampler
from sightline.training.seam import add_forest_forward
from sightline.training.trainer_parts import TrainerParts
from sightline.types import FamilyFacts

logger = logging.getLogger("sightline")

THE_DATASET = "the dataset"  # what messages call rows that come from memory


def prepared(dataset: Any, to_columns: Callable[[Any, str], Any]) -> Any:
    """The dataset in TRL's columns, its images left as paths and bytes, so that a batch opens each distinct one once.

    Text-only and tokenized datasets pass unchanged.

    Raises:
        DataError: a prompt shows a picture that is not there, or a picture cannot be found.
    """
    if isinstance(dataset, dict):
        return type(dataset)({name: prepared(part, to_columns) for name, part in dataset.items()})
    if not isinstance(dataset, Dataset | IterableDataset):
        refuse_addresses(dataset, THE_DATASET)
        return dataset
    if is_transformed(dataset):
        return to_columns(dataset, THE_DATASET) if has_images(dataset) else dataset
    dataset = unformatted(dataset)
    pictured = gathered(dataset, THE_DATASET)
    if not has_images(pictured):
        return without_pictures(dataset, THE_DATASET)
    return to_columns(pictured, THE_DATASET)


def opened_safely(rows: PlannedRows) -> PlannedRows:
    """The rows as they are, for a collator of the script's own, once nothing in it is opened that is not opened here.

    `datasets` would open whatever Pillow knows, PostScript by a program of its own; transformers fetches addresses in
    the messages that its processors render.

    Raises:
        DataError: names the rows of those that are refused.
    """
    part = rows.dataset
    refuse_addresses(part, THE_DATASET)
    for column, feature in (part.features if is_table(part) else {}).items():
        if is_opened(feature):
            name = "image" if isinstance(feature, Image) else "images"
            alone = part.select_columns([column])
            pictures = alone if column == name else alone.rename_column(column, name)
            check_heads(close_images(pictures), THE_DATASET)
    return rows


@dataclass(frozen=True)
class Tested:
    """What a test of a run on a few of its rows showed.

    Attributes:
        route: how batches are run, and why.
        is_ours: whether rows are ours; else TRL's and the processor's.
        batch: rows of the test, where it ran them.
    """

    route: RouteChoice
    is_ours: bool
    batch: EncodedBatch | None


def choose_training_route(parts: TrainerParts, encoder: SequenceEncoder, preferences: bool) -> Tested:
    """The route of a trainer, tested on rows that differ; logged once, with the reason.

    Where our rows are not those that TRL and the processor make, theirs are taken, on the route plain.
    """
    refuse_inexact(parts)
    rows = choose_rows(parts.dataset, parts.rows.train.read)
    obstacle = _rows_obstacle(parts, encoder, rows, preferences)
    if obstacle:
        _require_one_form(rows, obstacle)
        batch = None
        choice = _refused(parts, f"rows are left to TRL's collator and the processor, since {obstacle}")
    else:
        batch, untested = None, _untested_route(parts)
        if untested is None:
            batch = (encoder.encode_preferences if preferences else encoder.encode_sft)(list(rows.routed))
        choice = untested or _tested_route(parts, batch)
    if parts.accelerator.is_main_process:
        logger.info("Route %s: %s.", choice.route, choice.reason)
        if choice.route == "plain" and parts.share == "auto":
            print(f"Route plain: {choice.reason}.", file=sys.stderr)
    return Tested(choice, not obstacle, batch)


def untouched_route(accelerator: Any, data_collator: Any) -> RouteChoice:
    """The route of a trainer that is TRL's as it is: of text, or with a collator of the script's own, which is said."""
    if data_collator is None:
        return RouteChoice("plain", "the dataset has no images")
    choice = RouteChoice("plain", f"a data_collator was given ({_name_of(data_collator)}), which makes the batches")
    if accelerator.is_main_process:
        print(f"Route plain: {choice.reason}.", file=sys.stderr)
    return choice


def _name_of(collator: Any) -> str:
    return getattr(collator, "__name__", type(collator).__name__)


def _rows_obstacle(parts: TrainerParts, encoder: SequenceEncoder, rows: ChosenRows, preferences: bool) -> str:
    """Why the rows of a run are not ours, or an empty string."""
    model = parts.base
    if family_of(model) is None:
        return f"the family {model.config.model_type} is not in Sightline's table of model families"
    facts = training_facts(model, parts.processor)
    return find_difference(rows.compared, encoder, parts.collator, facts, preferences)


def _require_one_form(rows: ChosenRows, obstacle: str) -> None:
    """Raise ConfigError for rows of messages beside rows of prompts, of which TRL's collator makes no batch."""
    forms = {"messages" if row.get("messages") is not None else "prompt" for row in rows.compared}
    if len(forms) > 1:
        raise ConfigError(
            f"train_dataset: expected rows of one form, since {obstacle} and TRL's collator takes no batch of two; got "
            "rows of messages and rows of prompt and completion. Bring all into messages."
        )


def _refused(parts: TrainerParts, reason: str) -> RouteChoice:
    share = parts.share
    if share not in ("auto", "plain"):
        raise ConfigError(f"share is set to {share}, but {reason}. Set share to auto or plain.")
    return possible(RouteChoice("plain", reason), family_of(parts.base))


def _untested_route(parts: TrainerParts) -> RouteChoice | None:
    """The route plain where something of the run asks for it; None where a test decides."""
    share, facts = parts.share, family_of(parts.base)
    obstacle = needs_plain_rows(parts)
    if obstacle is None and facts is not None and "fork" in facts.routes:
        obstacle = fork_obstacle(parts.args)
    if obstacle is None and share == "auto":
        obstacle = overridden(parts)
    if obstacle and share in ("mask", "fork"):
        raise ConfigError(f"share is set to {share}, but {obstacle}. Change that, or set share to auto or plain.")
    if obstacle and share == "auto":
        return possible(RouteChoice("plain", obstacle), facts)
    return None


def _tested_route(parts: TrainerParts, batch: EncodedBatch | None) -> RouteChoice:
    assert batch is not None, "nothing but a test decides here"
    model = parts.base
    return choose_route(
        model,
        family_of(model),
        batch.sequences,
        batch.image_inputs,
        parts.processor.tokenizer.pad_token_id,
        parts.share,
        batch.counts,
        ONE_ROW if shares_rows(parts.args) else None,
    )


def training_facts(model: Any, processor: Any) -> FamilyFacts:
    """The facts of the model's family; for one that is not in the table, what its processor says of plain rows."""
    base = base_model(model)
    typed = "mm_token_type_ids" if "mm_token_type_ids" in processor.model_input_names else ""
    unknown = FamilyFacts(name=base.config.model_type, image_inputs=(), type_input=typed, routes=("plain",))
    return family_of(base) or unknown


def share_forward(
    model: Any,
    choice: RouteChoice,
    context: Callable[[], AbstractContextManager] | None = None,
    store: FeatureStore | None = None,
) -> None:
    """Let the model (or the base under its adapters) take a forest by the chosen route; `context` wraps each such
    forward."""
    base = base_model(model)
    facts = family_of(base)
    assert facts is not None, "a route other than plain is only chosen for a family in the table"
    use_attention(base, choice.attention)
    add_forest_forward(base, facts, choice.route, context, store)


def grouping_sampler(dataset: Any, seed: int, keys: list[str] | None = None) -> ImageGroupSampler | None:
    """A sampler that brings rows of one image together, or None where no image has two rows.

    `keys` tell of each row its images from those of others, where that is known.
    """
    if not is_table(dataset) or not {"image", "images"} & set(dataset.column_names):
        return None
    keys = keys or image_keys(dataset)
    return ImageGroupSampler(keys, seed) if len(set(keys)) < len(keys) else None
