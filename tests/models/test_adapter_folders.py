"""An adapter whose base is not here says so before anything is loaded; one that is saved names its base for good."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.constants
import pytest

from sightline.cli.main import run
from sightline.errors import InputError
from sightline.models.adapter_folders import (
    Base,
    base_of_adapter,
    keep_base_name,
    lasting_name,
)
from tests.tiny import picture


def adapter_of(base: Any, folder: Path, **settings: Any) -> Path:
    """A folder with the settings of an adapter."""
    folder.mkdir(parents=True)
    said = {"peft_type": "LORA", "base_model_name_or_path": base, **settings}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    return folder


@pytest.mark.parametrize(
    ("base", "why"),
    [
        ("/mnt/models/llava", "there is no such folder"),
        ("../models/llava", "there is no such folder"),
        ("runs/models/llava", "there is no such folder"),
        ("~/llava", "there is no such folder"),
        ("llava", "there is no such folder in {here}, and no such model in the Hub's cache"),
        ("owner/llava", "it is neither a folder nor in the Hub's cache, and HF_HUB_OFFLINE is set"),
    ],
)
def test_a_base_that_is_not_here_is_said_in_every_verb_without_the_network(
    base: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", base == "owner/llava")
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was asked"))
    folder = adapter_of(base, tmp_path / "run" / "adapter")
    picture(0).save("red.png")
    Path("rows.jsonl").write_text('{"image": "red.png", "question": "what ?", "answer": "red"}\n')
    train = ["--model_name_or_path", str(folder), "--dataset_name", "rows.jsonl", "--bf16", "false"]
    for line in (
        ["ask", str(folder), "red.png", "what ?"],
        ["eval", "--tasks", "custom", "--data", "rows.jsonl", "--model", str(folder), "--output_dir", "scores"],
        ["merge", str(folder), "out"],
        ["sft", *train, "--output_dir", "next"],
        ["dpo", *train, "--output_dir", "next"],
        ["doctor", *train, "--for", "sft", "--output_dir", "next"],
        ["data", "preview", "rows.jsonl", "--model", str(folder), "--for", "sft"],
    ):
        assert run(line) == 2, line
        said = capsys.readouterr().err
        expected = f"error: {folder} is an adapter of {base}, which is not here: {why.format(here=tmp_path)}."
        assert expected in said and "--adapter" in said, line
    assert {path.name for path in tmp_path.iterdir()} == {"run", "red.png", "rows.jsonl"}


def test_a_base_that_lies_beside_the_adapter_is_named_and_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there" / "llava").mkdir(parents=True)
    (tmp_path / "there" / "llava" / "config.json").write_text("{}")
    folder = adapter_of("llava", tmp_path / "there" / "run" / "checkpoint-3")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = re.escape(f"a folder of this name is {tmp_path / 'there' / 'llava'}. Name that model where it is now")
    with pytest.raises(InputError, match=found):
        base_of_adapter(str(folder))
    monkeypatch.chdir(tmp_path / "there")
    assert base_of_adapter(str(folder)) == Base("llava")


def test_an_adapter_that_names_no_base_says_what_to_do(tmp_path: Path) -> None:
    for number, base in enumerate((None, "", 7)):
        with pytest.raises(InputError, match="does not name its base model. Name that model where it is now"):
            base_of_adapter(str(adapter_of(base, tmp_path / str(number))))


def test_a_revision_counts_for_a_model_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    assert base_of_adapter(str(adapter_of("owner/a", tmp_path / "a", revision="v2"))) == Base("owner/a", "v2")
    (tmp_path / "base").mkdir()
    local = adapter_of(str(tmp_path / "base"), tmp_path / "b", revision="v2")
    assert base_of_adapter(str(local)) == Base(str(tmp_path / "base"))


def test_a_saved_adapter_names_a_folder_in_full_and_what_is_cached_by_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cached = tmp_path / "hub" / "models--owner--some-model" / "snapshots" / "abc123"
    cached.mkdir(parents=True)
    (tmp_path / "base").mkdir()
    assert lasting_name("base") == Base(str(tmp_path / "base"))
    assert lasting_name(str(cached)) == Base("owner/some-model", "abc123")
    assert lasting_name("owner/other", "v1") == Base("owner/other", "v1")
    settings = [SimpleNamespace(base_model_name_or_path=name, revision=None) for name in ("base", "owner/a", None)]
    keep_base_name(SimpleNamespace(peft_config=dict(enumerate(settings))), "v3")
    found = [(one.base_model_name_or_path, one.revision) for one in settings]
    assert found == [(str(tmp_path / "base"), None), ("owner/a", "v3"), (None, None)]
