"""A trained folder is whole: it loads with processor and template, and a merged adapter answers as an unmerged one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForImageTextToText, AutoProcessor

import sightline
import sightline.training
from sightline.models.load import load_vlm
from tests.tiny import TEMPLATE, picture, preference_rows, tiny_folder, vqa_rows

TRAINERS: dict[str, Any] = {
    "sft": (sightline.SFTConfig, sightline.SFTTrainer, vqa_rows(8, 4)),
    "dpo": (sightline.DPOConfig, sightline.DPOTrainer, preference_rows(8, 4)),
}


def trained(folder: Path, method: str, lora: bool) -> Any:
    """A trainer after three steps whose model and processor lie in `folder / "run"`."""
    tiny_folder(folder / "base", 1)
    config_class, trainer_class, rows = TRAINERS[method]
    config = config_class(
        output_dir=str(folder / "run"),
        report_to=[],
        max_length=None,
        bf16=False,
        disable_tqdm=True,
        save_strategy="no",
        max_steps=3,
        per_device_train_batch_size=4,
        learning_rate=1e-2,
    )
    adapter = LoraConfig(r=4, target_modules=r".*language_model.*(q_proj|v_proj|up_proj)") if lora else None
    trainer = trainer_class(
        model=str(folder / "base"), args=config, train_dataset=Dataset.from_list(rows), peft_config=adapter
    )
    trainer.train()
    trainer.save_model()
    return trainer


def answer_logits(model: Any, processor: Any) -> torch.Tensor:
    """Logits of a templated question about a picture."""
    content = [{"type": "image"}, {"type": "text", "text": "what is the colour ?"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(images=[picture(3)], text=text, return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        return model.eval()(**inputs).logits


@pytest.mark.parametrize("method", ["sft", "dpo"])
@pytest.mark.parametrize("lora", [False, True])
def test_a_trained_folder_loads_with_its_processor_and_template(method: str, lora: bool, tmp_path: Path) -> None:
    trainer = trained(tmp_path, method, lora)
    loaded = load_vlm(tmp_path / "run")
    assert AutoProcessor.from_pretrained(tmp_path / "run").chat_template == TEMPLATE
    expected = answer_logits(trainer.model, trainer.processing_class)
    torch.testing.assert_close(answer_logits(loaded.model, loaded.processor), expected, atol=1e-5, rtol=0)
    base = load_vlm(tmp_path / "base")
    assert float((answer_logits(base.model, base.processor) - expected).abs().max()) > 1e-2, "training changed nothing"


def test_a_merged_adapter_answers_as_an_unmerged_one(tmp_path: Path) -> None:
    trainer = trained(tmp_path, "sft", lora=True)
    expected = answer_logits(trainer.model, trainer.processing_class)
    adapted = load_vlm(tmp_path / "run")
    adapted.model.merge_and_unload().save_pretrained(tmp_path / "merged")
    adapted.processor.save_pretrained(tmp_path / "merged")
    merged = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged")
    processor = AutoProcessor.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(answer_logits(merged, processor), expected, atol=1e-4, rtol=0)
