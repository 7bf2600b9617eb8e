"""Set-up that SFT and DPO share: columns, encoding, route, and the forward that takes a forest."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from datasets import Dataset, Image, IterableDataset
from peft import PeftModel

from sightline.data.encoding.checks import check_heads
from sightline.data.encoding.sequences import EncodedBatch, EncodingSettings, SequenceEncoder
from sightline.data.formats import gathered, has_images, refuse_addresses, without_pictures
from sightline.data.pictures.columns import close_images, is_opened
from sightline.data.tables import is_table, is_transformed, unformatted
from sightline.engine.feature_store import FeatureStore
from sightline.engine.selftest import RouteChoice, choose_route, possible, use_attention
from sightline.errors import ConfigError
from sightline.models.families import family_of
from sightline.training.obstacles import fork_obstacle, needs_plain_rows, overridden, refuse_inexact
from sightline.training.packing import ONE_ROW, shares_rows
from sightline.training.row_test import ChosenRows, choose_rows, find_difference
from sightline.training.sampler import ImageGroupSampler
from sightline.training.seam import add_forest_forward
from sightline.training.template_arguments import renders_keywords
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


def opened_safely(dataset: Any) -> Any:
    """The dataset as it is, for a collator of the script's own, once nothing in it is opened that is not opened here.

    `datasets` would open whatever Pillow knows, PostScript by a program of its own; transformers fetches addresses in
    the messages that its processors render.

    Raises:
        DataError: names the rows of those that are refused.
    """
    for part in dataset.values() if isinstance(dataset, dict) else [dataset]:
        refuse_addresses(part, THE_DATASET)
        for column, feature in (part.features if is_table(part) else {}).items():
            if is_opened(feature):
                name = "image" if isinstance(feature, Image) else "images"
                alone = part.select_columns([column])
                pictures = alone if column == name else alone.rename_column(column, name)
                check_heads(close_images(pictures), THE_DATASET)
    return dataset


def encoding_settings(trl_collator: Any, args: Any, preferences: bool) -> EncodingSettings:
    """The settings that TRL resolved into its own vision collator, and our own of `args`."""
    return EncodingSettings(
        max_length=trl_collator.max_length,
        length_policy=getattr(args, "length_policy", "truncate"),
        completion_only_loss=getattr(trl_collator, "completion_only_loss", True),
        assistant_only_loss=getattr(trl_collator, "assistant_only_loss", False),
        chat_template=getattr(trl_collator, "chat_template", None),
        dataset_text_field=getattr(args, "dataset_text_field", "text"),
        keeps_empty=True,
        keywords=renders_keywords(args, preferences),
    )


def choose_training_route(trainer: Any, encoder: SequenceEncoder, preferences: bool) -> tuple[RouteChoice, bool]:
    """The route of a trainer, tested on rows that differ, and whether its rows are ours; logged once, with the reason.

    Where our rows are not those that TRL and the processor make, theirs are taken, on the route plain.
    """
    refuse_inexact(trainer)
    rows = choose_rows(trainer.train_dataset)
    obstacle = _rows_obstacle(trainer, encoder, rows, preferences)
    if obstacle:
        _require_one_form(rows, obstacle)
        choice = _refused(trainer, f"rows are left to TRL's collator and the processor, since {obstacle}")
    else:
        choice = _tested_route(trainer, encoder.encode_preferences if preferences else encoder.encode_sft, rows)
    if trainer.accelerator.is_main_process:
        logger.info("Route %s: %s.", choice.route, choice.reason)
        if choice.route == "plain" and getattr(trainer.args, "share", "auto") == "auto":
            print(f"Route plain: {choice.reason}.", file=sys.stderr)
    return choice, not obstacle


def untouched_route(trainer: Any, data_collator: Any) -> RouteChoice:
    """The route of a trainer that is TRL's as it is: of text, or with a collator of the script's own, which is said."""
    if data_collator is None:
        return RouteChoice("plain", "the dataset has no images")
    choice = RouteChoice("plain", f"a data_collator was given ({_name_of(data_collator)}), which makes the batches")
    if trainer.accelerator.is_main_process:
        print(f"Route plain: {choice.reason}.", file=sys.stderr)
    return choice


def _name_of(collator: Any) -> str:
    return getattr(collator, "__name__", type(collator).__name__)


def _rows_obstacle(trainer: Any, encoder: SequenceEncoder, rows: ChosenRows, preferences: bool) -> str:
    """Why the rows of a run are not ours, or an empty string."""
    model = base_model(trainer.model)
    if family_of(model) is None:
        return f"the family {model.config.model_type} is not in Sightline's table of model families"
    facts = training_facts(model, trainer.processing_class)
    return find_difference(rows.compared, encoder, trainer.data_collator, facts, preferences)


def _require_one_form(rows: ChosenRows, obstacle: str) -> None:
    """Raise ConfigError for rows of messages beside rows of prompts, of which TRL's collator makes no batch."""
    forms = {"messages" if row.get("messages") is not None else "prompt" for row in rows.compared}
    if len(forms) > 1:
        raise ConfigError(
            f"train_dataset: expected rows of one form, since {obstacle} and TRL's collator takes no batch of two; got "
            "rows of messages and rows of prompt and completion. Bring all into messages."
        )


def _refused(trainer: Any, reason: str) -> RouteChoice:
    share = getattr(trainer.args, "share", "auto")
    if share not in ("auto", "plain"):
        raise ConfigError(f"share is set to {share}, but {reason}. Set share to auto or plain.")
    return possible(RouteChoice("plain", reason), family_of(base_model(trainer.model)))


def _tested_route(
    trainer: Any, encode: Callable[[list[dict[str, Any]]], EncodedBatch], rows: ChosenRows
) -> RouteChoice:
    model = base_model(trainer.model)
    share = getattr(trainer.args, "share", "auto")
    facts = family_of(model)
    obstacle = needs_plain_rows(trainer)
    if obstacle is None and facts is not None and "fork" in facts.routes:
        obstacle = fork_obstacle(trainer.args)
    if obstacle is None and share == "auto":
        obstacle = overridden(trainer)
    if obstacle and share in ("mask", "fork"):
        raise ConfigError(f"share is set to {share}, but {obstacle}. Change that, or set share to auto or plain.")
    if obstacle and share == "auto":
        return possible(RouteChoice("plain", obstacle), facts)
    batch = encode(list(rows.routed))
    return choose_route(
        model,
        facts,
        batch.sequences,
        batch.image_inputs,
        trainer._tokenizer.pad_token_id,
        share,
        batch.counts,
        ONE_ROW if shares_rows(trainer.args) else None,
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


def base_model(model: Any) -> Any:
    """The transformers model under PEFT's wrapper, or the model itself."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def grouping_sampler(dataset: Any, seed: int) -> ImageGroupSampler | None:
    """A sampler that brings rows of one image together, or None where no image has two rows."""
    if not is_table(dataset) or not {"image", "images"} & set(dataset.column_names):
        return None
    keys = image_keys(dataset)
    return ImageGroupSampler(keys, seed) if len(set(keys)) < len(keys) else None


def image_keys(dataset: Dataset) -> list[str]:
    """For each row what its images are stored as: paths, or a hash of the bytes; rows without images stay apart."""
    column = "images" if "images" in dataset.column_names else "image"
    keys: list[str] = []
    for batch in dataset.select_columns([column]).iter(batch_size=256):
        for value in batch[column]:
            records = value if isinstance(value, list) else [value]
            parts = [_stored_key(record) for record in records if record is not None]
            keys.append("\n".join(parts) or f"row {len(keys)}")
    return keys


def _stored_key(record: Any) -> str:
    if not isinstance(record, dict):
        return hashlib.blake2b(record.tobytes(), digest_size=16).hexdigest()
    if record.get("bytes") is not None:
        return hashlib.blake2b(record["bytes"], digest_size=16).hexdigest()
    return str(record["path"])
