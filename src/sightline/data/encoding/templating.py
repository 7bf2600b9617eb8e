"""A chat template that cannot render what it is given, as an error in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sightline.data.encoding.bounded_templates import bound_templates
from sightline.errors import DataError, InputError


@contextmanager
def templated(label: str, processor: Any) -> Iterator[None]:
    """What a processor's template raises of itself, or of the conversation that it is given, as a DataError; `label` is
    the row.

    Raises:
        DataError: it is broken, or refuses the conversation.
        InputError: there is none, which no row can help; it knows no end, or reaches for what is none of its business.
    """
    from jinja2 import TemplateError
    from jinja2.exceptions import SecurityError

    bound_templates()
    try:
        yield
    except TemplateError as error:
        folder = _folder(processor)
        said = " ".join(str(error).split())[:300].rstrip(".")
        if isinstance(error, SecurityError):  # of every row alike
            raise InputError(
                f"The chat template of {folder} is not rendered: {said}. Take its author's chat_template.jinja."
            ) from error
        refuses = type(error) is TemplateError  # as `raise_exception` of a template does; others say what is broken
        raise DataError(
            f"{label}: the chat template {'refuses it' if refuses else 'cannot render it'}: {said}. Mend the row, or "
            f"chat_template.jinja of {folder}."
        ) from error
    except ValueError as error:
        if "chat template" not in str(error):
            raise
        raise InputError(f"{_folder(processor)}: {missing_template(processor)}") from error


def _folder(processor: Any) -> str:
    return getattr(getattr(processor, "tokenizer", processor), "name_or_path", "") or "the model"


def missing_template(processor: Any) -> str:
    """Why a processor has no template to render a conversation by, and what to do."""
    several = processor.chat_template
    if isinstance(several, dict) and several:
        return (
            f"the model's folder has the chat templates {', '.join(sorted(several))}, and none is called default. "
            "Save the one that is meant as chat_template.jinja."
        )
    return "the model's folder has no chat template to render it by. Copy chat_template.jinja into it."
