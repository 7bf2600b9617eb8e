"""How a run encodes rows: one rule for the plan, the trainers, doctor and preview."""

from __future__ import annotations

from typing import Any

from trl.chat_template_utils import get_training_chat_template, has_generation_markers

from sightline.data.encoding.sequences import EncodingSettings
from sightline.errors import ConfigError
from sightline.training.losses import perturbation
from sightline.training.template_arguments import renders_keywords


def encoding_of(args: Any, processor: Any, preferences: bool, keeps_empty: bool = False) -> EncodingSettings:
    """How rows become sequences under the trainer's arguments `args`, TRL's or ours; as TRL's collators (1.16) do it.

    Raises:
        ConfigError: the assistant's words alone are to be trained, and no template says which they are.
    """
    by_turns = getattr(args, "assistant_only_loss", False)
    return EncodingSettings(
        max_length=args.max_length,
        length_policy=getattr(args, "length_policy", "truncate"),
        completion_only_loss=getattr(args, "completion_only_loss", True) is not False,
        assistant_only_loss=by_turns,
        chat_template=_marked_template(processor) if by_turns else None,
        dataset_text_field=getattr(args, "dataset_text_field", "text"),
        perturbation=perturbation(args) if preferences else None,
        keeps_empty=keeps_empty,
        keywords=renders_keywords(args, preferences),
    )


def _marked_template(processor: Any) -> str | None:
    """What TRL's trainer takes for a template without marks of what the assistant says; None where it has some."""
    if has_generation_markers(processor.chat_template):
        return None
    try:
        found: str | None = get_training_chat_template(processor)
    except ValueError as error:
        raise ConfigError(
            "assistant_only_loss: expected a chat template with {% generation %} marks around what the assistant says, "
            f"got one of {processor.tokenizer.name_or_path or 'the model'} without, and TRL has no copy of it that is "
            "marked. Mark chat_template.jinja, or use rows of prompt and completion without this setting."
        ) from error
    return found
