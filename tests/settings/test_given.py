"""Words before the first --key: a recipe, a model and rows, told apart by what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.errors import ConfigError
from sightline.settings.given import named
from sightline.settings.known import known_kinds

SFT, VILT = known_kinds("sft"), known_kinds("vilt")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory: a model's and an adapter's folder, a folder of pictures, rows, a recipe."""
    monkeypatch.chdir(tmp_path)
    for folder, file in (("nano", "config.json"), ("lora", "adapter_config.json"), ("cats", "1.png")):
        Path(folder).mkdir()
        Path(folder, file).write_text("{}")
    for file in ("rows.jsonl", "questions", "mine.yaml"):
        Path(file).touch()


@pytest.mark.parametrize(
    ("typed", "config", "model", "rows"),
    [
        ("nano rows.jsonl", None, "nano", "rows.jsonl"),
        ("rows.jsonl nano", None, "nano", "rows.jsonl"),
        ("lora questions --max_steps 3", None, "lora", "questions"),
        ("owner/model owner/rows", None, "owner/model", "owner/rows"),
        ("owner/model rows.jsonl", None, "owner/model", "rows.jsonl"),
        ("owner/rows nano", None, "nano", "owner/rows"),
        ("not-here none.csv", None, "not-here", "none.csv"),
        ("nano cats", None, "nano", "cats"),
        ("mine.yaml nano rows.jsonl", "mine.yaml", "nano", "rows.jsonl"),
        ("nano mine.yaml", "mine.yaml", "nano", None),
        ("rows.jsonl --preset nano", None, None, "rows.jsonl"),
        ("cats", None, None, "cats"),
        ("owner/rows --model nano", None, None, "owner/rows"),
        ("owner/model --dataset-name=rows.jsonl", None, "owner/model", None),
        ("--max_steps 3", None, None, None),
        ("", None, None, None),
    ],
)
def test_each_word_gets_its_key(typed, config, model, rows):
    words = typed.split()
    first = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    keyed = {"config": config, "model_name_or_path": model, "dataset_name": rows}
    expected = [word for key, value in keyed.items() if value for word in (f"--{key}", value)]
    assert named(words, SFT) == [*expected, *words[first:]]


def test_the_rows_of_a_vilt_are_its_train_data():
    assert named(["nano", "rows.jsonl"], VILT) == ["--model_name_or_path", "nano", "--train_data", "rows.jsonl"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            "owner/name",
            "'owner/name' may be a model or rows.*--model_name_or_path owner/name, or --dataset_name owner/n",
        ),
        ("nano lora", "expected MODEL, then ROWS; nano and lora are both model folders"),
        ("rows.jsonl test.jsonl", "both files of rows.*--dataset_name rows.jsonl --eval_dataset_name test.jsonl"),
        ("nano rows.jsonl out", "expected MODEL and ROWS before the first --key; got nano rows.jsonl out"),
        ("mine.yaml other.yml", "expected one recipe, got mine.yaml and other.yml"),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_to_write(typed, message):
    with pytest.raises(ConfigError, match=message):
        named(typed.split(), SFT)
