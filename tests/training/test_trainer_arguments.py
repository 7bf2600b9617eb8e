"""Trainers take their arguments as scripts of 2024 and of today write them, and train what TRL trains."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback, TrainingArguments

import sightline
from sightline.errors import ConfigError
from sightline.settings import spellings
from tests.tiny import SHORT_RUN, picture, preference_rows, tiny_llava, tiny_processor, vqa_rows

pytestmark = pytest.mark.slow  # each test trains


BARE = {name: value for name, value in SHORT_RUN.items() if name != "max_length"}
TWO_STEPS: dict[str, Any] = {"max_steps": 2, "per_device_train_batch_size": 2, "seed": 3}
PREFERENCES = Dataset.from_list(preference_rows(4, 2))


@pytest.fixture(autouse=True)
def nothing_stored_nor_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spellings, "_SAID", set())
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))


def losses(trainer: Any) -> list[float]:
    trainer.train()
    found = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(found) == 2
    return found


def conversation(number: int, shows: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"role": "system", "content": [{"type": "text", "text": "describe"}]},
        {"role": "user", "content": [{"type": "image", **shows}, {"type": "text", "text": f"how many {number}"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "a red circle"}]},
    ]


def collator(processor: Any) -> Callable[[list[Any]], Any]:
    """What the notebooks write: conversations, alone or in a column, with pictures inside or beside."""

    def collate(examples: list[Any]) -> Any:
        turns = [example if isinstance(example, list) else example["messages"] for example in examples]
        parts = [[part for turn in own for part in turn["content"]] for own in turns]
        texts = [" ".join("<image>" if part["type"] == "image" else part["text"] for part in own) for own in parts]
        images = [
            [part["image"] for part in own if part.get("image") is not None] or example["images"]
            for own, example in zip(parts, examples, strict=True)
        ]
        batch = processor(text=texts, images=images, return_tensors="pt", padding=True)
        labels = batch["input_ids"].clone()
        labels[labels == processor.tokenizer.pad_token_id] = -100
        return {**batch, "labels": labels}

    return collate


def beside(count: int) -> Dataset:
    return Dataset.from_list(
        [{"messages": conversation(index, {}), "images": [picture(index)]} for index in range(count)]
    )


def adapters() -> LoraConfig:
    return LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")


def trls_losses(folder: Path, **given: Any) -> list[float]:
    """The same run as TRL 1.16 takes it."""
    args = trl.SFTConfig(output_dir=str(folder), remove_unused_columns=False, **given, **TWO_STEPS, **BARE)
    processor = tiny_processor()
    return losses(
        trl.SFTTrainer(
            model=tiny_llava(),
            args=args,
            train_dataset=beside(4),
            processing_class=processor,
            data_collator=collator(processor),
            peft_config=adapters(),
        )
    )


def test_lists_of_conversations_with_a_tokenizer_train_as_trl_trains_the_dataset(tmp_path: Path, capsys: Any) -> None:
    """Rows are lists themselves, with pictures inside them, as notebooks of 2024 have them."""
    processor = tiny_processor()
    args = sightline.SFTConfig(
        output_dir=str(tmp_path),
        evaluation_strategy="no",
        max_seq_length=1024,
        dataset_text_field="",
        dataset_kwargs={"skip_prepare_dataset": True},
        gradient_checkpointing_kwargs={"use_reentrant": False},
        **TWO_STEPS,
        **BARE,
    )
    args.remove_unused_columns = False
    rows = [conversation(index, {"image": picture(index)}) for index in range(4)]
    trainer = sightline.SFTTrainer(
        model=tiny_llava(),
        args=args,
        train_dataset=rows,
        eval_dataset=rows[:2],
        data_collator=collator(processor),
        peft_config=adapters(),
        tokenizer=processor.tokenizer,
    )
    assert trainer.train_dataset is rows
    assert losses(trainer) == pytest.approx(trls_losses(tmp_path), abs=1e-5)
    assert trainer.evaluate()["eval_loss"] > 0
    said = capsys.readouterr().err
    assert "tokenizer is processing_class today" in said and "max_seq_length is max_length today" in said
    assert "Route plain: a data_collator was given (collate)" in said


def test_a_script_with_training_arguments_and_settings_beside_them_runs(tmp_path: Path, capsys: Any) -> None:
    processor = tiny_processor()
    given = {name: value for name, value in BARE.items() if name != "bf16"}
    trainer = sightline.SFTTrainer(
        model=tiny_llava(),
        args=TrainingArguments(
            output_dir=str(tmp_path), remove_unused_columns=False, learning_rate=2e-5, **TWO_STEPS, **given
        ),
        train_dataset=beside(4),
        eval_dataset=beside(2),
        dataset_text_field="text",
        tokenizer=processor.tokenizer,
        data_collator=collator(processor),
        dataset_kwargs={"skip_prepare_dataset": True},
        peft_config=adapters(),
        max_seq_length=2048,
        packing=False,
    )
    assert type(trainer.args) is sightline.SFTConfig and trainer.args.max_length == 2048
    assert losses(trainer) == pytest.approx(trls_losses(tmp_path), abs=1e-5)
    assert "dataset_kwargs is a setting of SFTConfig today" in capsys.readouterr().err


@pytest.mark.parametrize("adapted", [True, False])
def test_preferences_with_beta_and_lengths_beside_the_arguments_equal_trls(adapted: bool, tmp_path: Path) -> None:
    given = {name: value for name, value in BARE.items() if name != "bf16"}
    more = {"peft_config": adapters(), "ref_model": None} if adapted else {"ref_model": tiny_llava(2)}
    old = sightline.DPOTrainer(
        tiny_llava(1),
        args=TrainingArguments(output_dir=str(tmp_path), remove_unused_columns=False, **TWO_STEPS, **given),
        beta=0.3,
        train_dataset=PREFERENCES,
        tokenizer=tiny_processor(),
        max_length=512,
        max_prompt_length=256,
        **more,
    )
    args = TrainingArguments(output_dir=str(tmp_path), **TWO_STEPS, **given).to_dict()
    args = {name: value for name, value in args.items() if not name.endswith("_token")}
    today = trl.DPOTrainer(
        tiny_llava(1),
        args=trl.DPOConfig(**args, beta=0.3, max_length=512),
        train_dataset=PREFERENCES,
        processing_class=tiny_processor(),
        **more,
    )
    assert (old.args.beta, old.args.max_length, old.route.route) == (0.3, 512, "mask")
    assert losses(old) == pytest.approx(losses(today), abs=1e-5)


@pytest.mark.parametrize("name", ["SFTTrainer", "DPOTrainer"])
def test_arguments_in_trls_order_are_taken_and_the_signature_is_trls(name: str, tmp_path: Path) -> None:
    assert inspect.signature(getattr(sightline, name)) == inspect.signature(getattr(trl, name))
    args = getattr(sightline, name.replace("Trainer", "Config"))(str(tmp_path), **TWO_STEPS, **SHORT_RUN)
    first = (tiny_llava(), args) if name == "SFTTrainer" else (tiny_llava(), tiny_llava(2), args)
    rows = Dataset.from_list(vqa_rows(4, 2)) if name == "SFTTrainer" else PREFERENCES
    processor = tiny_processor()
    trainer = getattr(sightline, name)(*first, None, rows, None, processor)
    assert trainer.processing_class is processor and trainer.route.route == "mask"


def test_callbacks_as_classes_and_an_optimizer_of_ones_own_are_used(tmp_path: Path) -> None:
    class Counts(TrainerCallback):
        steps = 0

        def on_step_end(self, *_: Any, **__: Any) -> None:
            Counts.steps += 1

    model = tiny_llava()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    before = copy.deepcopy(model.state_dict())
    trainer = sightline.SFTTrainer(
        model=model,
        args=sightline.SFTConfig(str(tmp_path), **TWO_STEPS, **SHORT_RUN),
        train_dataset=Dataset.from_list(vqa_rows(4, 2)),
        processing_class=tiny_processor(),
        callbacks=[Counts],
        optimizers=(optimizer, schedule),
    )
    losses(trainer)
    assert Counts.steps == 2
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_has_no_place_is_refused_by_name(tmp_path: Path) -> None:
    given: dict[str, Any] = {"model": tiny_llava(), "train_dataset": PREFERENCES}
    for name, value in {"model_init": tiny_llava, "generate_during_eval": True, "ref_model_init_kwargs": {}}.items():
        with pytest.raises(ConfigError, match=f"DPOTrainer: {name}: TRL 1.16 has no such setting"):
            sightline.DPOTrainer(**given, **{name: value})
    with pytest.raises(TypeError, match="unexpected keyword argument 'max_seq_len'. Did you mean"):
        sightline.SFTTrainer(**given, max_seq_len=3)
    with pytest.raises(ConfigError, match="tokenizer: expected processing_class alone"):
        sightline.SFTTrainer(**given, tokenizer=tiny_processor(), processing_class=tiny_processor())
