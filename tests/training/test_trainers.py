"""Our trainers and TRL's on the same batches: collators, loss types, routes, features, order of rows."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import trl
from datasets import Dataset
from peft import LoraConfig
from PIL import Image
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

import sightline
import sightline.training
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.errors import DataError
from sightline.training.collators import PreferenceCollator, SFTCollator
from sightline.training.sampler import ImageGroupSampler
from tests.tiny import picture, preference_rows, tiny_llava, tiny_processor, vqa_rows

LOSS_TYPES = (
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
    "discopop", "apo_zero", "apo_down", "sft", "sigmoid_norm",
)  # fmt: skip


def settings(config_class: type, folder: Path, **given: Any) -> Any:
    return config_class(
        output_dir=str(folder),
        report_to=[],
        max_length=None,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
        save_strategy="no",
        **given,
    )


def dpo(trainer_class: type, config_class: type, folder: Path, **arguments: Any) -> Any:
    """A trainer that computes all it needs; ours without stores."""
    stores = {} if config_class is trl.DPOConfig else {"feature_store": "off", "reference_store": "off"}
    return trainer_class(
        model=tiny_llava(1),
        args=settings(config_class, folder, **stores),
        train_dataset=Dataset.from_list(preference_rows(4, 2)),
        processing_class=tiny_processor(),
        **arguments,
    )


def as_completions(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "images": [row["image"]],
            "prompt": [{"role": "user", "content": row["question"]}],
            "completion": [{"role": "assistant", "content": row["answer"]}],
        }
        for row in rows
    ]


def as_messages(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"images": row["images"], "messages": row["prompt"] + row["completion"]} for row in as_completions(rows)]


class TestPlainBatchesEqualTrls:
    """Without sharing, our collators make the very tensors that TRL's make."""

    def test_prompt_completion(self) -> None:
        rows = as_completions(vqa_rows(5, 2))
        theirs = DataCollatorForVisionLanguageModeling(tiny_processor(), completion_only_loss=True)
        self.compare(SFTCollator(encoder(), 0, share=False)(rows), theirs(copy.deepcopy(rows)))

    def test_messages_with_every_token_scored(self) -> None:
        rows = as_messages(vqa_rows(5, 2))
        theirs = DataCollatorForVisionLanguageModeling(tiny_processor())
        self.compare(SFTCollator(encoder(), 0, share=False)(rows), theirs(copy.deepcopy(rows)))

    def test_messages_with_assistant_turns_scored(self) -> None:
        rows = as_messages(vqa_rows(5, 2))
        theirs = DataCollatorForVisionLanguageModeling(tiny_processor(), assistant_only_loss=True)
        ours = SFTCollator(encoder(assistant_only_loss=True), 0, share=False)
        self.compare(ours(rows), theirs(copy.deepcopy(rows)))

    def test_plain_text_rows_with_a_placeholder_written_out(self) -> None:
        rows: list[dict[str, Any]] = [
            {"images": [picture(0)], "prompt": "<image> what is this ?", "completion": " red circle"},
            {"images": [], "prompt": "how many ?", "completion": " two"},
        ]
        theirs = DataCollatorForVisionLanguageModeling(tiny_processor(), completion_only_loss=True)
        self.compare(SFTCollator(encoder(), 0, share=False)(rows), theirs(copy.deepcopy(rows)))

    def test_preferences(self) -> None:
        rows = preference_rows(5, 2)
        theirs = DataCollatorForVisionPreference(tiny_processor())
        self.compare(PreferenceCollator(encoder(), 0, share=False)(rows), theirs(copy.deepcopy(rows)))

    def test_preferences_of_a_tokenizer_without_an_end_token(self) -> None:
        rows, endless = preference_rows(5, 2), encoder()
        endless.processor.tokenizer.eos_token = None
        known, made = (PreferenceCollator(one, 0, share=False)(rows) for one in (encoder(), endless))
        seen = known["attention_mask"].bool()
        assert torch.equal(made["input_ids"][seen], known["input_ids"][seen])
        assert torch.equal(made["attention_mask"], known["attention_mask"]) and not made["input_ids"][~seen].any()

    def test_a_length_limit_cuts_where_trl_cuts(self) -> None:
        rows = preference_rows(5, 2)
        theirs = DataCollatorForVisionPreference(tiny_processor(), max_length=31)
        ours = PreferenceCollator(encoder(max_length=31), 0, share=False)
        self.compare(ours(rows), theirs(copy.deepcopy(rows)))

    def compare(self, ours: dict[str, Any], theirs: Any) -> None:
        assert set(ours) == set(theirs)
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("library", [trl, sightline])
def test_a_collator_of_ones_own_is_given_pictures_and_the_tokenizers_own_template(library: Any, tmp_path: Path) -> None:
    """As the scripts of TRL's documentation have it."""
    processor = tiny_processor()
    seen: list[type] = []
    processor.tokenizer.chat_template = "user : {% for m in messages %}<image> {{ m['content'] }} {% endfor %}"

    def collate(examples: list[dict[str, Any]]) -> Any:
        seen.extend(type(example["images"][0]) for example in examples)
        turns = [[{"role": "user", "content": "what"}]] * len(examples)
        texts = processor.tokenizer.apply_chat_template(turns, tokenize=False)
        images = [example["images"][0] for example in examples]
        batch = processor(text=texts, images=images, return_tensors="pt", padding=True)
        return {**batch, "labels": batch["input_ids"].clone()}

    rows = Dataset.from_list(as_messages(vqa_rows(4, images=2)))
    args = settings(library.SFTConfig, tmp_path, max_steps=1, dataset_kwargs={"skip_prepare_dataset": True})
    given = {"model": tiny_llava(), "args": args, "train_dataset": rows, "processing_class": processor}
    library.SFTTrainer(**given, data_collator=collate).train()
    assert seen and all(issubclass(kind, Image.Image) for kind in seen)
    assert processor.chat_template == tiny_processor().chat_template


def test_pictures_for_a_collator_of_ones_own_are_of_the_formats_that_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    rows = Dataset.from_list([{**row, "images": [str(path)]} for row in as_messages(vqa_rows(2, images=1))])
    rows = rows.cast_column("images", datasets.List(datasets.Image()))  # paths alone are the collator's to open
    args = settings(sightline.SFTConfig, tmp_path, dataset_kwargs={"skip_prepare_dataset": True})
    given = {"model": tiny_llava(), "args": args, "train_dataset": rows, "processing_class": tiny_processor()}
    with pytest.raises(DataError, match=r"the dataset row 1: image '.*a.jpg' is no picture .*PostScript"):
        sightline.SFTTrainer(**given, data_collator=lambda rows: {})


def transparent(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with pictures whose middle is red and whose ground is transparent black."""
    logo = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    logo.paste((255, 0, 0, 255), (10, 10, 30, 30))
    return [{**row, "images": [logo]} for row in rows]


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("kind", ["demonstrations", "preferences"])
def test_transparent_pictures_reach_the_model_as_trls_collators_give_them(kind: str, share: bool) -> None:
    """On white: the corner of the logo is white to CLIP's processor, (1 - mean) / deviation in each channel."""
    if kind == "demonstrations":
        rows = transparent(as_completions(vqa_rows(2, images=1)))
        theirs = DataCollatorForVisionLanguageModeling(tiny_processor())(copy.deepcopy(rows))
        ours = SFTCollator(encoder(), 0, share=share)(rows)
    else:
        rows = transparent(preference_rows(2, images=1))
        theirs = DataCollatorForVisionPreference(tiny_processor())(copy.deepcopy(rows))
        ours = PreferenceCollator(encoder(), 0, share=share)(rows)
    pixels = ours["pixel_values"]
    assert torch.equal(pixels[0], theirs["pixel_values"][0])
    assert pixels[0, :, 0, 0].tolist() == pytest.approx([1.9303, 2.0749, 2.1459], abs=1e-4)


@pytest.mark.parametrize("share", [True, False])
def test_collators_leave_their_rows_as_they_were(share: bool) -> None:
    rows = preference_rows(3, 2)
    before = copy.deepcopy(rows)
    PreferenceCollator(encoder(), 0, share)(rows)
    assert rows == before


def test_every_loss_type_of_trl_has_trls_value(tmp_path: Path) -> None:
    ours = dpo(sightline.DPOTrainer, sightline.DPOConfig, tmp_path / "a", ref_model=tiny_llava(2))
    theirs = dpo(trl.DPOTrainer, trl.DPOConfig, tmp_path / "b", ref_model=tiny_llava(2))
    rows = preference_rows(4, 2, seed=5)
    batches = [trainer.data_collator(copy.deepcopy(rows)) for trainer in (ours, theirs)]
    for loss_type in LOSS_TYPES:
        values = []
        for trainer, batch in zip((ours, theirs), batches, strict=True):
            trainer.loss_types, trainer.loss_weights, trainer.label_smoothing = [loss_type], [1.0], 0.1
            with torch.no_grad():
                values.append(float(trainer._compute_loss(trainer.model, dict(batch), return_outputs=False)))
        assert values[0] == pytest.approx(values[1], abs=1e-4, rel=1e-5), loss_type
    metrics = [trainer._metrics["train"] for trainer in (ours, theirs)]
    assert metrics[0].keys() == metrics[1].keys()
    for name, theirs_values in metrics[1].items():
        assert metrics[0][name] == pytest.approx(theirs_values, abs=1e-4, rel=1e-5), name


def test_the_list_of_loss_types_is_trls() -> None:
    """TRL names them in DPOConfig's help; a new one must enter the test above."""
    text = trl.DPOConfig.__dataclass_fields__["loss_type"].metadata["help"]
    assert all(f"'{name}'" in text for name in LOSS_TYPES)
    assert text.count("`'") >= 0 and len({part for part in text.split("'") if part in LOSS_TYPES}) == len(LOSS_TYPES)


def test_adapters_on_the_decoder_encode_an_image_once_for_policy_and_reference(tmp_path: Path) -> None:
    adapters = LoraConfig(r=2, target_modules=r".*language_model.*q_proj")
    trainer = dpo(sightline.DPOTrainer, sightline.DPOConfig, tmp_path, peft_config=adapters)
    assert tower_passes(trainer) == 1


def test_full_fine_tuning_encodes_an_image_once_per_model(tmp_path: Path) -> None:
    trainer = dpo(sightline.DPOTrainer, sightline.DPOConfig, tmp_path, ref_model=tiny_llava(2))
    assert tower_passes(trainer) == 1  # the policy's; the reference has a tower of its own


def tower_passes(trainer: Any) -> int:
    """Calls of the policy's tower in the loss of one batch."""
    base = trainer.accelerator.unwrap_model(trainer.model)
    tower = (base.get_base_model() if hasattr(base, "get_base_model") else base).model.vision_tower
    calls: list[int] = []
    handle = tower.register_forward_hook(lambda *_: calls.append(1))
    batch = trainer.data_collator(preference_rows(4, 2))
    trainer.model.train()
    trainer._compute_loss(trainer.model, batch, return_outputs=False)
    handle.remove()
    return len(calls)


def test_a_run_that_needs_logits_takes_plain_rows_and_says_why(tmp_path: Path) -> None:
    trainer = sightline.SFTTrainer(
        model=tiny_llava(1),
        args=settings(sightline.SFTConfig, tmp_path),
        train_dataset=Dataset.from_list(vqa_rows(4, 2)),
        processing_class=tiny_processor(),
        compute_loss_func=lambda outputs, labels, **_: outputs.logits.sum(),
    )
    assert trainer.route.route == "plain"
    assert "compute_loss_func" in trainer.route.reason


def test_a_text_with_its_picture_trains_as_trls_collator_makes_it(tmp_path: Path) -> None:
    rows = [
        {"text": f"<image> what is {word} ?", "image": picture(place)} for place, word in enumerate(["red", "blue"])
    ]
    losses = []
    for library, config in ((trl, trl.SFTConfig), (sightline, sightline.SFTConfig)):
        # TRL 1.16 itself drops the column unless it is told to keep all.
        args = settings(config, tmp_path, remove_unused_columns=library is sightline, max_steps=1)
        trainer = library.SFTTrainer(
            model=tiny_llava(1), args=args, train_dataset=Dataset.from_list(rows), processing_class=tiny_processor()
        )
        losses.append(trainer.train().training_loss)
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_trls_own_config_is_taken(tmp_path: Path) -> None:
    trainer = sightline.SFTTrainer(
        model=tiny_llava(1),
        args=settings(trl.SFTConfig, tmp_path),
        train_dataset=Dataset.from_list(vqa_rows(4, 2)),
        processing_class=tiny_processor(),
    )
    assert trainer.route.route == "mask"


def test_an_epoch_holds_each_row_once_with_the_rows_of_an_image_together() -> None:
    keys = [f"image {index % 5}" for index in range(23)]
    sampler = ImageGroupSampler(keys, seed=7)
    order = list(sampler)
    assert sorted(order) == list(range(23))
    images = [keys[index] for index in order]
    assert sum(a != b for a, b in zip(images, images[1:], strict=False)) == 4


def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone() -> None:
    keys = [f"image {index % 5}" for index in range(23)]
    first, again, other = (ImageGroupSampler(keys, seed) for seed in (7, 7, 8))
    assert list(first) == list(again) != list(other)
    again.set_epoch(1)
    assert list(first) != list(again)


def encoder(**given: Any) -> SequenceEncoder:
    return SequenceEncoder(tiny_processor(), EncodingSettings(**given))
