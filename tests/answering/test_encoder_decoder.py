"""An encoder-decoder answers as its own `generate` does, looks at each picture once, and is not trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoTokenizer,
    CLIPImageProcessor,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
)

from sightline.answering.encoder_decoder import EncoderDecoderAnswerer, answerer_of
from sightline.cli.main import run
from sightline.data.pictures.images import opened
from sightline.models.load import load_vlm
from sightline.types import CUT, ENDED, Question, Sampling
from tests.models.published.checkpoints import byte_tokenizer
from tests.tiny import picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return florence(tmp_path_factory.mktemp("florence") / "model")


@pytest.fixture(scope="module")
def loaded(folder):
    return load_vlm(folder, device="cpu")


def florence(folder: Path) -> Path:
    """A Florence-2 of transformers' own class, with a byte-level tokenizer and four words for places."""
    words = byte_tokenizer("<pad>", "<image>", *(f"<loc_{place}>" for place in range(4)))
    words.pad_token = "<pad>"
    words.save_pretrained(folder)
    words = AutoTokenizer.from_pretrained(folder, extra_special_tokens={"image_token": "<image>"})
    tower = {
        "depths": (1, 1), "patch_size": (7, 3), "patch_stride": (4, 2), "patch_padding": (3, 1),
        "patch_prenorm": (False, True), "embed_dim": (16, 32), "num_heads": (2, 4), "num_groups": (2, 4),
        "window_size": 4, "projection_dim": 32, "drop_path_rate": 0.0,
    }  # fmt: skip
    text = {
        "model_type": "bart", "vocab_size": len(words), "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
        "max_position_embeddings": 512, "init_std": 0.2, "dropout": 0.0, "pad_token_id": words.pad_token_id,
        "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": None,
    }  # fmt: skip
    torch.manual_seed(0)
    config = Florence2Config(
        vision_config=tower, text_config=text, image_token_id=words.convert_tokens_to_ids("<image>")
    )
    model = Florence2ForConditionalGeneration(config).eval()
    torch.nn.init.normal_(model.model.multi_modal_projector.image_proj_norm.weight)  # so that pictures matter
    images = CLIPImageProcessor(size={"height": 32, "width": 32}, do_center_crop=False)
    images.image_seq_length = model.get_image_features(torch.zeros(1, 3, 32, 32)).pooler_output.shape[1]
    model.save_pretrained(folder)
    Florence2Processor(images, words).save_pretrained(folder)
    return folder


def own_answer(loaded: Any, image: Any, text: str, limit: int) -> str:
    inputs = loaded.processor(text=[text], images=[image], return_tensors="pt")
    (ids,) = loaded.model.generate(**inputs, max_new_tokens=limit, do_sample=False, num_beams=1).tolist()
    around = {1, 2, loaded.processor.tokenizer.pad_token_id}
    return loaded.processor.tokenizer.decode([token for token in ids if token not in around]).strip()


def test_answers_are_those_of_generate_whatever_is_asked_beside(loaded):
    images = [picture(seed) for seed in range(3)]
    texts = ["<CAPTION>", "<OD>", "Is it red?"]
    questions = [Question(text, (opened(image),), 8) for text in texts for image in images]
    answers = list(answerer_of(loaded).answer(questions))
    assert [answer.text for answer in answers] == [own_answer(loaded, i, text, 8) for text in texts for i in images]
    assert {answer.finish_reason for answer in answers} <= {CUT, ENDED} and not any(a.error for a in answers)


def test_each_picture_is_encoded_once(loaded, monkeypatch):
    looks = []
    own = type(loaded.model).get_image_features

    def counted(model, pixel_values, **more):
        looks.append(len(pixel_values))
        return own(model, pixel_values, **more)

    monkeypatch.setattr(type(loaded.model), "get_image_features", counted)
    shown = [opened(picture(seed)) for seed in range(2)]
    questions = [Question(text, (shown[place % 2],), 3) for place, text in enumerate("abcdef")]
    questions[3] = Question("which", (shown[1],), options=("yes", "no"))
    list(answerer_of(loaded).answer(questions))
    assert looks == [1, 1]


def test_an_option_is_as_likely_as_the_models_own_loss_says(loaded):
    image = picture(0)
    (answer,) = answerer_of(loaded).answer([Question("red?", (opened(image),), options=("yes", "no"))])
    for score, option in zip(answer.options, ("yes", "no"), strict=True):
        labels = torch.tensor([loaded.processor.tokenizer.encode(option, add_special_tokens=False)])
        inputs = loaded.processor(text=["red?"], images=[image], return_tensors="pt")
        loss = loaded.model(**inputs, labels=labels).loss
        assert score.tokens == labels.shape[1]
        assert score.logprob == pytest.approx(-float(loss) * labels.shape[1], abs=1e-4)


def test_a_drawn_answer_depends_on_its_seed_alone(loaded):
    asked = [Question("x", (opened(picture(0)),), 8, sampling=Sampling(1.5, seed)) for seed in (1, 2, 1)]
    first, second, third = (answer.text for answer in answerer_of(loaded).answer(asked))
    assert first == third != second


def test_two_pictures_are_an_error_of_their_question_alone(loaded):
    shown = tuple(opened(picture(seed)) for seed in range(2))
    answers = list(EncoderDecoderAnswerer(loaded).answer([Question("x", shown, 2), Question("y", shown[:1], 2)]))
    assert "takes one image a prompt" in answers[0].error and not answers[1].error


@pytest.mark.slow
def test_it_is_evaluated_and_not_trained_from_the_command_line(folder, tmp_path, capsys):
    picture(0).save(tmp_path / "0.png")
    rows = [
        {"image": "0.png", "question": "red?", "answer": "yes"},
        {"image": "0.png", "question": "b?", "answer": "no"},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data, out = str(tmp_path / "rows.jsonl"), str(tmp_path / "out")
    assert run(["eval", str(folder), "--data", data, "--output_dir", out]) == 0
    assert run(["ask", str(folder), str(tmp_path / "0.png"), "<OD>", "--max_new_tokens", "3"]) == 0
    pair = {"image": "0.png", "prompt": "red?", "chosen": "yes", "rejected": "no"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair))
    for verb, rows_of in (("sft", data), ("dpo", str(tmp_path / "pairs.jsonl"))):
        assert run([verb, str(folder), rows_of, "--output_dir", str(tmp_path / verb)]) == 2
        assert "has an encoder for the prompt" in capsys.readouterr().err
