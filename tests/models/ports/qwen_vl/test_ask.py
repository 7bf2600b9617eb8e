"""`sightline ask` on the published folder says what the slow formulas say, token by token."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.cli.main import run
from sightline.models.load import load_vlm
from tests.models.ports.qwen_vl.test_model import slow_embedded, slow_logits
from tests.models.ports.qwen_vl.test_prompts import MEAN, SPAN, STD
from tests.models.ports.qwen_vl.tiny import RANKS, published, tiny_model
from tests.tiny import picture

TOKENS = 6


@pytest.mark.slow
@pytest.mark.parametrize("chat", [True, False])
def test_the_answer_is_that_of_the_formulas(tmp_path, capsys, chat):
    folder = published(tmp_path / "model", chat=chat)
    picture(3).save(tmp_path / "3.png")
    assert run(["ask", str(folder), str(tmp_path / "3.png"), "red?", "--max_new_tokens", str(TOKENS)]) == 0
    said = capsys.readouterr().out

    words = load_vlm(folder).processor.tokenizer
    ids = [*SPAN, *words("red?")["input_ids"]]
    if chat:
        system = [RANKS + 1, *words("system\nYou are a helpful assistant.")["input_ids"], RANKS + 2]
        asked = [RANKS + 1, *words("user\nPicture 1: ")["input_ids"], *SPAN, *words("\nred?")["input_ids"], RANKS + 2]
        line = words("\n")["input_ids"]
        ids = [*system, *line, *asked, *line, RANKS + 1, *words("assistant\n")["input_ids"]]
    square = Image.open(tmp_path / "3.png").convert("RGB").resize((56, 56), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1) / 255
    pixels = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    weights, stops = tiny_model().state_dict(), ([RANKS, RANKS + 1, RANKS + 2] if chat else [RANKS])
    answer: list[int] = []
    while len(answer) < TOKENS and (not answer or answer[-1] not in stops):
        embedded = slow_embedded(weights, ids + answer, pixels)
        answer.append(int(slow_logits(weights, embedded, len(ids))[-1].argmax()))
    assert words.decode(answer, skip_special_tokens=True).strip() == said.strip()
