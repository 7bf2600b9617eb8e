"""Write the model card of a trained VLM: origin, training, use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from sightline.engine.selftest import RouteChoice
from sightline.machine import installed_version
from sightline.models.adapter_folders import lasting_name
from sightline.models.merged_folder import ask_snippet
from sightline.runs import plain_data, write_text
from sightline.secrets import redact
from sightline.training.trainer_parts import TrainerParts

SHOWN_SETTINGS = (
    "learning_rate", "lr_scheduler_type", "num_train_epochs", "max_steps", "per_device_train_batch_size",
    "gradient_accumulation_steps", "weight_decay", "warmup_steps", "bf16", "fp16", "seed", "max_length",
    "loss_type", "beta",
)  # fmt: skip
PACKAGES = ("sightline", "trl", "transformers", "torch", "datasets", "peft")


def write_card(
    parts: TrainerParts,
    route: RouteChoice,
    repository: str,
    model_name: str | None,
    dataset_name: str | None,
    tags: Any,
) -> Path:
    """README.md in the trainer's output folder; TRL's own card shows a text pipeline, which a VLM does not fit.

    Args:
        repository: where the model will be, on the Hub or on disk.
    """
    base = getattr(parts.model.config, "_name_or_path", "") or None
    base = lasting_name(base).name if base is not None else None
    on_hub = base is not None and not Path(base).exists()
    given = {tags} if isinstance(tags, str) else set(tags or ())
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        base_model=base if on_hub else None,
        datasets=dataset_name if dataset_name is not None and not Path(dataset_name).exists() else None,
        tags=sorted(given | {"sightline", *parts.kind._tag_names}),
    )
    name = model_name or Path(parts.args.output_dir).name
    text = _text(name, base, repository, parts, route)
    path = Path(parts.args.output_dir) / "README.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_text(path, redact(str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}"))))


def _text(name: str, base: str | None, repository: str, parts: TrainerParts, route: RouteChoice) -> str:
    origin = f"It starts from `{base}`." if base else "It was built from scratch."
    settings = [(key, getattr(parts.args, key, None)) for key in SHOWN_SETTINGS]
    rows = "\n".join(f"| {key} | {plain_data(value)} |" for key, value in settings if value is not None)
    versions = ", ".join(f"{package} {installed_version(package)}" for package in PACKAGES)
    return f"""# {name}

A vision-language model trained with Sightline by {parts.kind._name}. {origin}

{_asked(repository, base, parts)}

## Training

Route `{route.route}`: {route.reason}.

| setting | value |
| --- | --- |
{rows}

Versions: {versions}.
"""


def _asked(repository: str, base: str | None, parts: TrainerParts) -> str:
    """How the model is asked; of an adapter what it needs besides."""
    from peft import PeftModel

    snippet = ask_snippet(repository)
    if base is None or not isinstance(parts.accelerator.unwrap_model(parts.model), PeftModel):
        return snippet
    needed = f"This folder holds an adapter of `{base}`"
    if not Path(base).exists():
        return f"{needed}, which is fetched from the Hub.\n\n{snippet}"
    return (
        f"{needed}, a folder that has to lie there. Where it is elsewhere: "
        f'`sightline ask MODEL picture.png "What is this?" --adapter {repository}`. '
        f"`sightline merge {repository} FOLDER` makes one model of both, which can be handed on alone.\n\n{snippet}"
    )
