"""A row that names its pictures in its own way gives the ids, labels and pixels of the same row in TRL's layout."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.formats.columns import sft_rows
from tests.tiny import WORDS, tiny_processor

ROWS = 12


def drawn(folder: Path, seed: int) -> list[tuple[list[str], list[list[tuple[int, str]]]]]:
    """For each row its picture files, and its user turns as (pictures before these words, words)."""
    rng = random.Random(seed)
    for number in range(4):
        Image.new("RGB", (40 + number, 48), (60 * number, 0, 90)).save(folder / f"{number}.png")
    rows = []
    for _ in range(ROWS):
        turns = [
            [(rng.randint(place, 2), " ".join(rng.choices(WORDS[:20], k=3))) for place in range(rng.randint(1, 2))]
            for _ in range(rng.randint(1, 2))
        ]
        count = sum(shown for turn in turns for shown, _ in turn)
        rows.append(([str(folder / f"{rng.randrange(4)}.png") for _ in range(count)], turns))
    return rows


def conversation(turns: list[list[tuple[int, str]]], content: Any) -> list[dict[str, Any]]:
    said = {"role": "assistant", "content": [{"type": "text", "text": "red circle"}]}
    return [message for turn in turns for message in ({"role": "user", "content": content(turn)}, said)]


def spelt(files: list[str], turns: list[list[tuple[int, str]]], way: str) -> dict[str, Any]:
    """One row, its pictures named in one of the ways."""
    rest = iter(files)

    def part() -> dict[str, Any]:
        if way == "openai":
            return {"type": "image_url", "image_url": {"url": next(rest)}}
        return {"type": "image", "image": next(rest)} if way == "parts" else {"type": "image"}

    def content(turn: list[tuple[int, str]]) -> Any:
        if way == "marks":
            return "".join("<image>" * shown + words for shown, words in turn)
        return [one for n, words in turn for one in (*(part() for _ in range(n)), {"type": "text", "text": words})]

    messages = conversation(turns, content)
    if way in ("parts", "openai"):
        return {"messages": messages}
    return {"images" if way != "column" else "imgs": files, "messages": messages}


@pytest.mark.parametrize("way", ["parts", "openai", "marks", "column"])
@pytest.mark.parametrize("seed", range(3))
def test_every_way_reads_as_trls(way: str, seed: int, tmp_path: Path) -> None:
    processor = tiny_processor()
    encoder = SequenceEncoder(processor, EncodingSettings())
    collate = DataCollatorForVisionLanguageModeling(processor)
    rows = drawn(tmp_path, seed)
    own = [row for row in rows if way != "column" or row[0]]
    given = Dataset.from_list([spelt(*row, way) for row in own], on_mixed_types="use_json")
    read = sft_rows(given, "rows").dataset
    for row, made in zip(own, read, strict=True):
        trl = spelt(*row, "trl")
        batch = collate([{**trl, "images": [Image.open(file).convert("RGB") for file in row[0]]}])
        ours = encoder.encode_sft([made])
        (sequence,) = ours.sequences
        assert len(sequence.images) == len(row[0])
        assert np.array_equal(sequence.ids_L, batch["input_ids"][0].numpy())
        labels = np.where(sequence.scored_L, sequence.ids_L, -100)
        assert np.array_equal(labels, batch["labels"][0].numpy())
        if row[0]:
            shown = torch.stack([ours.image_inputs["pixel_values"][image] for image in sequence.images])
            assert torch.equal(shown, batch["pixel_values"])
