"""A chat template that cannot render what it is given, as an error in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sightline.errors import DataError


@contextmanager
def templated(label: str) -> Iterator[None]:
    """What a template raises of itself, or of the conversation that it is given, as a DataError; `label` is the row.

    Raises:
        DataError: there is no template, it is broken, or it refuses the conversation.
    """
    from jinja2 import TemplateError

    try:
        yield
    except TemplateError as error:
        said = " ".join(str(error).split())[:300].rstrip(".")
        raise DataError(
            f"{label}: the chat template cannot render it: {said}. Mend the row, or chat_template.jinja of the model."
        ) from error
    except ValueError as error:
        if "chat template" not in str(error):
            raise
        raise DataError(
            f"{label}: the model's folder has no chat template to render it by. Copy chat_template.jinja into it."
        ) from error
