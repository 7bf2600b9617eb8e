"""Say at the start which tokens of demonstrations are trained, by TRL's rule for the whole dataset."""

from __future__ import annotations

from typing import Any

from sightline.data.formats.converted import has_images
from sightline.data.tables import row_columns
from sightline.errors import ConfigError
from sightline.launch.processes import say
from sightline.training.planned_rows import PlannedRows


def require_completions(args: Any, datasets: dict[str, Any]) -> None:
    """Nothing where `completion_only_loss` fits the rows of the named datasets, or is not set.

    Raises:
        ConfigError: it is true, and rows are `messages` or text, as TRL 1.16 refuses them once training begins.
    """
    if args is None or not getattr(args, "completion_only_loss", None):
        return
    parts: dict[str, Any] = {}
    for name, dataset in datasets.items():
        parts |= dataset if isinstance(dataset, dict) else {name: dataset}
    for name, dataset in parts.items():
        if dataset is None or not has_images(dataset):
            continue  # text is TRL's own
        columns = set(row_columns(dataset))
        if {"prompt", "completion"} <= columns and "messages" not in columns:
            continue
        raise ConfigError(
            f"completion_only_loss: expected rows of prompt and completion, since it is true; got {name} with "
            f"{', '.join(sorted(columns))}. Leave it out, which trains every token, set assistant_only_loss to true, "
            "which trains the assistant's turns of messages, or give rows of prompt and completion."
        )


def say_what_is_trained(collator: Any, rows: PlannedRows) -> None:
    """One line on stderr: which tokens of a row the loss of TRL's collator counts, and how to change that."""
    columns = set(row_columns(rows.dataset))
    completions = {"prompt", "completion"} <= columns
    said = []
    if completions and collator.completion_only_loss:
        said.append("the completions alone")
    elif completions:
        said.append("prompts and completions, since completion_only_loss is false")
    if "messages" in columns and collator.assistant_only_loss:
        said.append("the assistant's turns of messages")
    elif "messages" in columns:
        said.append("every token of messages, questions too, as in TRL (assistant_only_loss: the assistant's alone)")
    say(f"Trained: {' and '.join(said) or 'every token of the text'}.")
