"""Recipes and flags: what they expand to, which key wins, how a wrong one is named."""

from __future__ import annotations

import os
import re
import typing
from pathlib import Path

import pytest

from sightline.cli.main import run
from sightline.config import (
    COMMAND_LINE,
    check_values,
    find_recipe,
    place,
    read_recipe,
    set_environment,
    shipped_recipes,
)
from sightline.errors import ConfigError
from sightline.settings.given import read_flags


@pytest.fixture
def recipe(tmp_path: Path) -> typing.Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return path

    return write


def read(path: Path, **kinds: typing.Any) -> dict[str, typing.Any]:
    """The settings of a recipe, each as its kind wants it, and as YAML 1.2 reads it where it has none."""
    return check_values(read_recipe(path), kinds, path.name)


def test_variables_expand_at_any_depth_and_defaults_fill_what_is_not_set(recipe, monkeypatch):
    monkeypatch.setenv("DATA", "/data")
    monkeypatch.delenv("STEPS", raising=False)
    path = recipe("train: ${DATA}/a.jsonl\nmax_steps: ${STEPS:-12}\nnested: {files: ['${DATA}/b', plain]}\n")
    assert read(path) == {"train": "/data/a.jsonl", "max_steps": 12, "nested": {"files": ["/data/b", "plain"]}}


def test_a_variable_without_value_or_default_is_an_error_that_names_key_and_remedy(recipe, monkeypatch):
    monkeypatch.delenv("DATA", raising=False)
    with pytest.raises(ConfigError, match=r"recipe.yaml: train uses \$\{DATA\}, which is not set. Set DATA, or write"):
        read_recipe(recipe("train: ${DATA}/a.jsonl\n"))


def test_words_that_yaml_1_1_takes_for_truth_values_numbers_and_dates_stay_words(recipe):
    path = recipe(
        "eval_strategy: no\nlearning_rate: 1e-5\nday: 2024-01-02\nbf16: true\nname: 1_000\ntime: 12:30\nempty:\n"
    )
    assert read(path) == {
        "eval_strategy": "no",
        "learning_rate": 1e-5,
        "day": "2024-01-02",
        "bf16": True,
        "name": "1_000",
        "time": "12:30",
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
        assert read_recipe(f"recipes/{name}") == {"seed": "1"}


def test_flags_without_a_kind_read_as_yaml_reads():
    argv = "--learning-rate 1e-5 --packing --no_bf16 --loss_type sigmoid ipo --max_steps=-1 --shift -3 --name x".split()
    assert check_values(read_flags(argv), {}, COMMAND_LINE) == {
        "learning_rate": 1e-5,
        "packing": True,
        "bf16": False,
        "loss_type": ["sigmoid", "ipo"],
        "max_steps": -1,
        "shift": -3,
        "name": "x",
    }


def test_a_flag_with_text_that_looks_like_yaml_stays_text_and_a_mapping_is_read():
    read = read_flags(["--prompt", "Answer: yes or no?", "--kwargs", '{"dtype": "float32"}', "--a", "[1, 2]"])
    assert check_values(read, {}, COMMAND_LINE) == {
        "prompt": "Answer: yes or no?",
        "kwargs": {"dtype": "float32"},
        "a": [1, 2],
    }


TYPED = [
    "010", "0x10", "1e3", "1_000", "20261129_1840", "12:30", "true", "no", "null", "~x", "exp #3", "a: b", "[a", "[a]",
    "{a: 1}", "!x", "&x", "*x", "%x", "@x", "`x", "'x'", '"x"', "- x", "? x", "|", ">", "a\tb", " x ", "é日本🙂", "",
    "-1", "2024-01-02", ".5", "+1", "=", "<<", "a\nb", "none", "1.0",
]  # fmt: skip


@pytest.mark.parametrize("typed", TYPED)
@pytest.mark.parametrize("kind", [str, str | None, typing.Optional[str]])  # noqa: UP045
def test_text_on_the_command_line_stays_as_it_is_typed(typed, kind):
    for argv in ([f"--run_name={typed}"], ["--run_name", typed])[: 1 if typed.startswith("- ") else 2]:
        assert check_values(read_flags(argv), {"run_name": kind}, COMMAND_LINE) == {"run_name": typed}


@pytest.mark.parametrize("typed", ["010", "true", "1e3", "a: b", "x #2", "&x", "no"])
def test_texts_of_a_list_stay_as_they_are_typed(typed):
    kinds = {"lora_target_modules": list[str] | None, "report_to": None | str | list[str]}
    for argv in (["--lora_target_modules", typed], ["--lora_target_modules", typed, "q"]):
        given = check_values(read_flags(argv), kinds, COMMAND_LINE)
        assert given == {"lora_target_modules": [typed, *argv[2:]]}
    assert check_values(read_flags(["--report_to", typed]), kinds, COMMAND_LINE) == {"report_to": typed}


@pytest.mark.parametrize(
    ("kind", "typed", "read"),
    [
        (list[str] | None, "[q_proj, 010, no]", ["q_proj", "010", "no"]),
        (None | str | list[str], "[a, b]", ["a", "b"]),
        (list[float] | None, "[0.9, 1]", [0.9, 1.0]),
        (list[str] | None, "null", None),
        (int, "010", 10),
        (int, "1_000", 1000),
        (int | None, "1e3", 1000),
        (int | str | None, "8", 8),
        (bool | str | None, "true", True),
        (bool | str | None, "out/checkpoint-010", "out/checkpoint-010"),
        (str | bool, "no", "no"),
        (typing.Literal["8", 16], "8", "8"),
        (typing.Literal["8", 16], "16", 16),
        (None | str | typing.Literal[False], "false", False),
        (dict[str, typing.Any] | str | None, "{lr: 1e-5, at: 010, on: yes}", {"lr": 1e-5, "at": 10, "on": "yes"}),
        (dict | str | None, "ds.json", "ds.json"),
    ],
)
def test_lists_mappings_numbers_and_truth_values_are_read_where_they_are_wanted(kind, typed, read):
    value = check_values(read_flags(["--key", typed]), {"key": kind}, COMMAND_LINE)["key"]
    assert value == read and type(value) is type(read)


def test_text_in_a_recipe_stays_as_it_is_written(recipe):
    path = recipe("output_dir: 010\nrun_name: true\nday: 1e3\nhub_model_id: null\nquoted: '0x1'\nseed: 007\n")
    kinds = {"output_dir": str | None, "run_name": str, "day": str, "hub_model_id": str | None, "quoted": str}
    assert read(path, **kinds, seed=int) == {
        "output_dir": "010",
        "run_name": "true",
        "day": "1e3",
        "hub_model_id": None,
        "quoted": "0x1",
        "seed": 7,
    }


def test_a_recipes_setting_is_taken_back_by_its_name_with_no(recipe):
    kinds = {"preset": str | None, "max_length": int | None, "bf16": bool | None, "sizes": list[int] | None}
    argv = ["--no_preset", "--no_max_length", "--no_bf16", "--no_sizes"]
    given = check_values(read_flags(argv), kinds, COMMAND_LINE)
    assert given == {"preset": None, "max_length": None, "bf16": False, "sizes": None}
    with pytest.raises(ConfigError, match="--seed must be int, but is False"):
        check_values(read_flags(["--no_seed"]), {"seed": int}, COMMAND_LINE)


def test_home_and_variables_mean_the_same_in_a_path_of_a_flag_and_of_a_recipe(recipe, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("RUN", "010")
    typed = {"output_dir": "~/${RUN}", "run_name": "~/x", "data_files": "[~/a, '${NO_SUCH:-b}']"}
    flags = read_flags([word for key, value in typed.items() for word in (f"--{key}", value)])
    kinds = {"output_dir": str, "run_name": str, "data_files": str | list[str] | None}
    read_both = [check_values(flags, kinds, COMMAND_LINE)]
    read_both.append(read(recipe("".join(f"{key}: {value}\n" for key, value in typed.items())), **kinds))
    for given in read_both:
        assert given == {"output_dir": "/home/ada/010", "run_name": "~/x", "data_files": ["/home/ada/a", "b"]}


def test_a_path_with_an_unknown_variable_or_home_is_refused(monkeypatch):
    monkeypatch.delenv("NO_SUCH", raising=False)
    with pytest.raises(ConfigError, match=r"command line: --output_dir uses \$\{NO_SUCH\}, which is not set"):
        check_values(read_flags(["--output_dir", "${NO_SUCH}/x"]), {"output_dir": str}, COMMAND_LINE)
    with pytest.raises(ConfigError, match="there is no home folder for '~nobody-of-that-name/x'"):
        place("~nobody-of-that-name/x", "model")


@pytest.mark.parametrize(
    ("argv", "message"),
    [(["-x", "1"], "'-x' is no setting. Write --key value"), (["loose"], "'loose' stands before any --key")],
)
def test_arguments_that_are_no_settings_are_refused(argv, message):
    with pytest.raises(ConfigError, match=message):
        read_flags(argv)


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


@pytest.mark.parametrize(
    ("key", "kind", "value", "message"),
    [
        ("per_device_train_batch_size", int, "1" + 30 * "0", "batch_size must be an integer of 64 bits"),
        ("max_steps", int, 1e30, "an integer of 64 bits"),
        ("learning_rate", float, "nan", "learning_rate must be a finite number, but is nan"),
        ("num_train_epochs", float, float("inf"), "a finite number, but is inf"),
        ("loss_weights", list[float] | None, [1.0, float("nan")], "a finite number"),
        ("lr_scheduler_kwargs", dict, {"power": float("nan")}, "a finite number"),
        ("seed", int, "-1", "seed must be a whole number from 0 to 4,294,967,295, but is -1"),
        ("seed", int, 2**32, "a whole number from 0 to"),
    ],
)
def test_numbers_that_nothing_can_count_or_compute_with_are_refused(key, kind, value, message):
    with pytest.raises(ConfigError, match=f"r.yaml: .*{message}"):
        check_values({key: value}, {key: kind}, "r.yaml")


def test_gradients_may_go_unclipped_and_large_numbers_be_counted():
    settings = {"max_grad_norm": "inf", "max_steps": 2**62, "seed": 2**32 - 1}
    kinds = {"max_grad_norm": float, "max_steps": int, "seed": int}
    assert check_values(settings, kinds, "r.yaml") == {**settings, "max_grad_norm": float("inf")}


@pytest.mark.parametrize(
    "arguments",
    [
        ["eval", "--data", "x.jsonl", "--model", "m", "--limit", "9" * 30],
        ["data", "preview", "x.jsonl", "--limit", "9" * 30],
        ["data", "synthesize", "x.jsonl", "--kind", "paraphrase", "--output_path", "o.jsonl", "--temperature", "nan"],
        ["build", "out", "--preset", "nano", "--seed", "-1"],
        ["sft", "--preset", "nano", "--dataset_name", "x.jsonl", "--learning_rate", "nan"],
    ],
)
def test_every_verb_refuses_them_in_a_line(arguments, capsys):
    assert run(arguments) == 2
    assert re.search(r"must be (an integer of 64|a finite number|a whole number from 0)", capsys.readouterr().err)
