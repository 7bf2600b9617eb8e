"""Ten SFT and ten DPO steps of each family equal TRL's, with images of several sizes."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trl
from datasets import Dataset

import sightline
import sightline.training
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.models.families import FAMILIES
from sightline.training.collators import PreferenceCollator, SFTCollator
from sightline.training.sharing import training_facts
from tests.families.case import preference_rows
from tests.families.tiny_families import BUILDERS, saved_family

STEPS = 10
TRAINERS = {
    ("sft", "trl"): (trl.SFTTrainer, trl.SFTConfig),
    ("sft", "sightline"): (sightline.SFTTrainer, sightline.SFTConfig),
    ("dpo", "trl"): (trl.DPOTrainer, trl.DPOConfig),
    ("dpo", "sightline"): (sightline.DPOTrainer, sightline.DPOConfig),
}
# TRL's collators hand an answer alone to the processor. PaliGemma's wants an image with it, Molmo 2's puts the start
# token before it, KOSMOS-2's mask ends with the prompt. They get rows made by our plain collators.
ROWS_OF_OURS = ("kosmos-2", "molmo2", "paligemma", "paligemma2")
# These are their own base model, and give logits where TRL reads hidden states.
OWN_BASE = ("blip-2", "kosmos-2")


def losses(
    name: str, method: str, library: str, model: Any, processor: Any, folder: Path, steps: int = STEPS
) -> list[float]:
    """The loss of each step, rows in the dataset's order, gradient checkpointing as TRL sets it."""
    trainer_class, config_class = TRAINERS[method, library]
    config = config_class(
        output_dir=str(folder / library),
        max_steps=steps,
        per_device_train_batch_size=2,
        learning_rate=1e-4,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        max_length=None,
        bf16=False,
        disable_tqdm=True,
        train_sampling_strategy="sequential",
    )
    rows = preference_rows(name)
    if method == "sft":
        rows = [{"images": r["images"], "prompt": r["prompt"], "completion": r["chosen"]} for r in rows]
    arguments = {"ref_model": copy.deepcopy(model)} if method == "dpo" else {}
    if library == "trl" and name in ROWS_OF_OURS:
        arguments["data_collator"] = plain_collator(method, model, processor)
    trainer = trainer_class(
        model=copy.deepcopy(model),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=processor,
        **arguments,
    )
    if library == "sightline":
        expected = FAMILIES[model.config.model_type].routes[0] if name else "plain"
        assert trainer.route.route == expected, trainer.route.reason
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def plain_collator(method: str, model: Any, processor: Any) -> Any:
    collator = SFTCollator if method == "sft" else PreferenceCollator
    pad_id, facts = processor.tokenizer.pad_token_id, training_facts(model, processor)
    return collator(SequenceEncoder(processor, EncodingSettings()), pad_id, share=False, facts=facts)


BY_BOTH = ("fuyu", "gemma3", "kosmos-2")  # of the others `make test` trains preferences alone, and `make soak` both


def hidden_states(model: Any, **inputs: Any) -> SimpleNamespace:
    """What the model's head is given in the model's own forward pass."""
    given: list[Any] = []
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    model(**inputs)
    hook.remove()
    return SimpleNamespace(last_hidden_state=given[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "method"),
    [
        pytest.param(name, method, marks=[pytest.mark.soak] if method == "sft" and name not in BY_BOTH else [])
        for name in sorted(BUILDERS)
        for method in ("sft", "dpo")
    ],
)
def test_ten_steps_equal_trl(name: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor = saved_family(name, tmp_path / "model")
    ours = losses(name, method, "sightline", model, processor, tmp_path)
    if name in OWN_BASE:
        base = property(lambda self: functools.partial(hidden_states, self))
        monkeypatch.setattr(type(model), "base_model", base)
    theirs = losses(name, method, "trl", model, processor, tmp_path)
    assert len(ours) == len(theirs) == STEPS
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= 1e-4
    assert max(ours) - min(ours) > 5e-3, "a loss that does not move proves nothing"
