"""What is said of how a model is asked is what its processor writes and its settings of generation say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import GenerationConfig

from sightline.inspection.asking import AskingForm, asking_form
from sightline.training.source import ModelSource
from tests.families.tiny_families import saved_family
from tests.inspection.planned import planned_run
from tests.tiny import vqa_rows


@pytest.fixture
def plan(tmp_path: Path):
    return planned_run(tmp_path, vqa_rows(2, 1))


def test_prompt_stops_and_settings_are_the_models_own(plan, tmp_path: Path) -> None:
    model, processor = saved_family("llava", tmp_path / "llava")
    settings = GenerationConfig(eos_token_id=[2, 1], stop_strings=["###"], do_sample=True, temperature=0.2)
    settings.save_pretrained(tmp_path / "llava")
    form = asking_form(replace(plan, source=ModelSource(str(tmp_path / "llava"), processor)))
    assert "{question}" in form.prompt and "<image>" in form.prompt
    assert form.picture == "at <image> (id 4)"
    assert form.stops == "</s> (id 2), <s> (id 1), '###'"
    assert form.settings == "do_sample True, temperature 0.2"


@pytest.mark.parametrize(
    ("family", "picture"),
    [
        ("fuyu", "in front of the prompt, and not named in the prompt; '<0x04>' is written behind the prompt"),
        ("kosmos-2", "in front of the prompt, and not named in the prompt"),
        ("cogvlm", "behind the start token, and not named in the prompt"),
    ],
)
def test_a_picture_that_the_prompt_does_not_name_is_told(plan, tmp_path: Path, family: str, picture: str) -> None:
    model, processor = saved_family(family, tmp_path / "model")
    form = asking_form(replace(plan, source=ModelSource(model, processor)))
    assert (form.prompt, form.picture) == ("", picture)
    assert form.stops == "</s> (id 2)"


def test_what_is_not_there_is_said() -> None:
    pairs = dict(AskingForm("", "at <image> (id 4)", "", "").pairs)
    assert "--chat_template" in pairs["prompt"] and pairs["answers end at"] == "nothing of the model's own"
    assert dict(AskingForm("a\nb", "", "", "").pairs)["prompt"] == "a\N{RETURN SYMBOL}\nb"
