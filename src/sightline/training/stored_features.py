"""Decide whether a run stores image features: what is frozen, the cost, and the gain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback

from sightline.data.encoding.sequences import EncodedBatch
from sightline.data.pictures.augmentation import NONE
from sightline.data.pictures.images import IMAGE_COLUMNS, named_key, row_images
from sightline.data.sources.datasets import row_name
from sightline.data.tables import is_table, why_no_table
from sightline.engine.feature_store import FeatureStore, find_storable, measure_image, stage_fingerprint
from sightline.engine.fingerprint import processor_fingerprint, stored_under
from sightline.engine.store import TensorStore, limit_bytes
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.models.families import family_of
from sightline.training.augmentation import policy_of
from sightline.training.references import STORE_CHOICES, is_sharded, planned_rows
from sightline.training.trainer_parts import TrainerParts

FEATURE_STORE_HELP = (
    "Store image features on disk and reuse them over epochs and runs, when the vision tower is frozen: `auto` if the "
    "printed estimate says that this saves time, `on`, `off`."
)
BYTES_PER_SECOND = 200e6  # of a slow disk or a network folder, reading or writing

ImagesOf = Callable[[dict[str, Any]], list[Any]]


@dataclass(frozen=True)
class Estimate:
    """What storing costs and saves in one run.

    Attributes:
        images: distinct images.
        stored: images found in the store, at most.
        passes: how often the run needs each image.
        image_bytes: to store one image.
        image_seconds: to compute one image.
    """

    images: int
    stored: int
    passes: float
    image_bytes: float
    image_seconds: float

    @property
    def total_bytes(self) -> float:
        """What the images take on disk."""
        return self.images * self.image_bytes

    @property
    def saved_seconds(self) -> float:
        """Computing that falls away, less reading and writing; negative where the store costs time."""
        missing = self.images - self.stored
        transfer = (self.images * self.passes + missing) * self.image_bytes / BYTES_PER_SECOND
        return (self.images * self.passes - missing) * self.image_seconds - transfer

    @property
    def pays(self) -> bool:
        """Whether the run is faster with the store, within its limit."""
        return self.saved_seconds > 0 and self.total_bytes <= limit_bytes()

    def __str__(self) -> str:
        return (
            f"{self.images:,} images of {self.image_bytes / 1e6:.2f} MB, {self.total_bytes / 1e6:,.0f} MB in all, "
            f"{self.stored:,} stored; {self.passes:.3g} passes of {self.image_seconds * 1000:.0f} ms an image: "
            f"saves {self.saved_seconds:,.0f} s"
        )


class StoreKeeper(TrainerCallback):
    """Writes collected features at each checkpoint and epoch, takes in what other processes wrote, and looks closely
    whether the model still is the one that they came from.

    Attributes:
        features: the store that batches ask.
    """

    def __init__(self, features: FeatureStore) -> None:
        self.features = features
        self._store = features.store

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.features.holds(thorough=True)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.features.holds(thorough=True)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._store.flush()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._store.flush()
        self._store.refresh()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._store.flush()


def store_features(
    parts: TrainerParts,
    batch: EncodedBatch,
    extra_passes: int = 0,
    images_of: ImagesOf = row_images,
    items: int | None = None,
) -> FeatureStore | None:
    """The feature store of a trainer whose model runs on forests, or None; the estimate is printed.

    The trainer keeps it by a `StoreKeeper`.

    Args:
        batch: a few images of the run, on which computing and storing are measured.
        extra_passes: passes over all images besides the epochs'.
        images_of: the images, closed, that the sequences of a row show.
        items: what a batch counts in an epoch, packed rows for example; the dataset's rows by default.

    Raises:
        ConfigError: `feature_store` is unknown, or `on` where nothing can be stored.
    """
    choice = getattr(parts.args, "feature_store", "auto")
    if choice not in STORE_CHOICES:
        raise ConfigError(f"feature_store: expected one of {', '.join(STORE_CHOICES)}; got '{choice}'.")
    if choice == "off":
        return None
    opened, reason = open_store(parts, batch, extra_passes, images_of, items)
    if opened is None:
        if choice == "on":
            raise ConfigError(f"feature_store is on, but {reason}. Set feature_store to auto or off.")
        return None
    store, estimate = opened
    used = choice == "on" or estimate.pays
    say(f"Features {'are' if used else 'are not'} stored: {estimate}.")
    return store if used else None


def open_store(
    parts: TrainerParts,
    batch: EncodedBatch,
    extra_passes: int = 0,
    images_of: ImagesOf = row_images,
    items: int | None = None,
) -> tuple[tuple[FeatureStore, Estimate] | None, str]:
    """The store with its estimate, or None and why there is none."""
    dataset, model, accelerator = parts.dataset, parts.base, parts.accelerator
    if policy_of(parts.args) != NONE:
        return None, f"augmentation {policy_of(parts.args)} changes the pictures in each epoch"
    if is_sharded(parts.args):
        return None, "FSDP or DeepSpeed shards the model"
    if not is_table(dataset):
        return None, why_no_table("train_dataset", dataset)
    facts = family_of(model)
    if facts is None or not batch.image_spans:
        return None, "the rows looked at show no image, or the model's family is not in the table"
    device = model.get_input_embeddings().weight.device
    inputs = {name: value.to(device) for name, value in batch.image_inputs.items()}
    storable = find_storable(model, facts, inputs, batch.image_spans)
    if storable.reason:
        return None, storable.reason
    seconds, size = measure_image(model, facts, inputs, storable.stage, accelerator.autocast())
    precision = accelerator.mixed_precision
    namespace = stored_under(
        storable.stage,
        stage_fingerprint(model, storable.stage),
        processor_fingerprint(parts.processor),
        precision,
    )
    name = model.config._name_or_path or model.config.model_type
    store = TensorStore("features", namespace, {"model": name, "stage": storable.stage, "precision": precision})
    images = len(
        {
            named_key(image, row_name(parts.rows.train.name, index))
            for index, row in enumerate(_image_columns(dataset))
            for image in images_of(row)
        }
    )
    items = items or len(dataset)
    passes = planned_rows(parts.args, items) / items + extra_passes
    measured = len(batch.image_spans)
    estimate = Estimate(images, min(images, len(store)), passes, size / measured, seconds / measured)
    return (FeatureStore(store, storable.stage, model, parts.processor), estimate), ""


def _image_columns(dataset: Dataset) -> Dataset:
    return dataset.select_columns([name for name in IMAGE_COLUMNS if name in dataset.column_names])
