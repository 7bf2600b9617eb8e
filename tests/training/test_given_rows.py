"""Rows reach a collator of one's own untouched, lists are taken, and what is no set of rows is refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from datasets import Dataset, DatasetDict
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

import sightline
from sightline.errors import ConfigError
from sightline.training.given_rows import given_rows
from tests.tiny import SHORT_RUN, picture, preference_rows, tiny_llava, tiny_processor, vqa_rows

pytestmark = pytest.mark.slow  # each test trains


CHARTS = [
    {"image": picture(index), "query": "what is this ?", "label": ["a red circle"], "human_or_machine": index % 2}
    for index in range(4)
]
# Columns that are a format of ours as well: a collator of one's own reads them by their own names.
QUESTIONS = [{"image": picture(index), "question": "what ?", "answer": "red", "id": str(index)} for index in range(4)]
CAPTIONS = [{"image": picture(index), "text": "a red circle"} for index in range(4)]


def losses(library: Any, folder: Path, rows: Any, collate: Any, kind: str = "SFT", **more: Any) -> list[float]:
    args = getattr(library, f"{kind}Config")(
        str(folder), max_steps=2, per_device_train_batch_size=2, remove_unused_columns=False, **SHORT_RUN
    )
    trainer = getattr(library, f"{kind}Trainer")(
        model=tiny_llava(),
        args=args,
        train_dataset=rows,
        processing_class=tiny_processor(),
        data_collator=collate,
        **more,
    )
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize(
    ("rows", "words"), [(CHARTS, ("query", "label")), (QUESTIONS, ("question", "answer")), (CAPTIONS, ("text",))]
)
def test_a_collator_of_ones_own_is_given_the_rows_as_they_are(rows: Any, words: Any, tmp_path: Path) -> None:
    processor = tiny_processor()

    def collate(examples: list[dict[str, Any]]) -> Any:
        assert all(list(example) == list(rows[0]) for example in examples)
        texts = [f"<image> {' '.join(str(example[word]) for word in words)}" for example in examples]
        images = [[example["image"].convert("RGB")] for example in examples]
        batch = processor(text=texts, images=images, return_tensors="pt", padding=True)
        return {**batch, "labels": batch["input_ids"].clone()}

    theirs, ours = (losses(library, tmp_path, Dataset.from_list(rows), collate) for library in (trl, sightline))
    assert theirs == pytest.approx(ours, abs=1e-5)


def test_collators_of_trl_that_are_passed_give_trls_losses(tmp_path: Path) -> None:
    pairs = preference_rows(4, 2)
    rows = [{"images": row["images"], "prompt": row["prompt"], "completion": row["chosen"]} for row in pairs]
    collators = {
        "SFT": (rows, DataCollatorForVisionLanguageModeling(tiny_processor(), completion_only_loss=True), {}),
        "DPO": (pairs, DataCollatorForVisionPreference(tiny_processor()), {"ref_model": tiny_llava(2)}),
    }
    for kind, (given, collate, more) in collators.items():
        theirs, ours = (
            losses(library, tmp_path, Dataset.from_list(given), collate, kind, **more) for library in (trl, sightline)
        )
        assert theirs == pytest.approx(ours, abs=1e-5)


def test_a_list_of_rows_trains_as_the_dataset_of_them(tmp_path: Path) -> None:
    rows = vqa_rows(4, 2)
    of_list, of_dataset = (losses(sightline, tmp_path, given, None) for given in (rows, Dataset.from_list(rows)))
    assert of_list == of_dataset


@pytest.mark.parametrize("kind", ["SFT", "DPO"])
def test_rows_that_come_later_may_have_the_columns_that_the_first_had(kind: str, tmp_path: Path) -> None:
    rows = vqa_rows(4, 2) if kind == "SFT" else preference_rows(4, 2)
    for row in rows if kind == "DPO" else []:
        row |= {"question": row.pop("prompt")[0]["content"], "chosen": row["chosen"][0]["content"]}
        row |= {"rejected": row["rejected"][0]["content"], "image": row.pop("images")[0]}
    args = getattr(sightline, f"{kind}Config")(str(tmp_path), per_device_eval_batch_size=2, **SHORT_RUN)
    data = Dataset.from_list(rows)
    more = {"ref_model": tiny_llava(2)} if kind == "DPO" else {}
    trainer = getattr(sightline, f"{kind}Trainer")(
        model=tiny_llava(), args=args, train_dataset=data, eval_dataset=data, processing_class=tiny_processor(), **more
    )
    known = trainer.evaluate()["eval_loss"]
    assert trainer.evaluate(rows)["eval_loss"] == pytest.approx(known, abs=1e-6)
    assert trainer.evaluate({"a": data})["eval_a_loss"] == pytest.approx(known, abs=1e-6)
    assert trainer.predict(data).metrics["test_loss"] == pytest.approx(known, abs=1e-6)


class Numbered(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, int]:
        return {"number": index}


def test_what_is_no_set_of_rows_is_refused_with_what_to_pass() -> None:
    splits = DatasetDict(train=Dataset.from_list(CAPTIONS), test=Dataset.from_list(CAPTIONS))
    refused = {
        r"got a DatasetDict of train, test. Pass dataset\['train'\]": splits,
        "got a list of list. Make one by datasets.Dataset.from_list": [[1], [2]],
        "got a Numbered. Make one .* or pass the data_collator": Numbered(),
        "got a str": "rows.jsonl",
        "got an empty list": [],
        "one type each": [{"a": 1}, {"a": Numbered()}],
    }
    for message, rows in refused.items():
        with pytest.raises(ConfigError, match=f"train_dataset: expected .*{message}"):
            given_rows(rows, "train_dataset", own_collator=False)
    assert len(given_rows(Numbered(), "train_dataset", own_collator=True)) == 2
    assert given_rows(splits, "eval_dataset", own_collator=False)["test"].column_names == ["image", "text"]
