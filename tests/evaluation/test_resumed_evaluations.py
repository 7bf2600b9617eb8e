"""An evaluation goes on with what it began with, or not at all; no answer of another model or prompt is taken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig

from sightline.answering.answerers import local_answering
from sightline.cli.main import run
from sightline.models.load import load_vlm
from tests.tiny import picture, tiny_folder, tiny_llava

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, an adapter of it, rows, and a finished evaluation of the model and of the adapter."""
    folder = tmp_path_factory.mktemp("begun")
    tiny_folder(folder / "model", 1)
    adapted = get_peft_model(tiny_llava(1), LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"]))
    torch.manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    adapted.save_pretrained(folder / "adapter")
    with open(folder / "rows.jsonl", "w") as file:
        for index in range(4):
            picture(index).save(folder / f"{index}.png")
            file.write(json.dumps({"image": f"{index}.png", "question": "is it red ?", "answer": "no"}) + "\n")
    assert run(command(folder, "run")) == 0
    assert run(command(folder, "adapted", "--adapter", str(folder / "adapter"))) == 0
    return folder


@pytest.fixture
def folder(begun: Path, tmp_path: Path) -> Path:
    shutil.copytree(begun, tmp_path / "copy")
    return tmp_path / "copy"


def command(folder: Path, output: str, *more: str) -> list[str]:
    given = ["--model", str(folder / "model"), "--data", str(folder / "rows.jsonl"), "--max_new_tokens", "3"]
    return ["eval", *given, "--output_dir", str(folder / output), *more]


def edit(path: Path, **settings: Any) -> None:
    """Sets entries of a JSON file, by dotted names."""
    content = json.loads(path.read_text())
    for name, value in settings.items():
        *parents, last = name.split("__")
        place = content
        for parent in parents:
            place = place[parent]
        place[last] = value
    path.write_text(json.dumps(content))


def other_layer(folder: Path) -> None:
    edit(folder / "model" / "config.json", vision_feature_layer=-2)


def other_rope(folder: Path) -> None:
    edit(folder / "model" / "config.json", text_config__rope_parameters__rope_theta=100.0)


def other_scale(folder: Path) -> None:
    edit(folder / "adapter" / "adapter_config.json", lora_alpha=64)


def other_penalty(folder: Path) -> None:
    GenerationConfig(eos_token_id=2, pad_token_id=0, bos_token_id=1, repetition_penalty=3.0).save_pretrained(
        folder / "model"
    )


def other_words(folder: Path) -> None:
    tokenizer = folder / "model" / "tokenizer.json"
    content = json.loads(tokenizer.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["red"], vocabulary["blue"] = vocabulary["blue"], vocabulary["red"]
    tokenizer.write_text(json.dumps(content))


def other_pixels(folder: Path) -> None:
    edit(folder / "model" / "processor_config.json", image_processor__image_mean=[0.1, 0.2, 0.3])


def other_weights(folder: Path) -> None:
    tiny_llava(2).save_pretrained(folder / "model")


def other_question(folder: Path) -> None:
    rows = (folder / "rows.jsonl").read_text()
    (folder / "rows.jsonl").write_text(rows.replace("is it red ?", "is it blue ?", 1))


def other_picture(folder: Path) -> None:
    picture(77).save(folder / "2.png")


def fewer_rows(folder: Path) -> None:
    rows = (folder / "rows.jsonl").read_text().splitlines(keepends=True)
    (folder / "rows.jsonl").write_text("".join(rows[:2]))


MODELS: list[tuple[Change, str, str]] = [
    (other_layer, "run", "answers.model_settings.vision_feature_layer -1, now -2"),
    (other_rope, "run", "answers.model_settings.text_config.rope_parameters.rope_theta 10000.0, now 100.0"),
    (other_scale, "adapted", "answers.adapter_settings.default.lora_alpha 4, now 64"),
    (other_penalty, "run", "answers.decoding.repetition_penalty 1.0, now 3.0"),
    (other_words, "run", "answers.tokenizer "),
    (other_pixels, "run", "answers.processor_settings.image_mean"),
    (other_weights, "run", "answers.weights "),
]


def adapter(folder: Path, output: str) -> list[str]:
    return ["--adapter", str(folder / "adapter")] if output == "adapted" else []


@pytest.mark.parametrize(
    ("change", "output", "said"),
    [
        *MODELS,
        (other_question, "run", "task.custom.items 4 of content"),
        (other_picture, "run", "task.custom.items 4 of content"),
        (fewer_rows, "run", "task.custom.items 4 of content"),
    ],
)
def test_an_evaluation_is_not_resumed_with_another_model_or_other_rows(
    change: Change, output: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(folder)
    assert run(command(folder, output, *adapter(folder, output), "--resume")) == 2
    printed = capsys.readouterr().err
    assert f"{output} holds a run that began with" in printed and said in printed


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--max_new_tokens 5", "task.custom.max_new_tokens 3, now 5"),
        ("--method likelihood", "method generate, now likelihood"),
    ],
)
def test_an_evaluation_is_not_resumed_with_other_settings(
    given: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command(folder, "run", *given.split(), "--resume")) == 2
    assert said in capsys.readouterr().err


def test_the_same_command_goes_on_wherever_the_folder_was_moved(folder: Path) -> None:
    before = (folder / "run" / "journal" / "0.jsonl").read_bytes()
    assert run(command(folder, "run", "--resume")) == 0
    assert (folder / "run" / "journal" / "0.jsonl").read_bytes() == before, "nothing is asked twice"


def test_a_limit_may_be_lifted(folder: Path) -> None:
    shutil.rmtree(folder / "run")
    assert run(command(folder, "run", "--limit", "2")) == 0
    assert run(command(folder, "run", "--resume")) == 0
    assert len((folder / "run" / "journal" / "0.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize(("change", "output", "said"), MODELS)
def test_answers_of_another_model_are_never_taken(change: Change, output: str, said: str, folder: Path) -> None:
    change(folder)
    (folder / output / "begun.json").unlink()
    assert run(command(folder, output, *adapter(folder, output), "--resume")) == 0
    assert len((folder / output / "journal" / "0.jsonl").read_text().splitlines()) == 8, "all were asked anew"
    assert run(command(folder, "fresh", *adapter(folder, output))) == 0
    resumed, fresh = ((folder / name / "samples.jsonl").read_text() for name in (output, "fresh"))
    assert resumed == fresh


def test_compare_names_the_settings_of_models_with_the_same_weights(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other_layer(folder)
    other_rope(folder)
    assert run(command(folder, "other")) == 0
    run(["compare", str(folder / "run"), str(folder / "other"), "--json"])
    printed = capsys.readouterr().out
    assert "vision_feature_layer -1 in A, -2 in B" in printed
    assert "text_config.rope_parameters.rope_theta 10000.0 in A, 100.0 in B" in printed
    assert "weights differ" not in printed


def test_a_model_edited_in_place_is_another_one(begun: Path) -> None:
    loaded = load_vlm(str(begun / "model"), device="cpu")
    before = local_answering(loaded).fingerprint
    assert local_answering(loaded).fingerprint == before
    loaded.inner.model.language_model.norm.variance_epsilon = 0.5
    assert local_answering(loaded).fingerprint != before
