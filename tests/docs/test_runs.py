"""What README and documentation show is run, page by page, on small models and rows of the names that they use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from sightline.cli.main import run
from tests.docs.blocks import COMMANDS, blocks

pytestmark = pytest.mark.slow

RUN = [block for block in blocks() if not block.needs and block.language in (*COMMANDS, "python")]
COLOURS = ("red", "green", "blue", "yellow", "black", "white", "purple", "orange")
ROWS = {"rows.jsonl", "train.jsonl", "test.jsonl", "data/easy_vqa/train.jsonl"}
PICTURES = ("picture.png", "photo.jpg", "page.png")
MODELS = ("demo/model", "sft", "dpo", "MODEL", "runs/mine")
SHORT = {  # training that takes its time is cut, all else runs as it stands
    "sft": "--max_steps 1 --per_device_train_batch_size 2",
    "dpo": "--max_steps 1 --per_device_train_batch_size 2",
    "vilt": "--max_steps 1 --per_device_train_batch_size 2 --warmup_steps 0",
    "doctor": "--per_device_train_batch_size 2",
}
FOUND = {"data check": (0, 1)}  # 1: the rows hold errors, as those of the page do


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A nano that has learned to answer in a word."""
    folder = tmp_path_factory.mktemp("models")
    write_files(folder)
    line = f"sft --preset nano --dataset_name {folder}/rows.jsonl --output_dir {folder}/model --max_steps 24 "
    assert run((line + "--learning_rate 5e-3 --per_device_train_batch_size 8 --save_strategy no").split()) == 0
    return folder / "model"


@pytest.fixture
def scratch(model, tmp_path, monkeypatch):
    """The files and models that pages name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGHTLINE_SHARED", str(tmp_path))
    write_files(tmp_path)
    for name in MODELS:
        shutil.copytree(model, tmp_path / name)
    return tmp_path


def write_files(folder):
    for name in ROWS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        rows = []
        for index, colour in enumerate(COLOURS):
            picture, path = Image.new("RGB", (64, 64), colour), f"{Path(name).stem}-{index}.png"
            picture.putpixel((index, 40 if name == "test.jsonl" else 0), (1, 2, 3))
            picture.save((folder / name).parent / path)
            rows.append(json.dumps({"image": path, "question": "what color is the shape?", "answer": colour}) + "\n")
        (folder / name).write_text("".join(rows))
    for name in PICTURES:
        Image.new("RGB", (64, 64), "red").save(folder / name)


@pytest.mark.parametrize("page", sorted({block.page for block in RUN}))
def test_what_a_page_shows_runs(page, scratch, capsys):
    for block in RUN:
        if block.page != page:
            continue
        if block.language == "python":
            exec(compile(block.text, block.place, "exec"), {"__name__": "shown"})
            continue
        for words in block.commands():
            assert words[0] == "sightline", f"{block.place}: mark it, <!-- needs: ... -->, or let it be one of ours"
            trains = words[1] != "vilt" or words[2] in ("pretrain", "vqa", "retrieval", "nlvr2")
            if "--output_dir" in words and words[1] in ("sft", "dpo", "vilt"):  # what a page made, or was made for it
                shutil.rmtree(scratch / words[words.index("--output_dir") + 1], ignore_errors=True)
            code = run([*words[1:], *(SHORT.get(words[1], "").split() if trains else ())])
            assert code in FOUND.get(" ".join(words[1:3]), (0,)), (
                f"{block.place}: {' '.join(words)}: {capsys.readouterr().err}"
            )
