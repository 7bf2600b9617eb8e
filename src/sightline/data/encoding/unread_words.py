"""Words of prompts that transformers leaves as words, where a model was trained on other tokens."""

from __future__ import annotations

from typing import Any

from sightline.errors import DataError

# By the processor's class. Fuyu was trained on places with a token for each number, scaled with the picture, as its
# processor wrote them before transformers#47924; in 5.23 it writes the text as it is.
_UNREAD = {"FuyuProcessor": ("<box>", "<point>")}


def require_read(processor: Any, text: str, label: str) -> None:
    """Raise DataError for a prompt with a word that the model would not read as it is meant; `label` says whose."""
    name = type(processor).__name__
    for word in _UNREAD.get(name, ()):
        if word in text:
            raise DataError(
                f"{label}: the prompt holds {word}, a place in the picture, whose numbers {name} leaves as words; "
                "its models were trained on a token for each. Ask in words, or crop the picture to the place."
            )
