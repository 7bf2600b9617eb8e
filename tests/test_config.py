"""Recipes and flags: what they expand to, which key wins, how a wrong one is named."""

from __future__ import annotations

import os
import typing
from pathlib import Path

import pytest

from sightline.config import (
    COMMAND_LINE,
    check_keys,
    check_values,
    find_recipe,
    merge_flags,
    read_flags,
    read_recipe,
    set_environment,
    shipped_recipes,
)
from sightline.errors import ConfigError


@pytest.fixture
def recipe(tmp_path: Path) -> typing.Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return path

    return write


def test_variables_expand_at_any_depth_and_defaults_fill_what_is_not_set(recipe, monkeypatch):
    monkeypatch.setenv("DATA", "/data")
    monkeypatch.delenv("STEPS", raising=False)
    path = recipe("train: ${DATA}/a.jsonl\nmax_steps: ${STEPS:-12}\nnested: {files: ['${DATA}/b', plain]}\n")
    assert read_recipe(path) == {"train": "/data/a.jsonl", "max_steps": 12, "nested": {"files": ["/data/b", "plain"]}}


def test_a_variable_without_value_or_default_is_an_error_that_names_key_and_remedy(recipe, monkeypatch):
    monkeypatch.delenv("DATA", raising=False)
    with pytest.raises(ConfigError, match=r"recipe.yaml: train uses \$\{DATA\}, which is not set. Set DATA, or write"):
        read_recipe(recipe("train: ${DATA}/a.jsonl\n"))


def test_words_that_yaml_1_1_takes_for_truth_values_and_dates_stay_words(recipe):
    path = recipe("eval_strategy: no\nlearning_rate: 1e-5\nday: 2024-01-02\nbf16: true\nname: 1_000\nempty:\n")
    read = read_recipe(path)
    assert read == {
        "eval_strategy": "no",
        "learning_rate": 1e-5,
        "day": "2024-01-02",
        "bf16": True,
        "name": 1000,
        "empty": None,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3 sets 'a' again"),
        ("- a\n- b\n", "holds a list, but a recipe is a mapping"),
        ("a: [1, 2\n", "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_recipe_says_why(recipe, text, message):
    with pytest.raises(ConfigError, match=message):
        read_recipe(recipe(text))


def test_an_empty_recipe_sets_nothing(recipe):
    assert read_recipe(recipe("# nothing yet\n")) == {}


def test_a_missing_recipe_names_the_shipped_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"No recipe at nowhere/x.yaml \(looked in .*"):
        read_recipe("nowhere/x.yaml")


def test_shipped_recipes_are_found_from_any_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in shipped_recipes():
        assert find_recipe(name) == find_recipe(f"recipes/{name}")


def test_a_file_of_the_working_directory_goes_before_a_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in shipped_recipes()[:1]:
        own = tmp_path / "recipes" / name
        own.parent.mkdir(parents=True)
        own.write_text("seed: 1\n")
        assert read_recipe(f"recipes/{name}") == {"seed": 1}


def test_flags_read_as_yaml_reads_and_win_over_the_recipe():
    argv = "--learning-rate 1e-5 --packing --no_bf16 --loss_type sigmoid ipo --max_steps=-1 --seed -3 --name x".split()
    assert merge_flags({"learning_rate": 1.0, "beta": 0.1}, argv) == {
        "learning_rate": 1e-5,
        "beta": 0.1,
        "packing": True,
        "bf16": False,
        "loss_type": ["sigmoid", "ipo"],
        "max_steps": -1,
        "seed": -3,
        "name": "x",
    }


def test_a_flag_with_text_that_looks_like_yaml_stays_text_and_a_mapping_is_read():
    read = read_flags(["--prompt", "Answer: yes or no?", "--kwargs", '{"dtype": "float32"}', "--a", "[1, 2]"])
    assert read == {"prompt": "Answer: yes or no?", "kwargs": {"dtype": "float32"}, "a": [1, 2]}


@pytest.mark.parametrize(
    ("argv", "message"),
    [(["-x", "1"], "'-x' is no setting. Write --key value"), (["loose"], "'loose' stands before any --key")],
)
def test_arguments_that_are_no_settings_are_refused(argv, message):
    with pytest.raises(ConfigError, match=message):
        read_flags(argv)


def test_an_unknown_key_names_its_file_and_its_nearest_neighbour():
    with pytest.raises(ConfigError, match="x.yaml: unknown key 'learning_rat'. Did you mean 'learning_rate'?"):
        check_keys({"beta": 1, "learning_rat": 2}, {"beta", "learning_rate"}, "x.yaml")
    with pytest.raises(ConfigError, match="command line: unknown key --shar. Did you mean 'share'?"):
        check_keys({"shar": "mask"}, {"share"}, COMMAND_LINE)
    check_keys({"beta": 1}, {"beta"}, "x.yaml")


KINDS = {
    "learning_rate": float,
    "max_length": int | None,
    "bf16": bool,
    "loss_type": list[str],
    "share": typing.Literal["auto", "mask", "plain"],
    "report_to": None | str | list[str],
    "betas": typing.Optional[list[float]],  # noqa: UP045  (TRL's hints arrive in both spellings)
    "kwargs": dict[str, typing.Any] | str | None,
}


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("learning_rate", "1e-5", 1e-5),
        ("learning_rate", 1, 1.0),
        ("max_length", "None", None),
        ("max_length", 1e3, 1000),
        ("bf16", "yes", True),
        ("loss_type", "ipo", ["ipo"]),
        ("share", "mask", "mask"),
        ("report_to", "none", "none"),
        ("betas", [0, 1], [0.0, 1.0]),
        ("kwargs", {"a": 1}, {"a": 1}),
        ("other", object, object),
    ],
)
def test_values_are_read_as_their_annotation_wants(key, value, read):
    checked = check_values({key: value}, KINDS, "x.yaml")[key]
    assert checked == read and type(checked) is type(read)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("learning_rate", "fast", "x.yaml: learning_rate must be float, but is 'fast'"),
        ("learning_rate", True, "must be float, but is True"),
        ("max_length", 1.5, "max_length must be int or None, but is 1.5"),
        ("bf16", "maybe", "bf16 must be bool"),
        ("share", "masks", "share must be one of 'auto', 'mask', 'plain', but is 'masks'"),
    ],
)
def test_a_value_of_another_kind_is_refused(key, value, message):
    with pytest.raises(ConfigError, match=message):
        check_values({key: value}, KINDS, "x.yaml")


def test_env_of_a_recipe_is_set_and_taken_out(monkeypatch):
    monkeypatch.setenv("SIGHTLINE_TEST_VARIABLE", "before")
    assert set_environment({"env": {"SIGHTLINE_TEST_VARIABLE": 3}, "beta": 1}, "x.yaml") == {"beta": 1}
    assert os.environ["SIGHTLINE_TEST_VARIABLE"] == "3"
    with pytest.raises(ConfigError, match="env must be a mapping"):
        set_environment({"env": "A=1"}, "x.yaml")
