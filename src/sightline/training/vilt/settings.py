"""Settings of `sightline vilt`'s training commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainingArguments

from sightline.errors import ConfigError
from sightline.models.vilt.start import ViltSizes
from sightline.training.arguments import read_records
from sightline.training.devices import choose_device
from sightline.training.sealed_trainer import reported

OBJECTIVES = ("itm", "mlm", "mpp")


@dataclass
class ViltDataArguments:
    """What to learn from."""

    train_data: str | None = field(default=None, metadata={"help": "File of captions, questions or sentences."})
    eval_data: str | None = field(default=None, metadata={"help": "The same, for losses while training."})
    image_folder: str | None = field(default=None, metadata={"help": "Folder of pictures; the file's if unset."})
    split: str | None = field(default=None, metadata={"help": "Split of the training file, where it has several."})
    eval_split: str | None = field(default=None, metadata={"help": "Split of eval_data, where it has several."})
    annotations: str | None = field(default=None, metadata={"help": "VQAv2's annotations beside its questions."})
    eval_annotations: str | None = field(default=None, metadata={"help": "The same for eval_data."})
    answers: str | None = field(default=None, metadata={"help": "File of answers; made from the questions if unset."})
    columns: dict[str, str] | str | None = field(
        default=None,
        metadata={"help": "Names given to columns of both files: question=q,answer=a,image=img, or a mapping."},
    )
    eval_columns: dict[str, str] | str | None = field(
        default=None, metadata={"help": "The same for eval_data alone; {} where its columns have their names."}
    )
    skip_bad_rows: bool = field(
        default=False,
        metadata={"help": "Leave out and count rows that cannot be used, before training and in the middle of it."},
    )
    min_answer_count: int = field(default=1, metadata={"help": "Keep answers that occur N times; 9 for VQAv2."})
    rand_augment: bool | None = field(default=None, metadata={"help": "RandAugment; unset: all but pretraining."})


@dataclass
class ViltModelArguments:
    """What to start from: a ViLT, or a ViT, a BERT and sizes; from scratch where nothing is named."""

    model_name_or_path: str | None = field(default=None, metadata={"help": "ViLT folder or Hub id to continue from."})
    vit: str | None = field(default=None, metadata={"help": "ViT that gives patches and layers."})
    bert: str | None = field(default=None, metadata={"help": "BERT that gives vocabulary and word embeddings."})
    hidden_size: int = field(default=ViltSizes.hidden_size, metadata={"help": "Width of each layer."})
    num_hidden_layers: int = field(default=ViltSizes.num_hidden_layers, metadata={"help": "Layers of the transformer."})
    num_attention_heads: int = field(
        default=ViltSizes.num_attention_heads, metadata={"help": "Attention heads of each layer."}
    )
    intermediate_size: int = field(
        default=ViltSizes.intermediate_size, metadata={"help": "Width of each layer's feed-forward part."}
    )
    image_size: int = field(
        default=ViltSizes.image_size, metadata={"help": "Shorter side to which pictures are scaled, in pixels."}
    )
    patch_size: int = field(default=ViltSizes.patch_size, metadata={"help": "Side of a patch, in pixels."})
    max_text_length: int = field(
        default=ViltSizes.max_text_length, metadata={"help": "The longest text, in tokens; longer ones are cut."}
    )
    vocab_size: int = field(default=ViltSizes.vocab_size, metadata={"help": "Tokens of the vocabulary."})
    max_image_length: int = field(
        default=ViltSizes.max_image_length,
        metadata={"help": "Most patches of a picture, chosen at random if it has more; -1: all."},
    )
    initializer_range: float = field(
        default=ViltSizes.initializer_range,
        metadata={"help": "Deviation of drawn embeddings and heads; about 1 / sqrt(hidden_size) for a small model."},
    )
    dropout: float = field(default=ViltSizes.dropout, metadata={"help": "Share of values set to 0 in training."})

    def sizes(self) -> ViltSizes:
        """The sizes as the builder takes them."""
        names = ViltSizes.__dataclass_fields__
        return ViltSizes(**{name: getattr(self, name) for name in names})


@dataclass
class ViltObjectiveArguments:
    """What to learn, beyond the command's own loss."""

    objectives: list[str] = field(
        default_factory=lambda: ["itm", "mlm"],
        metadata={"help": "Losses of pretraining: itm (matching), mlm (masked words), mpp (masked patches)."},
    )
    wpa_weight: float = field(default=0.1, metadata={"help": "Weight of word-patch alignment inside matching."})
    mlm_probability: float = field(default=0.15, metadata={"help": "Share of a text's tokens that are hidden."})
    mpp_probability: float = field(default=0.15, metadata={"help": "Share of a picture's patches that are hidden."})
    shortlist_weight: float = field(
        default=1.0, metadata={"help": "Weight of finding pictures and texts alone in retrieval; 0: the paper's loss."}
    )
    draw_false_texts: int = field(default=15, metadata={"help": "False texts beside each true one in retrieval."})


@dataclass
class ViltTrainingArguments(TrainingArguments):
    """transformers' TrainingArguments with the paper's settings, which any flag may change."""

    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    adam_beta2: float = 0.98
    warmup_steps: float = 0.1
    num_train_epochs: float = 10.0
    per_device_train_batch_size: int = 32
    per_device_eval_batch_size: int = 32
    seed: int = 0
    logging_steps: float = 50
    remove_unused_columns: bool = False
    report_to: str | list[str] | None = "none"
    head_lr_multiplier: float | None = field(
        default=None, metadata={"help": "Learning rate of the head over the body's: 1 in pretraining, else 10."}
    )

    def __post_init__(self) -> None:
        choose_device(self)
        super().__post_init__()

    def to_dict(self) -> dict[str, Any]:
        return reported(self, super().to_dict())


@dataclass(frozen=True)
class ViltSettings:
    """All settings of one training command; `given` is what the recipe and the flags said, merged."""

    data: ViltDataArguments
    model: ViltModelArguments
    objectives: ViltObjectiveArguments
    training: Any
    given: dict[str, Any]


def read_vilt_settings(argv: Sequence[str]) -> ViltSettings:
    """The settings of `--config RECIPE --key value ...`; a flag wins over the recipe.

    Raises:
        ConfigError: an unknown key, a value of the wrong type or out of range, settings that exclude each other.
    """
    records = (ViltDataArguments, ViltModelArguments, ViltObjectiveArguments, ViltTrainingArguments)
    given, (data, model, objectives, training) = read_records(argv, records)
    _check(data, model, objectives)
    if training.eval_strategy != "no" and data.eval_data is None:
        raise ConfigError(f"eval_strategy: '{training.eval_strategy}' needs rows to evaluate on. Set --eval_data.")
    return ViltSettings(data, model, objectives, training, given)


def _check(data: ViltDataArguments, model: ViltModelArguments, objectives: ViltObjectiveArguments) -> None:
    if data.train_data is None:
        raise ConfigError("train_data: expected a file, got nothing. Set --train_data.")
    beside = ("eval_split", "eval_annotations", "eval_columns")
    lone = next((name for name in beside if getattr(data, name) is not None), None)
    if data.eval_data is None and lone is not None:
        raise ConfigError(f"{lone}: of what data? Set --eval_data, or leave it out.")
    if (data.eval_data, data.eval_split) == (data.train_data, data.split):
        raise ConfigError(f"eval_data: {data.eval_data} holds the rows that train. Name others, or splits of it.")
    if model.model_name_or_path is not None and (model.vit or model.bert):
        raise ConfigError("model_name_or_path: a ViLT brings everything. Leave out vit and bert, or this.")
    if model.initializer_range <= 0:
        raise ConfigError(f"initializer_range: expected a number above 0, got {model.initializer_range}.")
    unknown = sorted(set(objectives.objectives) - set(OBJECTIVES))
    if unknown or not objectives.objectives:
        got = ", ".join(unknown) or "none"
        raise ConfigError(f"objectives: expected some of {', '.join(OBJECTIVES)}; got {got}.")
    for name in ("mlm_probability", "mpp_probability"):
        if not 0 < (value := getattr(objectives, name)) < 1:
            raise ConfigError(f"{name}: expected a share between 0 and 1, got {value}.")
    if objectives.draw_false_texts < 1:
        raise ConfigError(f"draw_false_texts: expected at least 1, got {objectives.draw_false_texts}.")
