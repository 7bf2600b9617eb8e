"""The public names: typed, documented, imported at first use; `ask` answers as the answerer of a run does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import sightline
from sightline.answering.local import LocalAnswerer
from sightline.data.pictures.images import opened
from sightline.errors import ConfigError, DataError
from sightline.models.load import LoadedVlm
from sightline.types import Question
from tests.project_tree import ROOT
from tests.python_reference import GROUPS, TARGET, render_reference
from tests.tiny import picture, tiny_llava, tiny_processor

WELL_TYPED = """
from typing import assert_type

from sightline import DataChoice, EvalConfig, ask, load_vlm, run_compare, run_eval

vlm = load_vlm("runs/mine")
assert_type(ask(vlm, "photo.jpg", "what is it?"), str)
result = run_eval(EvalConfig("runs/mine", choice=DataChoice("rows.jsonl"), output_dir="scores"))
assert result is not None
assert_type(result.tasks["custom"].scores.metrics[0].interval.value, float)
assert_type(run_compare("a", "b").tasks["custom"].p_value, float)
"""
WRONG = """
from sightline import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer, ask, run_compare

ask(3, "photo.jpg", "what is it?")
ask("runs/mine", "photo.jpg", "what is it?", max_tokens=3)
run_compare("a")
"""


@pytest.fixture(scope="module")
def loaded() -> LoadedVlm:
    return LoadedVlm(tiny_llava().eval(), tiny_processor(), "tiny")


@pytest.fixture
def saved(loaded: LoadedVlm, tmp_path: Path) -> Path:
    loaded.model.save_pretrained(tmp_path / "model")
    loaded.processor.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_ask_gives_the_answer_of_a_run_for_a_file_its_bytes_and_an_open_image(loaded, saved, tmp_path):
    file = tmp_path / "a.png"
    picture(1).save(file)
    (expected,) = LocalAnswerer(loaded).answer([Question("what is it ?", (opened(picture(1)),), 4)])
    for image in (file, str(file), file.read_bytes(), Image.open(file)):
        assert sightline.ask(loaded, image, "what is it ?", max_new_tokens=4) == expected.text
    assert sightline.ask(saved, file, "what is it ?", max_new_tokens=4) == expected.text
    assert sightline.ask(loaded, file, "<image> what is it ?", max_new_tokens=4) == expected.text


def test_ask_says_what_cannot_be_asked(loaded, tmp_path):
    with pytest.raises(DataError, match="none.png"):
        sightline.ask(loaded, tmp_path / "none.png", "what is it ?")
    with pytest.raises(ConfigError, match="max_new_tokens: expected at least 1, got 0"):
        sightline.ask(loaded, picture(1), "what is it ?", max_new_tokens=0)
    with pytest.raises(DataError, match="2"):
        sightline.ask(loaded, picture(1), "<image> <image> what is it ?")


def test_every_public_name_is_imported_at_first_use_and_documented():
    documented = [name for names in GROUPS.values() for name in names]
    assert sorted(sightline.__all__) == sorted(sightline._HOMES) == sorted(documented)
    for name in sightline.__all__:
        assert getattr(sightline, name).__module__.startswith("sightline.")


def test_python_md_is_written_from_the_docstrings():
    assert TARGET.read_text(encoding="utf-8") == render_reference(), "run `make docs`"


@pytest.mark.slow
def test_mypy_knows_the_types_of_the_public_names(tmp_path):
    assert (ROOT / "src" / "sightline" / "py.typed").is_file()
    (tmp_path / "well.py").write_text(WELL_TYPED)
    examples = [str(ROOT / "examples" / f"{name}.py") for name in ("sft_own_data", "dpo", "evaluate", "compare")]
    (tmp_path / "wrong.py").write_text(WRONG)
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--no-error-summary"]
    files = [str(tmp_path / "well.py"), str(tmp_path / "wrong.py"), *examples]
    command = [sys.executable, "-m", "mypy", *settings, *files]
    found = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT)
    lines = [line for line in found.stdout.splitlines() if "error" in line]
    assert [line.rsplit("[")[-1] for line in lines] == ["arg-type]", "call-arg]", "call-arg]"], (
        found.stdout + found.stderr
    )
    assert all("wrong.py" in line for line in lines)
