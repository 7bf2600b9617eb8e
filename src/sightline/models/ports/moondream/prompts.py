"""The words around a question that each release of moondream2 was trained with, as chat templates and token ids."""

from __future__ import annotations

# Releases: TAGGED 2024-03-04 and 03-06; PLAIN from 2024-03-13 to 2024-08-26 and from 2025-03-27 to 04-14; TIGHT
# 2025-01-09; MARKS 2025-06-21. Source: vikhyat/moondream (moondream.py, torch/config.py).
TAGGED, PLAIN, TIGHT, MARKS = "tagged", "plain", "tight", "marks"
IMAGE_TOKEN = "<|image|>"
# starmie-v1 has 20 tokens for marks, numbered from 1; the authors' code uses the first nine. The last one is free.
FIRST_MARK, MARK_OF_IMAGES = "<|md_reserved_0|>", "<|md_reserved_19|>"
END = "<END>"  # of an answer, of the releases TAGGED, which have no token for it

_IMAGES = (
    "{{- bos_token -}}{%- for message in messages -%}{%- if message['content'] is not string -%}"
    "{%- for part in message['content'] -%}{%- if part['type'] == 'image' -%}{{ IMAGE }}"
    "{%- endif -%}{%- endfor -%}{%- endif -%}{%- endfor -%}"
)
_TEXT = (
    "{%- macro said(message) -%}{%- if message['content'] is string -%}{{ message['content'] }}{%- else -%}"
    "{%- for part in message['content'] -%}{%- if part['type'] == 'text' -%}{{ part['text'] }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{%- endmacro -%}"
)
# Turns before the last question stand in front of it in its own words, as the authors' callers of 2024 write them.
_TURNS = (
    "{{- '\\n\\n' -}}{%- for message in messages -%}{%- if message['role'] == 'user' -%}"
    "{{- 'Question:SPACE' + said(message) + '\\n\\n' -}}"
    "{%- elif message['role'] == 'assistant' -%}{{- 'Answer:GAP' -}}"
    "{%- generation -%}{{- 'LEAD' + said(message) -}}{%- if loop.last -%}{{- END -}}{%- endif -%}{%- endgeneration -%}"
    "{%- if not loop.last -%}{{- '\\n\\n' -}}{%- endif -%}"
    "{%- else -%}{{- raise_exception('moondream2 knows no role ' + message['role']) -}}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- 'Answer:GAP' -}}{%- endif -%}"
)
# The authors' own code sends the mark of an answer twice; with `double_mark` this does, too.
_ONE_TURN = (
    "{%- for message in messages -%}{%- if message['role'] == 'user' and loop.first -%}"
    "{{- '<|md_reserved_0|>query<|md_reserved_1|>' + said(message) + '<|md_reserved_2|>' -}}"
    "{%- if double_mark is defined and double_mark -%}{{- '<|md_reserved_2|>' -}}{%- endif -%}"
    "{%- elif message['role'] == 'assistant' and loop.index == 2 -%}"
    "{%- generation -%}{{- said(message) + END -}}{%- endgeneration -%}"
    "{%- else -%}{{- raise_exception('moondream2 of 2025-06-21 answers one question: it knows neither further turns"
    " nor a role ' + message['role']) -}}{%- endif -%}{%- endfor -%}"
)


def template_of(form: str, image_token: str) -> str:
    """The template of a form: the start token, the image where there is one, and the words around the question."""
    image = f"'<image>{image_token}</image>'" if form == TAGGED else f"'{image_token}'"
    body = _ONE_TURN if form == MARKS else _TURNS
    words = {
        "IMAGE": image,
        "SPACE": "" if form == TIGHT else " ",
        "GAP": " " if form == TAGGED else "",
        "LEAD": "" if form == TAGGED else " ",
        "END": f"'{END}'" if form == TAGGED else "eos_token",
    }
    template = _TEXT + _IMAGES + body
    for name, value in words.items():
        template = template.replace(name, value)
    return template


# Token ids in front of the name of what is looked for and behind it, by task; the name has a space before it but where
# the form is TIGHT.
REGION_IDS: dict[str, dict[str, tuple[tuple[int, ...], tuple[int, ...]]]] = {
    "detect": {PLAIN: ((198, 198, 47504, 25), (628,)), MARKS: ((1, 7235, 476, 2), (3,))},
    "point": {PLAIN: ((198, 198, 12727, 25), (628,)), MARKS: ((1, 2581, 2), (3,))},
}
