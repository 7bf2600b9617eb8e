"""CogVLM's prompts: what surrounds a question in the modes of its authors."""

from __future__ import annotations

from sightline.models.ports.cogvlm.config import BASE

# The image stands in front of the whole text and is not named in it; the processor puts it there.
_TEXT = (
    "{% macro said(content) %}{% if content is string %}{{ content }}{% else %}"
    "{% for part in content %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}{% endmacro %}"
)
_NO_SYSTEM = (
    "{% for turn in messages %}{% if turn['role'] not in ('user', 'assistant') %}"
    "{{ raise_exception('CogVLM has no place for a message of the role ' + turn['role']) }}{% endif %}{% endfor %}"
)
_ONE_QUESTION = (
    "{% if messages | selectattr('role', 'equalto', 'user') | list | length > 1 %}"
    "{{ raise_exception(one_question) }}{% endif %}"
)
_ANSWER = "{% generation %}{{ ' ' + said(turn['content']) + (eos_token if loop.last else '\\n') }}{% endgeneration %}"
# "Question: {q} Answer: {a}\n" a turn (THUDM/CogVLM:utils/utils/language.py, chat_old); "Question: {q} Short answer:"
# of one question for visual question answering (vqa).
_CHAT = (
    "{% set short = mode is defined and mode == 'vqa' %}"
    "{% set one_question = 'The mode vqa takes one question, without turns before it' %}"
    "{% if short %}" + _ONE_QUESTION + "{% endif %}"
    "{{ bos_token }}{% for turn in messages %}{% if turn['role'] == 'user' %}"
    "{{ 'Question: ' + said(turn['content']) + (' Short answer:' if short else ' Answer:') }}"
    "{% else %}" + _ANSWER + "{% endif %}{% endfor %}"
)
# The text as it is; an empty one asks for a caption (the same file, base).
_PLAIN = (
    "{% set one_question = 'A base CogVLM reads one text, without turns before it' %}"
    + _ONE_QUESTION
    + "{{ bos_token }}"
    "{% for turn in messages %}{% if turn['role'] == 'user' %}{{ said(turn['content']) }}"
    "{% else %}" + _ANSWER + "{% endif %}{% endfor %}"
)


def chat_template(template_version: str) -> str:
    """The template of a checkpoint trained on the prompts `base` or `chat`; the latter has the argument `mode`, which
    may be `vqa`."""
    return _TEXT + _NO_SYSTEM + (_PLAIN if template_version == BASE else _CHAT)
