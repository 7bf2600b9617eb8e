"""LLaVA over a decoder that scales or bounds its logits: TRL's losses on forests, the model's own answers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import trl
from datasets import Dataset

import sightline
import sightline.training
from sightline.answering.local import LocalAnswerer
from sightline.data.pictures.images import opened
from sightline.engine.logprobs import LogitRule
from sightline.engine.routes import loss_rule, own_rule
from sightline.models.load import LoadedVlm
from sightline.types import Question
from tests.tiny import SHORT_RUN, picture, preference_rows, tiny_llava, tiny_processor

pytestmark = pytest.mark.slow  # each test trains


DECODERS: dict[str, dict[str, Any]] = {
    "granite": {"logits_scaling": 8.0},
    "cohere": {"logit_scale": 0.25},
    "gemma2": {"final_logit_softcapping": 3.0, "head_dim": 8, "sliding_window": 6},
}


def llava_over(kind: str) -> Any:
    base = tiny_llava().config
    text = base.text_config.to_dict()
    kept = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    names = (*kept, "num_key_value_heads", "initializer_range", "pad_token_id", "bos_token_id", "eos_token_id")
    config = copy.deepcopy(base)
    config.text_config = transformers.CONFIG_MAPPING[kind](**{name: text[name] for name in names}, **DECODERS[kind])
    torch.manual_seed(0)
    return transformers.LlavaForConditionalGeneration(config)


def losses(library: Any, kind: str, folder: Path) -> tuple[list[float], Any]:
    model = llava_over(kind)
    arguments = library.DPOConfig(
        output_dir=str(folder / library.__name__), per_device_train_batch_size=2, max_steps=3, learning_rate=1e-3,
        train_sampling_strategy="sequential", beta=1.0, **SHORT_RUN,
    )  # fmt: skip
    trainer = library.DPOTrainer(
        model=model, ref_model=llava_over(kind), args=arguments, train_dataset=Dataset.from_list(preference_rows(6, 3)),
        processing_class=tiny_processor(),
    )  # fmt: skip
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry], trainer


@pytest.mark.parametrize("kind", sorted(DECODERS))
def test_forests_lose_what_trl_loses(kind: str, tmp_path: Path) -> None:
    ours, trainer = losses(sightline, kind, tmp_path)
    assert trainer.route.route == "mask", trainer.route.reason
    theirs, _ = losses(trl, kind, tmp_path)
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert loss_rule(llava_over(kind)) != LogitRule()


@pytest.mark.parametrize("kind", sorted(DECODERS))
def test_answers_are_scored_by_the_models_own_forward(kind: str) -> None:
    model = llava_over(kind).eval()
    assert own_rule(model) == LogitRule()
    questions = [Question("what is this ?", (opened(picture(0)),), options=("red", "blue circle")) for _ in range(2)]
    shared = LocalAnswerer(LoadedVlm(model, tiny_processor(), "tiny"), say=lambda text: None)
    plain = LocalAnswerer(LoadedVlm(model, tiny_processor(), "tiny"), share=False, say=lambda text: None)
    ours, theirs = (list(answerer.answer(questions)) for answerer in (shared, plain))
    assert shared.route is not None and shared.route.route == "mask"
    for one, other in zip(ours, theirs, strict=True):
        assert [s.logprob for s in one.options] == pytest.approx([s.logprob for s in other.options], abs=1e-4)
