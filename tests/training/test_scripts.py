"""A script that imports from sightline what it imported from trl finds it, or is told where it is."""

from __future__ import annotations

import importlib

import pytest
import trl
from transformers import LlavaProcessor

import sightline
from sightline.training import scripts
from sightline.training.given_rows import GivenRows
from sightline.training.tokenizer_alone import with_processor
from tests.tiny import preference_rows, tiny_llava, tiny_processor


def test_names_beside_the_trainers_are_trls() -> None:
    assert set(sightline._OF_SCRIPTS) == set(scripts.__all__)
    library = importlib.import_module("sightline")
    for name in ("ModelConfig", "ScriptArguments", "TrlParser", "get_peft_config", "get_quantization_config"):
        assert getattr(library, name) is getattr(trl, name)
    assert library.get_kbit_device_map() is None or library.get_kbit_device_map().keys() == {""}
    assert library.DataCollatorForVisionPreference.__module__ == "trl.trainer.dpo_trainer"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("GRPOTrainer", "sightline has no GRPOTrainer. Import it from TRL: from trl import GRPOTrainer"),
        ("RewardConfig", "from trl import RewardConfig"),
        ("DataCollatorForCompletionOnlyLM", "nor has TRL 1.16: .*assistant_only_loss"),
        ("setup_chat_format", "clone_chat_template"),
        ("SFTTrainner", "cannot import name"),
    ],
)
def test_a_name_that_is_not_ours_says_where_it_is(name: str, message: str) -> None:
    with pytest.raises(ImportError, match=message):
        exec(f"from sightline import {name}", {})


def test_parts_of_the_library_are_no_names_of_trl() -> None:
    assert importlib.import_module("sightline.models") is sightline.models
    assert not hasattr(sightline, "__wrapped__")


def test_a_tokenizer_is_put_into_the_processor_of_the_models_folder(tmp_path) -> None:
    tiny_processor().save_pretrained(tmp_path)
    tokenizer = tiny_processor().tokenizer
    rows = GivenRows.of(preference_rows(2, 2), None, None)
    given = with_processor({"processing_class": tokenizer}, str(tmp_path), rows, needed=True)
    assert isinstance(given["processing_class"], LlavaProcessor)
    assert given["processing_class"].tokenizer is tokenizer
    with pytest.raises(sightline.errors.ConfigError, match="expected the model's processor"):
        with_processor({"processing_class": tokenizer}, tiny_llava(), rows, needed=True)
