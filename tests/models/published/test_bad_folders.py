"""Each published folder that is damaged, dangerous or another's ends a command in one message, before any answer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sightline.cli.main import run
from tests.models.folders import plant_pickle
from tests.models.published.makers import MAKERS
from tests.tiny import picture

NAMES = list(MAKERS)
# A size that config.json tells; moondream2's tells none.
SIZES = {
    "llava": ("intermediate_size",),
    "deepseek-vl": ("language_config", "intermediate_size"),
    "yi-vl": ("intermediate_size",),
    "qwen-vl": ("intermediate_size",),
    "qwen-vl-chat": ("intermediate_size",),
    "cogvlm": ("intermediate_size",),
}


@pytest.fixture(scope="module", params=NAMES)
def whole(request, tmp_path_factory):
    return MAKERS[request.param](tmp_path_factory.mktemp("whole") / "model"), request.param


@pytest.fixture
def folder(whole, tmp_path):
    return Path(shutil.copytree(whole[0], tmp_path / "model"))


@pytest.fixture
def refused(tmp_path, capsys):
    """Asks the folder, which must end in one message; gives it."""
    picture(0).save(tmp_path / "a.png")

    def ask(folder: Path) -> str:
        capsys.readouterr()
        assert run(["ask", str(folder), str(tmp_path / "a.png"), "Is it red?", "--max_new_tokens", "2"]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        told = [line for line in said.err.splitlines() if line.strip() and "which Sightline never runs" not in line]
        assert len(told) == 1 and told[0].startswith("error: "), said.err
        return told[0]

    return ask


def weights(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin"))


def test_a_shard_that_is_missing_is_told(folder, refused):
    weights(folder)[-1].unlink()
    assert str(folder) in refused(folder)


def test_a_pickle_with_code_is_refused_and_never_run(folder, refused, tmp_path):
    for path in (*weights(folder), *folder.glob("*.index.json")):
        path.unlink()
    plant_pickle(folder / "pytorch_model.bin", tmp_path / "was_run")
    assert "pytorch_model.bin" in refused(folder)
    assert not (tmp_path / "was_run").exists()


def test_a_config_that_lies_about_a_size_is_told(whole, folder, refused):
    *around, name = next((path for kind, path in SIZES.items() if whole[1].startswith(kind)), ("none",))
    settings = inner = json.loads((folder / "config.json").read_text())
    for key in around:
        inner = inner[key]
    if name not in inner:
        pytest.skip("its config.json tells no size")
    inner[name] *= 2
    (folder / "config.json").write_text(json.dumps(settings))
    assert "config.json" in refused(folder)


def test_weights_of_another_family_are_told(whole, folder, refused, tmp_path):
    other = NAMES[(NAMES.index(whole[1]) + 4) % len(NAMES)]
    for path in (*weights(folder), *folder.glob("*.index.json")):
        path.unlink()
    made = MAKERS[other](tmp_path / "other")
    for path in (*weights(made), *made.glob("*.index.json")):
        shutil.copy(path, folder)
    assert str(folder) in refused(folder)


def test_a_tokenizer_that_is_missing_is_asked_for(folder, refused):
    for path in {*folder.glob("*token*"), *folder.glob("vocab*"), *folder.glob("merges*")}:
        path.unlink()
    assert "tokenizer" in refused(folder)
