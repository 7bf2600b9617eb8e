"""JSON and YAML of others: bounded, and what is wrong in a phrase."""

from __future__ import annotations

import json

import pytest

from sightline.config import read_recipe
from sightline.errors import ConfigError
from sightline.notation import MAX_DEPTH, NotationError, excerpt, read_json, read_yaml
from sightline.values import Written, read_as

DIGITS = "9" * 6000
BOMB = "a0: &a0 [lol, lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


def nested(depth, opening="[", closing="]"):
    return opening * depth + closing * depth


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (nested(100_000), "nested more than 100 deep"),
        (nested(900), "nested more than 100 deep"),
        (nested(500, '{"a":', "}").replace(":}", ":1}"), "nested more than 100 deep"),
        (DIGITS, "thousands of digits"),
        (f'{{"a": -{DIGITS}}}', "thousands of digits"),
        ("\0\0", "Expecting value, column 1"),
        ('{"a": 1', "column 8"),
        (b"\xff\xfe", "not encoded in UTF-8"),
    ],
)
def test_json_that_cannot_be_read_is_told_in_a_phrase(text, what):
    with pytest.raises(NotationError, match=what) as caught:
        read_json(text)
    assert len(str(caught.value)) < 100 and "\n" not in str(caught.value)


def test_json_of_rows_has_each_key_once_and_what_a_table_holds():
    with pytest.raises(NotationError, match="the key 'a' stands there twice"):
        read_json('{"b": 1, "a": 1, "a": 2}', unique=True)
    with pytest.raises(NotationError, match="30 digits, more than 64 bits hold"):
        read_json("9" * 30, for_table=True)
    with pytest.raises(NotationError, match="half of a surrogate pair"):
        read_json('["\\ud83d"]', for_table=True)


@pytest.mark.parametrize(
    "value", [[[1, -(2**63), 2**63 - 1]], {"a": [{"b": "\U0001f600"}] * 400}, json.loads(nested(MAX_DEPTH))]
)
def test_honest_json_is_read_as_python_reads_it(value):
    for text in (json.dumps(value), json.dumps(value).encode()):
        assert read_json(text, unique=True, for_table=True) == value


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        (BOMB, "its aliases make more than 200,000 values", 7),
        ("a: &x [*x]", "an alias stands inside of what it names", 1),
        ("a: &x {b: {c: *x}}", "an alias stands inside of what it names", 1),
        ("a: " + nested(20_000), "nested more than 100 deep", None),
        ("a: " + nested(150), "nested more than 100 deep", 1),
        ('a: 1\nb: !!python/object/apply:os.system ["touch ran"]', "python/object/apply:os.system", 2),
        ("a: !!python/name:os.system", "python/name:os.system", 1),
        (f"a: {DIGITS}", "cannot be read", None),
        ("a: 1\0", "unacceptable character #x0000", None),
        ("a: [1, 2", "expected ',' or ']'", 1),
    ],
)
def test_yaml_that_cannot_be_read_is_told_in_a_phrase(text, what, line):
    with pytest.raises(NotationError, match=what) as caught:
        read_yaml(text)
    assert caught.value.line == line and "\n" not in caught.value.placed and len(caught.value.placed) < 300


@pytest.mark.parametrize(
    "text", [BOMB, "a: &x [*x]", "a: " + nested(20_000), "seed: !!python/name:os.system", "a: 1\0"]
)
def test_a_recipe_that_cannot_be_read_is_one_line_that_names_it(text, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"r\.yaml is not valid YAML: ") as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)


def test_aliases_that_spare_a_recipe_repetitions_work(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("base: &b {x: one, y: two}\nother: {<<: *b, y: three}\nlist: [*b, *b]\n")
    read = read_recipe(path)
    assert read["other"] == {"x": "one", "y": "three"} and read["list"] == [read["base"]] * 2


def test_an_excerpt_of_a_large_value_is_short():
    assert excerpt("abc") == "'abc'"
    assert excerpt("x" * 6000).endswith("... (6,002 characters)") and len(excerpt("x" * 6000)) < 140
    assert excerpt(10**6000) == "a int too large to show"


def test_a_setting_of_thousands_of_digits_is_no_number_and_inf_is_one():
    for kind in (int, float, float | None):
        with pytest.raises((ValueError, OverflowError)):
            read_as(Written(DIGITS), kind)
    assert read_as(Written("inf"), float) == float("inf")
