"""A chat template for models that have none: pictures and words alone, as they are."""

from __future__ import annotations

from typing import Any

from sightline.data.encoding.processors import image_token, layout_of

# `generation` marks what an assistant said, which TRL trains alone where it is asked to.
_TEMPLATE = (
    "{{% for message in messages %}}"
    "{{% set content = message['content'] %}}"
    "{{% set parts = [{{'type': 'text', 'text': content}}] if content is string else content %}}"
    "{{% if message['role'] == 'assistant' %}}"
    "{{% generation %}}{{% for part in parts %}}{{{{ part['text'] }}}}{{% endfor %}}"
    "{{{{ {end!r} }}}}{{% endgeneration %}}"
    "{{% else %}}"
    "{{% for part in parts %}}"
    "{{{{ {image!r} if part['type'] == 'image' else part['text'] }}}}"
    "{{% endfor %}}"
    "{{% if not loop.last and loop.nextitem['role'] != 'assistant' %}}{{{{ '\\n' }}}}{{% endif %}}"
    "{{% endif %}}"
    "{{% endfor %}}"
)


def plain_template(processor: Any) -> str:
    """The template for a processor: its own word for a picture where one stands, then the words as they are.

    Nothing stands behind the last message, which a base model goes on with, and an answer follows what it answers at
    once: what belongs between them (" Answer:", a line break) is for the question to say. What the assistant said ends
    in the tokenizer's own end, any other message before the next in a line break.
    """
    image = "" if layout_of(processor).image_in_front else image_token(processor)
    return _TEMPLATE.format(image=image, end=processor.tokenizer.eos_token or "")
