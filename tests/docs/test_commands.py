"""Every command in README, documentation and recipes has verbs, flags, keys, tasks and profiles that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import typer.main
import yaml

from sightline.cli.verbs import VERBS, build_app
from sightline.evaluation.tasks.registry import TASKS, load_task
from sightline.training.arguments import read_settings
from sightline.training.dpo import DPOConfig
from sightline.training.sft import SFTConfig
from sightline.training.vilt.settings import read_vilt_settings
from tests.docs.blocks import COMMANDS, LANGUAGES, Block, blocks, recipe_commands
from tests.project_tree import ROOT

BLOCKS = blocks()
WITH_COMMANDS = [block for block in (*BLOCKS, *recipe_commands()) if block.language in COMMANDS]
LAUNCHERS = ("torchrun", "accelerate")
OTHERS = ("make", "pip", "lmms-eval", *LAUNCHERS)
KEYS: dict[str, Callable[[list[str]], Any]] = {
    "sft": lambda given: read_settings(given, SFTConfig),
    "dpo": lambda given: read_settings(given, DPOConfig),
    "preview": lambda given: read_settings(given, SFTConfig),
    "doctor": lambda given: read_settings(given, SFTConfig),
    "vilt": read_vilt_settings,
}
every_block = pytest.mark.parametrize("block", WITH_COMMANDS, ids=lambda block: block.place)


def parsed(arguments: list[str]) -> list[Any]:
    """The contexts that the real parser makes of a command line, the command's own last; nothing is run."""
    contexts: list[Any] = []
    command, name = typer.main.get_command(build_app()), "sightline"
    while True:
        context = command.make_context(name, list(arguments), parent=contexts[-1] if contexts else None)
        contexts.append(context)
        if not hasattr(command, "resolve_command"):
            return contexts
        rest = [*context._protected_args, *context.args]
        name, command, arguments = command.resolve_command(context, rest)


def check(arguments: list[str]) -> None:
    """Nothing where the line could be run, given its files; the parser's own error where it could not."""
    context = parsed(arguments)[-1]
    given = context.params
    keys = [*(["--config", given["config"]] if given.get("config") else []), *context.args]
    if arguments[0] in ("sft", "dpo", "doctor") or arguments[:2] == ["data", "preview"]:
        KEYS[arguments[1] if arguments[0] == "data" else arguments[0]](keys)
    elif arguments[0] == "vilt" and context.args:
        KEYS["vilt"](keys)
    for task in filter(None, (given.get("tasks") or "").split(",")):
        assert task in TASKS
        assert not given.get("profile") or given["profile"] in load_task(task).scorers


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A folder with the recipe that pages speak of, and no other file."""
    monkeypatch.setenv("SIGHTLINE_SHARED", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text("preset: nano\ndataset_name: train.jsonl\noutput_dir: runs/one\n")


def test_pages_have_blocks_of_known_languages_alone():
    unknown = [block.place for block in BLOCKS if block.language not in LANGUAGES]
    assert unknown == [], f"a block begins with one of {', '.join(LANGUAGES)}"
    assert len(WITH_COMMANDS) > 25


def test_what_is_marked_says_what_it_needs_and_is_a_block_of_commands_or_python():
    pages = {path: (ROOT / path).read_text(encoding="utf-8") for path in {block.page for block in BLOCKS}}
    marks = sum(text.count("<!-- needs:") for text in pages.values())
    assert marks == sum(bool(block.needs) for block in BLOCKS), "a mark stands in the line above its block"
    assert all(block.language in (*COMMANDS, "python") for block in BLOCKS if block.needs)


@every_block
def test_every_command_could_be_run(block, recipe):
    profiles: dict[str, list[str]] = {}
    for words in block.commands():
        program = words[0].rsplit("/", 1)[-1]
        if program in LAUNCHERS:
            place = words.index("sightline.cli.main" if "sightline.cli.main" in words else "sightline")
            check(words[place + 1 :])
        elif program == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M)
        elif program == "sightline":
            arguments = [word.replace("recipes/NAME.yaml", "recipes/easy_vqa.yaml") for word in words[1:]]
            check(arguments)
            given = parsed(arguments)[-1].params
            if arguments[0] == "eval" and given["output_dir"]:
                profiles[str(given["output_dir"])] = list(filter(None, given["tasks"].split(",")))
            if arguments[0] == "score" and given["profile"]:
                for task in profiles[str(given["run"])]:
                    assert given["profile"] in load_task(task).scorers, f"{task} has no profile {given['profile']}"
        else:
            assert program in OTHERS, f"{block.place}: {program} is no program that this test knows"


@pytest.mark.parametrize(
    "line",
    ["sft --no_such_key 1", "dpo --learning_rat 1", "eval --modle x", "vilt vqa --epochz 3", "data chek x", "score"],
)
def test_a_line_with_a_flag_or_verb_that_does_not_exist_is_found(line, recipe):
    with pytest.raises(Exception, match=r"(?i)no_such_key|learning_rat|modle|epochz|chek|RUN"):
        check(line.split())


@pytest.mark.parametrize(
    "block", [one for one in BLOCKS if one.language in ("python", "json", "yaml")], ids=lambda b: b.place
)
def test_python_compiles_and_data_can_be_read(block: Block):
    if block.language == "python":
        compile(block.text, block.place, "exec")
    elif block.language == "yaml":
        yaml.safe_load(block.text)
    else:
        decoder, rest = json.JSONDecoder(), block.text.strip()
        while rest:
            _, end = decoder.raw_decode(rest)
            rest = rest[end:].strip()


def test_readme_shows_every_verb():
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [verb.name for verb in VERBS if f"`sightline {verb.name}" not in shown] == []


def test_the_readme_of_the_package_links_no_file_that_it_lacks():
    text = (ROOT / "docs" / "package.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((?!https://)[^)]*\)|<img", text) == []
    assert "make " not in text and text.index("pip install sightline") < text.index("sightline demo")
