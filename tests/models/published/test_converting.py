"""A converted folder is an ordinary one that gives the same, whatever the layout, and an interrupted one goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from sightline.cli.main import run
from sightline.errors import InputError, RunFolderError
from sightline.models.load import load_vlm
from sightline.models.published import converting
from sightline.models.published.converting import ConvertSettings, convert_checkpoint
from sightline.models.published.table import recognise
from tests.models.published.makers import MAKERS
from tests.models.published.test_llava import MESSAGES, checkpoint
from tests.tiny import tiny_folder

ONE_QUESTION = ("qwen-vl", "moondream2 D", "cogvlm base")  # their prompts have no turns


@pytest.mark.parametrize("name", MAKERS)
def test_weights_prompt_and_stops_are_those_of_the_checkpoint(tmp_path, name):
    folder = MAKERS[name](tmp_path / "model")
    convert_checkpoint(ConvertSettings(str(folder), tmp_path / "out"))
    before, after = load_vlm(folder, device="cpu"), load_vlm(tmp_path / "out", device="cpu")
    torch.testing.assert_close(dict(after.model.state_dict()), dict(before.model.state_dict()), rtol=0, atol=0)
    assert after.model.generation_config.eos_token_id == before.model.generation_config.eos_token_id
    assert after.processor.tokenizer.get_vocab() == before.processor.tokenizer.get_vocab()
    if before.processor.chat_template:
        said = MESSAGES[:1] if name in ONE_QUESTION else MESSAGES
        prompts = [one.processor.apply_chat_template(said, add_generation_prompt=True) for one in (before, after)]
        assert prompts[0] == prompts[1]


def test_what_transformers_has_a_class_for_is_loaded_by_it_alone(tmp_path):
    made = checkpoint(tmp_path / "llava")
    convert_checkpoint(ConvertSettings(str(made.folder), tmp_path / "out"))
    assert recognise(str(tmp_path / "out")) is None
    found = AutoModelForImageTextToText.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(dict(found.state_dict()), dict(made.model.state_dict()), rtol=0, atol=0)
    assert AutoProcessor.from_pretrained(tmp_path / "out").image_token == "<image>"


def test_an_interrupted_conversion_goes_on_and_is_no_model_before(tmp_path, monkeypatch):
    folder = str(checkpoint(tmp_path / "llava", pickled=True).folder)
    write, left = converting._write, 2

    def write_two(*given):
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        write(*given)

    monkeypatch.setattr(converting, "_write", write_two)
    with pytest.raises(KeyboardInterrupt):
        convert_checkpoint(ConvertSettings(folder, tmp_path / "out"))
    with pytest.raises(InputError, match="no config.json"):
        load_vlm(tmp_path / "out")
    monkeypatch.setattr(converting, "_write", write)
    with pytest.raises(RunFolderError, match="part of another conversion"):
        convert_checkpoint(ConvertSettings(folder, tmp_path / "out", torch.float16))
    written = convert_checkpoint(ConvertSettings(folder, tmp_path / "out"))
    assert (written.kept, written.shards) == (2, 3)
    torch.testing.assert_close(
        dict(load_vlm(tmp_path / "out", device="cpu").model.state_dict()),
        dict(load_vlm(folder, device="cpu").model.state_dict()),
        rtol=0,
        atol=0,
    )


def test_a_large_file_is_written_as_several(tmp_path, monkeypatch):
    monkeypatch.setattr(converting, "SHARD", 20_000)
    folder = checkpoint(tmp_path / "llava").folder
    assert convert_checkpoint(ConvertSettings(str(folder), tmp_path / "out")).shards > 3
    load_vlm(tmp_path / "out", device="cpu")


def test_the_command_writes_another_precision_and_the_licence(tmp_path, capsys):
    folder = checkpoint(tmp_path / "llava").folder
    (folder / "LICENSE").write_text("do good")
    assert run(["models", "convert", str(folder), str(tmp_path / "out"), "--dtype", "float16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shards"] == 3
    assert load_vlm(tmp_path / "out", device="cpu").model.dtype == torch.float16
    assert (tmp_path / "out" / "LICENSE").read_text() == "do good"


def test_what_needs_no_conversion_or_has_half_its_files_is_told(tmp_path):
    with pytest.raises(InputError, match="in none of the layouts that are converted .*needs no conversion"):
        convert_checkpoint(ConvertSettings(str(tiny_folder(tmp_path / "plain")), tmp_path / "out"))
    folder = checkpoint(tmp_path / "llava", pickled=True).folder
    next(Path(folder).glob("*-00002-of-*.bin")).unlink()
    with pytest.raises(InputError, match="pytorch_model.bin.index.json names pytorch_model-00002-of-00003.bin"):
        convert_checkpoint(ConvertSettings(str(folder), tmp_path / "out"))
    with pytest.raises(InputError, match="pytorch_model.bin.index.json names pytorch_model-00002-of-00003.bin"):
        load_vlm(folder)
    assert not (tmp_path / "out").exists()
