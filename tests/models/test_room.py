"""A model whose weights do not fit is refused before they are read, with the bytes and what would fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from sightline.cli.main import run
from sightline.errors import MachineError
from sightline.machine import Memory
from sightline.models import room
from sightline.models.load import load_vlm
from sightline.models.room import Room, require_room, size_of
from sightline.settings.loading import LoadingOptions
from tests.tiny import picture, tiny_folder

GIB = 2**30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("model"))


def with_memory(monkeypatch: pytest.MonkeyPatch, free: int, **others: int) -> None:
    """The machine has so many bytes free, and these devices theirs."""
    found = [Room(name.replace("_", ":"), free, free) for name, free in others.items()]
    monkeypatch.setattr(room, "rooms", lambda: iter([*found, Room("cpu (the control group)", free, 2 * free)]))


def test_the_size_is_that_of_the_weights(folder: Path) -> None:
    model = load_vlm(folder).model
    size = size_of(str(folder), AutoConfig.from_pretrained(folder))
    assert size is not None and size.own == 4
    assert size.weights == sum(one.numel() for one in model.parameters())
    layers = [one for one in model.modules() if isinstance(one, torch.nn.Linear) and one is not model.lm_head]
    assert size.linear == sum(one.weight.numel() for one in layers)
    whole = size.bytes_with(LoadingOptions())
    assert whole == 4 * size.weights == 2 * size.bytes_with(LoadingOptions(dtype="bfloat16"))
    four = size.bytes_with(LoadingOptions(load_in_4bit=True))
    assert four == round((size.weights - size.linear) * 4 + size.linear * 0.5625)


def test_4_bits_take_what_bitsandbytes_takes(folder: Path) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes", reason="the extra `quantized` is not installed")
    size = size_of(str(folder), AutoConfig.from_pretrained(folder))
    assert size is not None
    for options in (LoadingOptions(load_in_4bit=True), LoadingOptions(load_in_8bit=True)):
        model = load_vlm(folder, options=options).model
        held = sum(one.numel() * one.element_size() for one in model.parameters())
        for module in model.modules():
            if isinstance(module, bitsandbytes.nn.Linear4bit):
                held += module.weight.quant_state.absmax.numel() * 4
        assert held == pytest.approx(size.bytes_with(options), rel=0.02)


def test_what_does_not_fit_is_refused_with_what_would(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = AutoConfig.from_pretrained(folder)
    size = size_of(str(folder), config)
    assert size is not None
    half = size.bytes_with(LoadingOptions(dtype="bfloat16"))
    with_memory(monkeypatch, half, cuda_0=half + 1, cuda_1=3 * half)
    monkeypatch.setattr(room, "GIB", 1)
    require_room(str(folder), config, LoadingOptions(dtype="bfloat16"), "cpu")
    require_room(str(folder), config, LoadingOptions(), None)
    with pytest.raises(MachineError) as told:
        require_room(str(folder), config, LoadingOptions(), "cuda")
    said = str(told.value)
    assert f"has {size.weights:,} weights, which take {2 * half:.2f} GiB as they are stored, but cuda:0 has" in said
    fitting = said.partition("What would fit: ")[2]
    assert fitting.startswith(f"--dtype bfloat16 ({half:.2f} GiB), --load_in_8bit (")
    assert "--load_in_4bit (" in fitting and "--device cuda:1" in fitting and "--device_map auto" in fitting
    assert "--device cpu" not in fitting
    with_memory(monkeypatch, 1000)
    with pytest.raises(MachineError, match=r"in 4 bits, but cpu \(the control group\).* nothing that is here: free"):
        require_room(str(folder), config, LoadingOptions(load_in_4bit=True), "cpu")


def test_a_system_that_does_not_tell_its_memory_refuses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "read_memory", lambda: Memory(16 * GIB, 0))
    require_room(str(folder), AutoConfig.from_pretrained(folder), LoadingOptions(), "cpu")


def test_a_hub_id_whose_weights_are_not_here_counts_by_its_config(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_memory(monkeypatch, 1000)
    config = AutoConfig.from_pretrained(folder)
    config.dtype = torch.float16
    with pytest.raises(MachineError, match=r"owner/name has .* as they are stored"):
        require_room("owner/name", config, LoadingOptions(), "cpu")


@pytest.mark.parametrize("verb", ["ask", "eval", "sft", "doctor"])
def test_no_verb_reads_what_does_not_fit(
    verb: str, folder: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(0).save(tmp_path / "0.png")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"image": "0.png", "question": "what ?", "answer": "red"}))
    with_memory(monkeypatch, 1000)
    given = {
        "ask": [str(tmp_path / "0.png"), "what ?"],
        "eval": [str(rows), "--output_dir", str(tmp_path / "run")],
        "sft": [str(rows), "--output_dir", str(tmp_path / "run"), "--report_to", "none"],
    }
    named = ["--model_name_or_path", str(folder), "--dataset_name", str(rows), "--for", "sft"]
    assert run([verb, *(named if verb == "doctor" else [str(folder), *given[verb]])]) == 1
    assert "What would fit: nothing that is here" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
