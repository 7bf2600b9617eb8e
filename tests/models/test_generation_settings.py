"""Settings of generation that cannot be meant so are told in a line each, and those of published models are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.models.generation_settings import odd_settings

WHOLE = {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": [2, 3], "pad_token_id": 0, "do_sample": True,
         "temperature": 0.6, "top_p": 0.95, "top_k": 20, "repetition_penalty": 1.05, "max_length": 4096,
         "transformers_version": "4.51.0"}  # fmt: skip


def odd(folder: Path, **changes: Any) -> list[str]:
    (folder / "config.json").write_text(json.dumps({"text_config": {"vocab_size": 64}}))
    (folder / "generation_config.json").write_text(json.dumps({**WHOLE, **changes}))
    return odd_settings(str(folder), 60)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"temperature": "hot"}, 'temperature: expected a number of at least 0, got "hot".'),
        ({"temperature": -1.0}, "temperature: expected a number of at least 0, got -1.0."),
        ({"top_p": 1.5}, "top_p: expected a number from 0 to 1, got 1.5."),
        ({"top_k": 2.5}, "top_k: expected a whole number of at least 0, got 2.5."),
        ({"num_beams": True}, "num_beams: expected a whole number of at least 1, got true."),
        ({"repetition_penalty": 0}, "repetition_penalty: expected a number above 0, got 0."),
        ({"do_sample": "yes"}, 'do_sample: expected true or false, got "yes".'),
        (
            {"eos_token_id": [2, 64]},
            "eos_token_id: expected numbers of tokens from 0 to 63, which the model knows, got ",
        ),
        ({"pad_token_id": -5}, "pad_token_id: expected numbers of tokens from 0 to 63"),
        ({"temprature": 1}, "transformers has no setting 'temprature', which changes nothing. Did you mean 'temper"),
    ],
)
def test_a_setting_that_cannot_be_meant_so_is_a_line(setting: dict[str, Any], told: str, tmp_path: Path) -> None:
    (line,) = odd(tmp_path, **setting)
    assert line.startswith(f"generation_config.json: {told}")


def test_settings_as_models_have_them_are_not_odd(tmp_path: Path) -> None:
    assert odd(tmp_path) == odd(tmp_path, eos_token_id=63, temperature=0.0, max_new_tokens=None) == []
    assert odd_settings("owner/name", 60) == []
