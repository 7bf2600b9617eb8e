"""Use the model's processor where a script passes only a tokenizer for a model that reads images."""

from __future__ import annotations

from typing import Any

from transformers import AutoProcessor, PreTrainedTokenizerBase, ProcessorMixin

from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.models.pretrained import load_pretrained
from sightline.training.given_rows import GivenRows


def with_processor(trl_arguments: dict[str, Any], model: Any, rows: GivenRows, needed: bool) -> dict[str, Any]:
    """TRL's arguments with the model's own processor around a tokenizer that was given beside rows with pictures.

    Scripts of 2024 pass `tokenizer=processor.tokenizer`, which TRL 1.16 refuses. Where no folder has a processor, a
    collator of the script's own does without; `needed` says that the trainer does not.

    Raises:
        ConfigError: there is none, and batches cannot be made without.
    """
    tokenizer = trl_arguments.get("processing_class")
    if not isinstance(tokenizer, PreTrainedTokenizerBase) or not rows.has_pictures:
        return trl_arguments
    name = model if isinstance(model, str) else model.config._name_or_path
    processor = _processor(name)
    if processor is not None:
        processor.tokenizer = tokenizer
        say(
            f"processing_class: a tokenizer was given; the processor of {name} is put around it, since rows have "
            "pictures. Pass the processor itself."
        )
        return {**trl_arguments, "processing_class": processor}
    if needed or rows.collator is None:
        raise ConfigError(
            f"processing_class: expected the model's processor, since rows have pictures; got the tokenizer "
            f"{type(tokenizer).__name__}. Pass AutoProcessor.from_pretrained(MODEL)."
        )
    return trl_arguments


def _processor(name: str) -> ProcessorMixin | None:
    try:
        found = load_pretrained(AutoProcessor, name) if name else None
    except (OSError, ValueError):
        return None
    return found if isinstance(found, ProcessorMixin) else None
