"""How Qwen-VL-Chat and Qwen-VL are asked, as chat templates."""

from __future__ import annotations

from sightline.models.ports.qwen_vl.tokenizer import SEAM

# Special forms in what somebody says are words: nobody opens a turn or an image from within a text.
_PLAIN = r"""
{%- macro plain(text) -%}
    {{- text | replace('<|', '<SEAM|') | replace('<img', '<SEAMimg') | replace('</img', '<SEAM/img') -}}
{%- endmacro -%}
"""
_SAID = r"""
    {%- set turn.said = '' -%}
    {%- if message['content'] is string -%}
        {%- set turn.said = plain(message['content']) -%}
    {%- else -%}
        {%- for part in message['content'] -%}
            {%- if part['type'] == 'image' -%}
                {%- set turn.pictures = turn.pictures + 1 -%}
                {%- set turn.said = turn.said ~ PICTURE -%}
            {%- elif part['type'] == 'text' -%}
                {%- set turn.said = turn.said ~ plain(part['text']) -%}
            {%- else -%}
                {{- raise_exception('Qwen-VL reads texts and images, not ' ~ part['type']) -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
"""
# The authors tokenize a role's line break apart from what is said: a seam keeps line breaks from becoming one token.
_CHAT = r"""
{%- set turn = namespace(pictures=0, said='') -%}
{%- if messages[0]['role'] != 'system' -%}
    {{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {%- if message['role'] not in ('system', 'user', 'assistant') -%}
        {{- raise_exception('Qwen-VL knows the roles system, user and assistant, not ' ~ message['role']) -}}
    {%- endif -%}
SAID
    {{- '<|im_start|>' ~ message['role'] ~ '\n' ~ ('SEAM' if turn.said[:1].isspace() else '') -}}
    {%- if message['role'] == 'assistant' -%}
        {%- generation -%}{{- turn.said ~ '<|im_end|>\n' -}}{%- endgeneration -%}
    {%- else -%}
        {{- turn.said ~ '<|im_end|>\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\n' -}}
{%- endif -%}
"""
# The base model reads images and a text, and goes on: it knows no turns.
_RAW = r"""
{%- set turn = namespace(pictures=0, said='') -%}
{%- for message in messages -%}
    {%- if message['role'] != ('user', 'assistant')[loop.index0] -%}
        {{- raise_exception('Qwen-VL (the base model) reads one prompt of a user and goes on: no system message, no '
            ~ 'turns before. Qwen-VL-Chat reads conversations') -}}
    {%- endif -%}
SAID
    {%- if message['role'] == 'assistant' -%}
        {%- generation -%}{{- turn.said ~ '<|endoftext|>' -}}{%- endgeneration -%}
    {%- else -%}
        {{- turn.said -}}
    {%- endif -%}
{%- endfor -%}
"""


def _written(template: str, picture: str) -> str:
    """The template with what stands for a picture, without the breaks between its lines."""
    whole = _PLAIN + template.replace("SAID", _SAID.replace("PICTURE", picture))
    return "".join(line.strip() for line in whole.splitlines()).replace("SEAM", SEAM)


CHAT = _written(_CHAT, r"'Picture ' ~ turn.pictures ~ ': <img><imgpad></img>\n'")
RAW = _written(_RAW, "'<img><imgpad></img>'")
