"""Which tokens of demonstrations are trained: TRL's rule, the same for a row whatever stands beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trl
from datasets import Dataset

import sightline
from sightline.errors import ConfigError
from tests.tiny import SHORT_RUN, picture, tiny_llava, tiny_processor

ASKED, SAID = {"role": "user", "content": "what is this ?"}, {"role": "assistant", "content": "a red circle"}
MORE = [{"role": "user", "content": "how many ?"}, {"role": "assistant", "content": "two"}]


def vsft(index: int, turns: list[dict[str, Any]]) -> dict[str, Any]:
    """A row as llava-instruct-mix-vsft has it."""
    messages = [
        {"role": turn["role"], "content": [{"index": None, "text": turn["content"], "type": "text"}]} for turn in turns
    ]
    messages[0]["content"].append({"index": 0, "text": None, "type": "image"})
    return {"images": [picture(index)], "messages": messages}


def llava(index: int, turns: list[dict[str, Any]]) -> dict[str, Any]:
    said = [{"from": {"user": "human", "assistant": "gpt"}[turn["role"]], "value": turn["content"]} for turn in turns]
    return {"image": picture(index), "conversations": said}


def trainer(folder: Path, rows: list[dict[str, Any]], library: Any = sightline, **given: Any) -> Any:
    settings = {"per_device_train_batch_size": 2, "train_sampling_strategy": "sequential", "max_steps": 1}
    return library.SFTTrainer(
        model=tiny_llava(1),
        args=library.SFTConfig(output_dir=str(folder), **{**SHORT_RUN, **settings, **given}),
        train_dataset=Dataset.from_list(rows),
        processing_class=tiny_processor(),
    )


def trained(one: Any) -> list[int]:
    """How many tokens of each row of the first batch are trained."""
    return (next(iter(one.get_train_dataloader()))["labels"] != -100).sum(1).tolist()


@pytest.mark.parametrize("row", [vsft, llava])
def test_the_tokens_trained_of_a_row_do_not_depend_on_other_rows(row: Any, tmp_path: Path) -> None:
    single = [row(index, [ASKED, SAID]) for index in range(3)]
    longer = [*single, row(3, [ASKED, SAID, *MORE])]
    alone, beside = trained(trainer(tmp_path, single)), trained(trainer(tmp_path, longer))
    assert alone == beside
    if row is vsft:
        assert alone == trained(trainer(tmp_path, single, trl))


def test_the_run_says_what_it_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer(tmp_path, [vsft(0, [ASKED, SAID])] * 2)
    assert "Trained: every token of messages, questions too, as in TRL (assistant_only_loss" in capsys.readouterr().err
    trainer(tmp_path, [vsft(0, [ASKED, SAID])] * 2, assistant_only_loss=True)
    assert "Trained: the assistant's turns of messages." in capsys.readouterr().err
    trainer(tmp_path, [{"images": [picture(0)], "prompt": [ASKED], "completion": [SAID]}] * 2)
    assert "Trained: the completions alone." in capsys.readouterr().err


@pytest.mark.parametrize("row", [{"messages": [ASKED, SAID]}, {"text": "<image> what is this ? a red circle"}])
def test_completion_only_loss_needs_completions_as_in_trl(row: dict[str, Any], tmp_path: Path) -> None:
    rows = [{"images": [picture(0)], **row}] * 2
    with pytest.raises(
        ConfigError, match=r"completion_only_loss: expected rows of prompt and completion, .* got train"
    ):
        trainer(tmp_path, rows, completion_only_loss=True)
    if "messages" in row:
        with pytest.raises(ValueError, match="`completion_only_loss` argument is not supported for language modeling"):
            trainer(tmp_path, rows, trl, completion_only_loss=True).train()


def test_text_alone_is_trls_own(tmp_path: Path) -> None:
    """TRL takes `completion_only_loss` for tokenized rows and conversations without pictures."""
    rows = [{"input_ids": [5, 6, 7], "completion_mask": [0, 1, 1]}] * 2
    trainer(tmp_path, rows, completion_only_loss=True)
    trainer(tmp_path, [{"messages": [ASKED, SAID]}] * 2, completion_only_loss=True)


def test_rows_to_evaluate_on_need_completions_too(tmp_path: Path) -> None:
    pair = {"images": [picture(0)], "prompt": [ASKED], "completion": [SAID]}
    with pytest.raises(ConfigError, match="got eval_dataset with images, messages"):
        sightline.SFTTrainer(
            model=tiny_llava(1),
            args=sightline.SFTConfig(output_dir=str(tmp_path), **SHORT_RUN, completion_only_loss=True),
            train_dataset=Dataset.from_list([pair]),
            eval_dataset=Dataset.from_list([{"images": [picture(0)], "messages": [ASKED, SAID]}]),
            processing_class=tiny_processor(),
        )


def test_conversations_train_their_answers_alone_where_that_is_asked_for(tmp_path: Path) -> None:
    rows = [llava(index, [ASKED, SAID]) for index in range(2)]
    assert trained(trainer(tmp_path, rows, completion_only_loss=True)) == [4, 4]  # a red circle </s>
