"""Chat templates that loop, multiply or reach into Python end in one line; honest ones render as ever."""

from __future__ import annotations

import importlib.resources
import threading
import time
from typing import Any

import pytest
from jinja2 import TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

from sightline.data.encoding import bounded_templates
from sightline.data.encoding.bounded_templates import bound_templates
from sightline.data.encoding.prompts import render_prompt
from sightline.errors import InputError
from sightline.types import Question
from tests.tiny import TEMPLATE, tiny_processor

MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is it ?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "a red circle"}]},
]
DOUBLED = "{% set ns = namespace(x='ab') %}{% for _ in range(60) %}{% set ns.x = OP %}{% endfor %}{{ ns.x | length }}"
ENDLESS = {
    "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "loops of a list": "{% set r = range(1000) | list %}{% for a in r %}{% for b in r %}{% for c in r %}{% endfor %}"
    "{% endfor %}{% endfor %}",
    "a loop with its own variables": "{% set r = range(9999) | list %}{% for a in r %}{% for b in r %}{{ loop.index }}"
    "{% endfor %}{% endfor %}",
    "a range without end": "{{ range(10 ** 9) | list }}",
    "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a macro that calls itself twice": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
    "{{ f(60) }}",
    "a loop in itself": "{% for a in [[1, 2]] * 9 recursive %}{{ loop([[1, 2]] * 9) }}{% endfor %}",
    "a text many times": "{{ 'a' * 10 ** 10 }}",
    "a list many times": "{{ [1] * 10 ** 10 }}",
    "a number many times": "{{ 10 ** (10 ** 9) }}",
    "numbers multiplied": "{% set ns = namespace(x=10 ** 9) %}{% for _ in range(60) %}{% set ns.x = ns.x * ns.x %}"
    "{% endfor %}",
    "doubled by +": DOUBLED.replace("OP", "ns.x + ns.x"),
    "doubled by ~": DOUBLED.replace("OP", "ns.x ~ ns.x"),
    "doubled by replace": DOUBLED.replace("OP", "ns.x | replace('a', 'aa')"),
    "doubled by a method": DOUBLED.replace("OP", "ns.x.replace('a', 'aab')"),
    "doubled by join": DOUBLED.replace("OP", "[ns.x, ns.x] | join"),
    "doubled by format": DOUBLED.replace("OP", "'%s%s' % (ns.x, ns.x)"),
    "doubled by another format": DOUBLED.replace("OP", "'{0}{0}'.format(ns.x)"),
    "doubled by a block": DOUBLED.replace("{% set ns.x = OP %}", "{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}"
    "{% set ns.x = y %}"),
    "lists in lists": DOUBLED.replace("OP", "[ns.x, ns.x]").replace(" | length", ""),
    "a wide field": "{{ 'a'.zfill(10 ** 10) }}",
    "a wide middle": "{{ 'a' | center(10 ** 10) }}",
    "a wide format": "{{ '%9999999999d' % 1 }}",
    "another wide format": "{{ '{:>9999999999}'.format(1) }}",
    "a width beside the format": "{{ '{:>{}}'.format(1, 10 ** 10) }}",
    "a wide margin": "{{ 'a' | indent(10 ** 10, true) }}",
    "JSON with wide margins": "{{ [1] | tojson(indent=10 ** 9) }}",
    "filler words": "{{ lipsum(n=10 ** 6) }}",
    "long output": "{% set x = 'a' * 10 ** 6 %}{% for _ in range(99999) %}{{ x }}{% endfor %}",
}  # fmt: skip
REACHING = {
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals of a function": "{{ raise_exception.__globals__['__builtins__'] }}",
    "a loop's own": "{% for a in [1] %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "by a filter": "{{ '' | attr('__class__') | attr('__mro__') }}",
    "by a format": "{{ '{0.__class__.__mro__}'.format('') }}",
    "by a namespace": "{{ namespace.__init__.__globals__ }}",
    "by another template": "{% include '/etc/passwd' %}",
    "a list that is changed": "{{ messages.append(1) }}",
}


def rendered(template, messages=MESSAGES, **settings):
    bound_templates()
    return render_jinja_template(conversations=[messages], chat_template=template, **settings)[0][0]


@pytest.fixture(autouse=True)
def one_second(monkeypatch):
    monkeypatch.setattr(bounded_templates, "MAX_SECONDS", 1.0)


@pytest.mark.parametrize("template", ENDLESS.values(), ids=ENDLESS)
def test_a_template_that_knows_no_end_is_stopped(template):
    start = time.monotonic()
    with pytest.raises(TemplateError):
        rendered(template)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("template", REACHING.values(), ids=REACHING)
def test_a_template_reaches_nothing_of_python(template):
    try:
        found = rendered(template)
    except TemplateError:
        return
    assert "class" not in found and "builtins" not in found and "root" not in found


def test_a_template_is_stopped_in_a_thread_too():
    caught = []

    def render():
        try:
            rendered(ENDLESS["nested loops"])
        except TemplateError as error:
            caught.append(error)

    thread = threading.Thread(target=render)
    thread.start()
    thread.join(10)
    assert len(caught) == 1


def test_a_prompt_names_the_folder_of_its_template():
    processor = tiny_processor()
    processor.chat_template = ENDLESS["nested loops"]
    processor.tokenizer.name_or_path = "models/loops"
    with pytest.raises(InputError, match="The chat template of models/loops is not rendered: it takes more") as caught:
        render_prompt(processor, Question("what is it ?", ()))
    assert "\n" not in str(caught.value)


def test_an_error_of_python_in_a_template_is_one_of_the_template():
    with pytest.raises(TemplateError, match="TypeError"):
        rendered("{{ messages[0]['content'] + 1 }}")


def honest_templates():
    folder = importlib.resources.files("trl") / "chat_templates"
    return {"tiny": TEMPLATE} | {
        file.name: file.read_text() for file in folder.iterdir() if file.name.endswith(".jinja")
    }


@pytest.mark.parametrize("template", honest_templates().values(), ids=honest_templates())
def test_honest_templates_render_as_transformers_renders_them(template, monkeypatch):
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from transformers.utils import chat_template_utils as theirs

    def text(messages):
        try:
            return rendered(template, messages)
        except TemplateError as error:
            return str(error)

    plain = [{"role": one["role"], "content": one["content"][-1]["text"]} for one in MESSAGES] * 20
    ours = [text(MESSAGES), text(plain)]
    monkeypatch.setattr(theirs, "ImmutableSandboxedEnvironment", ImmutableSandboxedEnvironment)
    monkeypatch.setattr("sightline.data.encoding.bounded_templates.bound_templates", lambda: None)
    theirs._compile_jinja_template.cache_clear()
    expected = []
    for messages in (MESSAGES, plain):
        try:
            expected.append(render_jinja_template(conversations=[messages], chat_template=template)[0][0])
        except Exception as error:
            expected.append(str(error))
    theirs._compile_jinja_template.cache_clear()
    for one, other in zip(ours, expected, strict=True):
        assert one == other or one.endswith(other)


def test_where_the_assistant_speaks_is_found_as_before():
    bound_templates()
    texts, spans = render_jinja_template(
        conversations=[MESSAGES], chat_template=TEMPLATE, return_assistant_tokens_mask=True
    )
    assert [texts[0][start:end] for start, end in spans[0]] == ["a red circle</s>"]


def test_a_template_that_ran_out_of_time_is_not_tried_for_every_row():
    template = ENDLESS["nested loops"] + "{# once #}"
    with pytest.raises(TemplateError):
        rendered(template)
    start = time.monotonic()
    with pytest.raises(TemplateError, match="more than 1 s"):
        rendered(template)
    assert time.monotonic() - start < 0.5
