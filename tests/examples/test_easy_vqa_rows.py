"""The package easy-vqa's questions become rows beside their pictures."""

from __future__ import annotations

import importlib
import json

from PIL import Image

from sightline.data.sources.datasets import read_dataset
from tests.examples.test_nlvr_sentences import EXAMPLES


def test_each_question_becomes_a_row_with_its_picture(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    write_rows = importlib.import_module("easy_vqa_rows").write_rows
    for part in ("train", "test"):
        (tmp_path / part / "images").mkdir(parents=True)
        Image.new("RGB", (8, 8), "teal").save(tmp_path / part / "images" / "0.png")
        asked = [["what color is the shape?", "teal", 0], ["is there a circle?", "no", 0]]
        (tmp_path / part / "questions.json").write_text(json.dumps(asked))
    out = tmp_path / "out"
    assert write_rows(tmp_path, out) == {"train": 2, "test": 2}
    first = json.loads((out / "test.jsonl").read_text().splitlines()[0])
    assert first == {
        "id": "test-0",
        "image": "images/test/0.png",
        "question": "what color is the shape?",
        "answer": "teal",
    }
    assert len(read_dataset(out / "train.jsonl")) == 2 and (out / "images" / "train" / "0.png").is_file()
