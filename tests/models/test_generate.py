"""Greedy answers are asked of transformers without a warning, whatever the model's own settings of sampling are."""

from __future__ import annotations

import pytest
from transformers.generation import configuration_utils

from sightline.data.encoding.prompts import render_prompt
from sightline.models.generate import generate_answers
from sightline.models.load import LoadedVlm
from sightline.types import Question
from tests.tiny import tiny_llava, tiny_processor


@pytest.mark.parametrize("settings", [{"top_p": 0.3, "top_k": 0}, {"temperature": 0.2, "top_k": 1}])
def test_settings_of_sampling_are_neither_used_nor_warned_of(monkeypatch, settings):
    model, processor = tiny_llava().eval(), tiny_processor()
    loaded = LoadedVlm(model, processor, "tiny")
    prompt = render_prompt(processor, Question("what is this ?"))
    expected = generate_answers(loaded, [prompt], 4)
    model.generation_config.update(do_sample=True, **settings)
    said: list[str] = []
    monkeypatch.setattr(configuration_utils.logger, "warning_once", said.append)
    assert generate_answers(loaded, [prompt], 4) == expected
    assert said == []
