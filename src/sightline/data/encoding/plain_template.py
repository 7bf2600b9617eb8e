"""A chat template for models that have none: pictures and words alone, a line for each message."""

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
    "{{% if not loop.last or add_generation_prompt %}}{{{{ {between!r} }}}}{{% endif %}}"
    "{{% endif %}}"
    "{{% endfor %}}"
)


def plain_template(processor: Any) -> str:
    """The template for a processor: its own word for a picture where one stands, then the words as they are.

    A message of anyone but the assistant ends in a line break, unless the processor itself ends a prompt; what the
    assistant said ends in the tokenizer's own end.
    """
    layout = layout_of(processor)
    return _TEMPLATE.format(
        image="" if layout.image_in_front else image_token(processor),
        between="" if layout.end or layout.strips else "\n",
        end=processor.tokenizer.eos_token or "",
    )
