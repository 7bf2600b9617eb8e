"""Pass extra row columns to the chat template, and say which of them TRL ignores for images."""

from __future__ import annotations

from typing import Any

from sightline.data.tables import is_table, row_columns
from sightline.launch.processes import say
from sightline.training.given_rows import GivenRows

TOOLS, KEYWORDS = "tools", "chat_template_kwargs"
COUNTED_AT_ONCE = 1000


def renders_keywords(args: Any, preferences: bool) -> bool:
    """Whether prompts are rendered with their `chat_template_kwargs`: TRL's SFTTrainer (1.16) drops that column of a
    dataset with images, unless `remove_unused_columns` is false."""
    return preferences or not getattr(args, "remove_unused_columns", True)


def say_what_is_not_rendered(args: Any, rows: GivenRows, preferences: bool) -> None:
    """A line on stderr for tools and keywords that no prompt of the run will show.

    TRL 1.16 renders rows of a dataset with images without their `tools`, and `messages` without their
    `chat_template_kwargs`.
    """
    for name, part in rows.parts.items():
        for column in (TOOLS, KEYWORDS) if part.dataset is not None else ():
            found = _rows_with(part.dataset, column)
            if found and not (column == KEYWORDS and _keywords_count(args, part.dataset, preferences)):
                say(
                    f"{column}: {found} of {name} have them, and they are not rendered: TRL (1.16) gives them to no "
                    "template of a dataset with images. Write what the model must know of them into a system message."
                )


def say_what_is_not_called(formatting_func: Any) -> None:
    """A line on stderr for a `formatting_func` beside images, which TRL (1.16) never calls."""
    if formatting_func is not None:
        say(
            "formatting_func: not called, as in TRL, since the rows have images. Map the dataset by it beforehand, or "
            "give rows of a format in docs/formats.md as they are."
        )


def _keywords_count(args: Any, dataset: Any, preferences: bool) -> bool:
    return renders_keywords(args, preferences) and "messages" not in row_columns(dataset)


def _rows_with(dataset: Any, column: str) -> str:
    """How many rows have something in the column, in words; empty for none. Of a stream the first row tells."""
    if column not in row_columns(dataset):
        return ""
    if not is_table(dataset):
        first = next(iter(dataset)) if hasattr(dataset, "__iter__") else dataset[0]
        return "rows" if first.get(column) else ""
    batches = dataset.select_columns([column]).iter(batch_size=COUNTED_AT_ONCE)
    count = sum(bool(value) for batch in batches for value in batch[column])
    return f"{count:,} of {len(dataset):,} rows" if count else ""
