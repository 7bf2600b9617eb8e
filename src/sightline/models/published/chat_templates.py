"""Chat templates of authors who published theirs as code: prompts to the letter, the model's own words marked."""

from __future__ import annotations

# `content` of a message is a text, or parts of which `image` ones stand for pictures, with `gap` behind each in front
# of a text.
_CONTENT = (
    "{% macro said(content, mark) %}{% if content is string %}{{ content }}{% else %}"
    "{% for part in content %}{% if part['type'] == 'image' %}{{ mark }}"
    "{% if not loop.last %}{{ gap }}{% endif %}{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}{% endmacro %}"
)
_SPLIT = (
    "{% if messages and messages[0]['role'] == 'system' %}"
    "{% set system = said(messages[0]['content'], mark) %}{% set turns = messages[1:] %}"
    "{% else %}{% set system = default_system %}{% set turns = messages %}{% endif %}"
)
_ANSWER = "{% generation %}{{ said(turn['content'], mark) }}{{ end }}{% endgeneration %}"


def turns_template(form: str, mark: str, system: str = "", end: str = "", gap: str = "\n") -> str:
    """A template in one of the forms below.

    Args:
        form: VICUNA, CHATML, MISTRAL, DEEPSEEK or HUMAN.
        mark: what stands for a picture in the text.
        system: the system message where a conversation brings none.
        end: what closes an answer.
        gap: what stands between a picture and the text behind it.
    """
    names = (
        f"{{% set gap = {gap!r} %}}"
        f"{{% set mark = {mark!r} %}}{{% set default_system = {system!r} %}}{{% set end = {end!r} %}}"
    )
    return names + _CONTENT + _SPLIT + form


# "SYSTEM USER: question ASSISTANT: answer</s>USER: ..." (haotian-liu/LLaVA:llava/conversation.py, vicuna_v1)
VICUNA = (
    "{% if system %}{{ system + ' ' }}{% endif %}{% for turn in turns %}"
    "{% if turn['role'] == 'user' %}{{ 'USER: ' + said(turn['content'], mark) + ' ' }}"
    "{% else %}{{ 'ASSISTANT: ' }}" + _ANSWER + "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
# No newline behind the end of a turn (the same file, chatml_direct).
CHATML = (
    "{% if system %}{{ '<|im_start|>system\\n' + system + '<|im_end|>' }}{% endif %}{% for turn in turns %}"
    "{{ '<|im_start|>' + turn['role'] + '\\n' }}"
    "{% if turn['role'] == 'assistant' %}" + _ANSWER + "{% else %}{{ said(turn['content'], mark) + end }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# "[INST] question [/INST] answer </s>[INST] ..." (the same file, mistral_instruct)
MISTRAL = (
    "{% for turn in turns %}{% if turn['role'] == 'user' %}{{ '[INST] ' }}"
    "{% if loop.first and system %}{{ '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' }}{% endif %}"
    "{{ said(turn['content'], mark) + ' [/INST]' }}{% else %}{{ ' ' }}" + _ANSWER + "{% endif %}{% endfor %}"
)
# "SYSTEM\n\nUser: question\n\nAssistant: answer<end>User: ..."
# (deepseek-ai/DeepSeek-VL:deepseek_vl/utils/conversation.py)
DEEPSEEK = (
    "{% if system %}{{ system + '\\n\\n' }}{% endif %}{% for turn in turns %}"
    "{% if turn['role'] == 'user' %}{{ 'User: ' + said(turn['content'], mark) + '\\n\\n' }}"
    "{% else %}{{ 'Assistant: ' }}" + _ANSWER + "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
# "SYSTEM\n\n### Human: question\n### Assistant: answer\n### Human: ..." (01-ai/Yi:VL/llava/conversation.py);
# the mark of the next turn ends an answer, so that a model that is trained learns to stop.
HUMAN = (
    "{% if system %}{{ system + '\\n\\n' }}{% endif %}{% for turn in turns %}{% if turn['role'] == 'user' %}"
    "{{ ('### Human: ' if loop.first else ' Human: ') + said(turn['content'], mark) + '\\n### Assistant:' }}"
    "{% else %}{{ ' ' }}{% generation %}{{ said(turn['content'], mark) + '\\n' + end }}{% endgeneration %}"
    "{% endif %}{% endfor %}"
)
