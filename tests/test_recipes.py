"""Every shipped recipe loads, is listed, and says in its header how to run it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sightline.config import recipes_folder, shipped_recipes
from sightline.training.arguments import read_settings
from sightline.training.dpo import DPOConfig
from sightline.training.sft import SFTConfig
from sightline.training.vilt.settings import read_vilt_settings

CONFIGS: dict[str, Any] = {"sft": SFTConfig, "dpo": DPOConfig}

every_recipe = pytest.mark.parametrize("name", shipped_recipes())


def header(name: str) -> str:
    """The comment at the top of a recipe."""
    lines = (recipes_folder() / name).read_text(encoding="utf-8").splitlines()
    return "\n".join(line.lstrip("# ") for line in lines[: next(i for i, line in enumerate(lines) if line[:1] != "#")])


def verb_of(name: str) -> str:
    """The verb of the command that the header gives; of a group's, both words."""
    found = re.search(rf"sightline (\w+(?: \w+)?) --config recipes/{re.escape(name)}", header(name))
    assert found, f"the header of recipes/{name} must hold its command: sightline VERB --config recipes/{name}"
    return found.group(1)


@every_recipe
def test_each_recipe_loads_with_keys_and_values_that_its_command_takes(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTLINE_SHARED", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    argv = ["--config", f"recipes/{name}", "--output_dir", str(tmp_path / "out")]
    verb = verb_of(name)
    given = (read_vilt_settings(argv) if verb.startswith("vilt ") else read_settings(argv, CONFIGS[verb])).given
    assert given["output_dir"] == str(tmp_path / "out")


@every_recipe
def test_each_recipe_opens_with_a_sentence(name):
    assert re.match(r"\S.+\.$", header(name).split("\n")[0])


def test_the_list_of_recipes_is_complete():
    table = (recipes_folder() / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[([\w/]+\.yaml)\]", table, flags=re.MULTILINE)
    assert sorted(listed) == shipped_recipes(), "recipes/README.md must list each recipe in its table"
