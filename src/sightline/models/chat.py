"""The chat template of built models: LLaVA's turns, stable under prefixes, with the assistant's words marked."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.models.tokenizers import ASSISTANT, SYSTEM, USER


@dataclass(frozen=True)
class Turns:
    """What stands around a turn's content; an assistant's turn ends with the tokenizer's end token.

    Attributes:
        gap: between `assistant` and the answer; part of the answer, so that a prompt ends with `assistant`.
    """

    system: str
    user: str
    assistant: str
    gap: str = ""


# A token per role for the tokenizer made here; LLaVA 1.5's words for tokenizers whose embeddings are trained already.
ROLE_TOKENS = Turns(SYSTEM, USER, ASSISTANT)
LLAVA_WORDS = Turns("", "USER: ", " ASSISTANT:", " ")

# `{% generation %}` marks what TRL's assistant_only_loss trains. Images are written where the content names them.
_TEMPLATE = """\
{%- macro render(content) -%}
    {%- if content is string -%}
        {{- content -}}
    {%- else -%}
        {%- for part in content -%}
            {%- if part['type'] == 'image' -%}{{- '<image>' -}}
            {%- elif part['type'] == 'text' -%}{{- part['text'] -}}
            {%- else -%}{{- raise_exception('A part of a message is an image or a text, not ' ~ part['type']) -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{{- bos_token -}}
{%- for message in messages -%}
    {%- if message['role'] == 'system' -%}
        {{- SYSTEM_TURN ~ render(message['content']) -}}
    {%- elif message['role'] == 'user' -%}
        {{- USER_TURN ~ render(message['content']) -}}
    {%- elif message['role'] == 'assistant' -%}
        {{- ASSISTANT_TURN -}}
        {%- generation -%}{{- GAP ~ render(message['content']) ~ eos_token -}}{%- endgeneration -%}
    {%- else -%}
        {{- raise_exception('A message is by system, user or assistant, not ' ~ message['role']) -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- ASSISTANT_TURN -}}{%- endif -%}
"""


def chat_template(turns: Turns) -> str:
    """A Jinja template in which a prompt with its generation prompt is an exact prefix of prompt plus answer."""
    named = {"SYSTEM_TURN": turns.system, "USER_TURN": turns.user, "ASSISTANT_TURN": turns.assistant, "GAP": turns.gap}
    assignments = "".join(f"{{%- set {name} = {text!r} -%}}\n" for name, text in named.items())
    return assignments + _TEMPLATE
