"""The reproduction check names what differs between two runs, and says so when nothing explains other answers."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from sightline.evaluation.comparison.changes import PairedSamples, SamplePair
from sightline.evaluation.comparison.reproduction import Reproduction, RunRecord, check_reproduction
from tests.evaluation.comparison.test_run import sample

SUMMARY: dict[str, Any] = {
    "model": "nano",
    "settings": {"method": "generate", "likelihood_norm": "sum", "judge_model": "", "adapter": None, "endpoint": None},
    "tasks": {
        "made": {
            "prompt": "official",
            "profile": "strict",
            "max_new_tokens": 16,
            "data": {"place": "made.jsonl", "revision": "", "md5": ""},
        }
    },
    "provenance": {
        "weights": "w1",
        "model_settings": {"vision_feature_layer": -2, "text_config": {"rope_parameters": {"rope_theta": 1e4}}},
        "adapter_settings": {"default": {"lora_alpha": 8}},
        "modules": "m1",
        "processor": "p1",
        "processor_settings": {"size": 336, "do_pad": True},
        "chat_template": "c1",
        "tokenizer": "t1",
        "dtype": "torch.float32",
        "attention": "sdpa",
        "decoding": {"strategy": "greedy", "stop_ids": [2], "repetition_penalty": 1.0},
        "versions": {"torch": "2.13.0", "python": "3.11.7"},
    },
}
PAIR = SamplePair(replace(sample(0, 1), prompt="what?"), replace(sample(0, 1), prompt="what?"))


def check(path: str = "", value: Any = None, pair: SamplePair = PAIR, **counts: int) -> Reproduction:
    """The check of a run against one in which the entry at a dotted path has another value."""
    other = copy.deepcopy(SUMMARY)
    *parents, last = path.split(".")
    place = other
    for name in parents:
        place = place[name]
    if last:
        place[last] = value
    return check_reproduction(RunRecord(SUMMARY, {}), RunRecord(other, {}), {"made": PairedSamples((pair,), **counts)})


def differing(found: Reproduction) -> dict[str, tuple[str, ...]]:
    return {aspect.name: aspect.differences for aspect in found.aspects if aspect.status == "differs"}


@pytest.mark.parametrize(
    ("path", "value", "aspect", "said"),
    [
        ("tasks.made.profile", "official", "scoring", "made profile strict in A, official in B"),
        ("settings.judge_model", "gpt", "scoring", "judge none in A, gpt in B"),
        ("settings.method", "likelihood", "decoding", "method generate in A, likelihood in B"),
        ("tasks.made.max_new_tokens", 64, "decoding", "made max_new_tokens 16 in A, 64 in B"),
        ("provenance.decoding.repetition_penalty", 1.1, "decoding", "repetition_penalty 1.0 in A, 1.1 in B"),
        ("provenance.decoding.stop_ids", [2, 7], "processor", "stop tokens 2 in A, 2, 7 in B"),
        ("provenance.processor_settings.size", 448, "processor", "size 336 in A, 448 in B"),
        ("provenance.chat_template", "c2", "processor", "chat template differs"),
        ("provenance.weights", "w2", "model", "weights differ"),
        ("provenance.model_settings.vision_feature_layer", -1, "model", "vision_feature_layer -2 in A, -1 in B"),
        (
            "provenance.model_settings.text_config.rope_parameters.rope_theta",
            5e5,
            "model",
            "text_config.rope_parameters.rope_theta 10000.0 in A, 500000.0 in B",
        ),
        ("provenance.adapter_settings.default.lora_alpha", 16, "model", "default.lora_alpha 8 in A, 16 in B"),
        ("provenance.modules", "m2", "model", "modules differ in what the settings do not show"),
        ("provenance.dtype", "torch.bfloat16", "model", "dtype torch.float32 in A, torch.bfloat16 in B"),
        ("settings.adapter", "lora", "model", "adapter none in A, lora in B"),
        ("provenance.versions.torch", "2.12.0", "versions", "torch 2.13.0 in A, 2.12.0 in B"),
    ],
)
def test_one_difference_is_found_where_it_belongs(path: str, value: Any, aspect: str, said: str) -> None:
    assert differing(check(path, value)) == {aspect: (said,)}


def test_prompts_are_compared_as_they_were_asked_whatever_their_origin_is_called() -> None:
    other = replace(PAIR, after=replace(PAIR.after, prompt="what is it?"))
    found = check("tasks.made.prompt", "lmms-eval", other)
    assert differing(found) == {
        "prompt": ("made: the text differs in 1 of 1 items, origin official in A, lmms-eval in B",)
    }
    assert found.is_warning and "differ in prompt: a change in score need not be the model's" in found.conclusion
    assert differing(check("tasks.made.prompt", "lmms-eval")) == {}, "another name for the same text changes nothing"


def test_other_pictures_under_the_same_ids_are_other_data() -> None:
    other = replace(PAIR, after=replace(PAIR.after, pictures=("another",)))
    assert differing(check(pair=other)) == {"data": ("made: pictures differ in 1 of 1 items",)}
    assert differing(check(asked_otherwise=3)) == {
        "data": ("made: 3 items ask something else under the same id; left out",)
    }
    assert check(only_before=4).aspects[0].notes == ("made: 1 common items; 4 in A alone, 0 in B alone",)


def test_the_same_answers_under_the_same_settings_are_a_reproduction() -> None:
    assert check().conclusion == "Reproduced: all 1 answers are the same." and not check().is_warning
    assert "under other versions" in check("provenance.versions.torch", "2.12.0").conclusion


def test_other_answers_without_a_cause_are_said_aloud() -> None:
    other = replace(PAIR, after=replace(PAIR.after, prediction="no"))
    found = check(pair=other)
    assert found.is_warning and found.other_answers == 1
    assert found.conclusion.startswith("1 of 1 answers differ, yet nothing relevant does.")
    assert found.conclusion.endswith("or a server that samples.")
    assert check("provenance.versions.torch", "2.12.0", other).conclusion.endswith("to explain it: the versions.")


def test_another_model_alone_is_no_warning_and_with_another_profile_it_is() -> None:
    found = check("provenance.weights", "w2")
    assert found.conclusion == "The model differs; data, prompt, scoring and decoding do not." and not found.is_warning
    both = copy.deepcopy(SUMMARY)
    both["provenance"]["weights"], both["tasks"]["made"]["profile"] = "w2", "official"
    found = check_reproduction(RunRecord(SUMMARY, {}), RunRecord(both, {}), {"made": PairedSamples((PAIR,))})
    assert found.conclusion == (
        "The runs differ in scoring, besides the model: a change in score is not the model's alone."
    )


def test_what_stored_answers_do_not_say_is_not_called_the_same() -> None:
    stored = copy.deepcopy(SUMMARY)
    stored["provenance"] = {"versions": {}}
    pair = replace(PAIR, after=replace(PAIR.after, prompt=""))
    found = check_reproduction(RunRecord(SUMMARY, {}), RunRecord(stored, {}), {"made": PairedSamples((pair,))})
    assert [aspect.name for aspect in found.aspects if aspect.unknown] == ["prompt", "decoding", "processor", "model"]
    assert found.conclusion.startswith("Reproduced: all 1 answers are the same, under other versions.")
    assert found.conclusion.endswith("Not known: prompt, decoding, processor and model.")
