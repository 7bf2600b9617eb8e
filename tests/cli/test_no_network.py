"""No verb opens a connection for a picture that rows name by an address, wherever it stands, unless allow_urls does."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from sightline import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from sightline.cli.main import run
from sightline.data.pictures import columns as picture_columns
from sightline.data.pictures.fetched import UrlError
from sightline.errors import DataError
from tests.tiny import SHORT_RUN, tiny_folder, tiny_llava, tiny_processor

ADDRESSES = ["http://127.0.0.1:9/red.png", "https://pictures.invalid/red.png"]
TEXT = {"type": "text", "text": "what is red ?"}
ANSWER = {"role": "assistant", "content": "circle"}
WORSE = {"role": "assistant", "content": "square"}
VQA = {"question": "what is red ?", "answer": "circle"}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What was connected to or looked up; every attempt fails."""
    tried: list[Any] = []

    def refuse(*what: Any, **settings: Any) -> None:
        tried.append(what)
        raise OSError("no network in this test")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    yield tried


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_folder(tmp_path_factory.mktemp("llava")))


def parts(address: str) -> list[dict[str, Any]]:
    return [
        {"type": "image", "image": address},
        {"type": "image", "url": address},
        {"type": "image_url", "image_url": {"url": address}},
        {"image": address},
    ]


def demonstrations(address: str) -> list[dict[str, Any]]:
    """A row for each place that an address may stand in."""
    columns: list[dict[str, Any]] = [
        {"image": address}, {"images": [address]}, {"img": address}, {"image_url": address},
        {"image": {"url": address}},
    ]  # fmt: skip
    in_messages = [{"messages": [{"role": "user", "content": [part, TEXT]}, ANSWER]} for part in parts(address)]
    beside = {"messages": [{"role": "user", "content": "what ?", "images": [address]}, ANSWER]}
    return [*({**column, **VQA} for column in columns), *in_messages, beside]


def preferences(address: str) -> list[dict[str, Any]]:
    asked = [[{"role": "user", "content": [part, TEXT]}] for part in parts(address)]
    prompted = [{"prompt": one, "chosen": [ANSWER], "rejected": [WORSE]} for one in asked]
    return [*prompted, {"chosen": [*asked[0], ANSWER], "rejected": [*asked[0], WORSE]}]


def alternating(rows_of: Callable[[str], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Every place once, with one and the other address in turns."""
    return [row for number, row in enumerate(rows_of(ADDRESSES[0])) for row in [rows_of(ADDRESSES[number % 2])[number]]]


def write(folder: Path, row: dict[str, Any]) -> str:
    path = folder / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    return str(path)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that ends in an error, doctor among its findings; empty where it ends well."""
    capsys.readouterr()
    if not run(arguments):
        return ""
    said = capsys.readouterr()
    return said.err + said.out


TRAINING = ["--max_steps", "1", "--bf16", "false", "--report_to", "none"]


@pytest.mark.slow
def test_no_verb_opens_an_address_of_a_demonstration(
    model: str, opened: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = ["--model_name_or_path", model, *TRAINING]
    for number, row in enumerate(alternating(demonstrations)):
        rows, out = write(tmp_path, row), str(tmp_path / f"out{number}")
        verbs = [
            ["data", "convert", rows, f"{out}.jsonl", "--to", "trl-sft"],
            ["doctor", "--dataset_name", rows, *training, "--output_dir", out],
            ["sft", "--dataset_name", rows, *training, "--output_dir", out],
            ["sft", "--dataset_name", rows, *training, "--output_dir", out, "--streaming", "true"],
            ["eval", "--data", rows, "--model", model, "--output_dir", f"{out}-eval"],
        ]
        for arguments in verbs:
            assert "Nothing is fetched unless you say so" in refused(arguments, capsys), (row, arguments)
        run(["data", "check", rows])
        assert run(["data", "preview", rows, "--model", model]) != 0
    assert opened == []


@pytest.mark.slow
def test_neither_does_dpo_ask_or_synthesize(
    model: str, opened: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, row in enumerate(alternating(preferences)):
        rows, out = write(tmp_path, row), str(tmp_path / f"out{number}")
        training = ["--model_name_or_path", model, *TRAINING, "--output_dir", out]
        for arguments in (
            ["data", "convert", rows, f"{out}.jsonl", "--to", "trl-dpo"],
            ["dpo", "--dataset_name", rows, *training],
        ):
            assert "Nothing is fetched unless you say so" in refused(arguments, capsys), (row, arguments)
    assert ADDRESSES[0] in refused(["ask", model, ADDRESSES[0], "what is red ?"], capsys)
    rows = write(tmp_path, {"image": ADDRESSES[0], **VQA})
    made = ["--kind", "preferences", "--policy", model, "--output_path", str(tmp_path / "made.jsonl")]
    assert "Nothing is fetched unless you say so" in refused(["data", "synthesize", rows, *made], capsys)
    assert opened == []


@pytest.mark.parametrize(
    ("task", "row"),
    [
        ("pretrain", {"image": ADDRESSES[0], "caption": "a circle"}),
        ("vqa", {"image": ADDRESSES[0], **VQA}),
        ("retrieval", {"image": ADDRESSES[0], "captions": ["a circle", "it is red"]}),
        ("nlvr2", {"image": ADDRESSES[0], "sentence": "it is red", "label": True}),
    ],
)
def test_neither_does_vilt(
    task: str, row: dict[str, Any], opened: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["vilt", task, "--train_data", write(tmp_path, row), "--output_dir", str(tmp_path / "vilt")]
    assert ADDRESSES[0] in refused(arguments, capsys)
    assert opened == []


def test_nor_do_the_trainers_in_python(opened: list[Any], tmp_path: Path) -> None:
    sft, dpo = SFTConfig(str(tmp_path), **SHORT_RUN), DPOConfig(str(tmp_path), **SHORT_RUN)
    own = DataCollatorForVisionLanguageModeling(tiny_processor())
    for row in alternating(demonstrations)[5:]:
        rows = Dataset.from_list([row], on_mixed_types="use_json")
        for collator in (None, own):
            with pytest.raises(DataError, match="got the address .* Nothing is fetched unless you say so"):
                SFTTrainer(tiny_llava(), sft, collator, rows, processing_class=tiny_processor())
    for row in alternating(preferences):
        rows = Dataset.from_list([row], on_mixed_types="use_json")
        with pytest.raises(DataError, match="got the address .* Nothing is fetched unless you say so"):
            DPOTrainer(tiny_llava(), args=dpo, train_dataset=rows, processing_class=tiny_processor())
    assert opened == []


def test_allowed_addresses_go_through_our_rule(
    opened: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fetch(address: str) -> Path:
        asked.append(address)
        raise UrlError("seen")

    monkeypatch.setattr(picture_columns, "fetch_picture", fetch)
    for row in demonstrations(ADDRESSES[1]):
        asked.clear()
        run(["data", "check", write(tmp_path, row), "--allow_urls"])
        assert set(asked) == {ADDRESSES[1]}, row
    assert opened == []
