"""Settings that look at rows as they are take TRL's own rows and say why; what no path trains exactly is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import peft
import pytest
import torch
import trl
from datasets import Dataset

import sightline
from sightline.errors import ConfigError
from tests.tiny import SHORT_RUN, preference_rows, tiny_llava, tiny_processor

pytestmark = pytest.mark.slow  # each test trains


DECODER = r".*language_model.*(q_proj|v_proj|down_proj)"
INVOCATION = tiny_processor().tokenizer("assistant :", add_special_tokens=False)["input_ids"]


def rows_of(method: str) -> Dataset:
    pairs = preference_rows(8, 3)
    if method == "dpo":
        return Dataset.from_list(pairs)
    return Dataset.from_list(
        [{"images": row["images"], "prompt": row["prompt"], "completion": row["chosen"]} for row in pairs]
    )


def make(library: Any, method: str, folder: Path, trainer_class: Any = None, **given: Any) -> Any:
    """A trainer of three steps, its model full or under `peft_config`."""
    config = {"per_device_train_batch_size": 4, "max_steps": 3, "learning_rate": 1e-3, **SHORT_RUN}
    config |= {"train_sampling_strategy": "sequential", "output_dir": str(folder)}
    arguments: dict[str, Any] = {
        name: given.pop(name) for name in ("peft_config", "model", "compute_metrics") if name in given
    }
    if method == "dpo" and "peft_config" not in arguments:
        arguments["ref_model"] = tiny_llava(2)
    kinds = [getattr(library, method.upper() + kind) for kind in ("Trainer", "Config")]
    return (trainer_class or kinds[0])(
        **{"model": tiny_llava(1)} | arguments,
        args=kinds[1](**config | given),
        train_dataset=rows_of(method),
        processing_class=tiny_processor(),
    )


def logged(trainer: Any) -> list[dict[str, float]]:
    torch.manual_seed(0)
    trainer.train()
    names = ("loss", "grad_norm", "num_tokens", "num_input_tokens_seen", "total_flos")
    return [{name: entry[name] for name in names if name in entry} for entry in trainer.state.log_history]


@pytest.mark.parametrize("method", ["sft", "dpo"])
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"neftune_noise_alpha": 5.0}, "neftune_noise_alpha scales its noise by the length of each row"),
        (
            {"peft_config": peft.LoraConfig(r=4, lora_alpha=64, task_type="CAUSAL_LM", target_modules=DECODER,
                                            alora_invocation_tokens=INVOCATION)},
            "activated LoRA looks for its invocation tokens",
        ),
        (
            {"peft_config": peft.PveraConfig(r=4, target_modules=r".*language_model.*q_proj")},  # draws for each token
            "adapters of the type PVERA are not known",
        ),
    ],
    ids=["neftune", "alora", "pvera"],
)  # fmt: skip
def test_settings_that_look_at_whole_rows_train_as_trl_does(
    method: str, given: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    ours = make(sightline, method, tmp_path, **given)
    assert ours.route.route == "plain"
    assert reason in ours.route.reason
    for one, other in zip(logged(ours), logged(make(trl, method, tmp_path, **given)), strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("method", ["sft", "dpo"])
@pytest.mark.parametrize("counted", ["all", "non_padding"])
def test_tokens_and_flops_of_a_forest_are_counted_as_trl_counts_them(method: str, counted: str, tmp_path: Path) -> None:
    ours = make(sightline, method, tmp_path, include_num_input_tokens_seen=counted)
    assert ours.route.route == "mask"
    theirs = logged(make(trl, method, tmp_path, include_num_input_tokens_seen=counted))
    assert {"num_input_tokens_seen", "total_flos"} <= {name for entry in theirs for name in entry}
    for one, other in zip(logged(ours), theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-5)


def test_a_forest_that_is_insisted_on_is_refused_beside_such_a_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="share is set to mask, but neftune_noise_alpha scales"):
        make(sightline, "sft", tmp_path, neftune_noise_alpha=5.0, share="mask")


def test_a_subclass_that_computes_its_loss_from_rows_gets_rows(tmp_path: Path) -> None:
    def compute_loss(
        self: Any, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        labels = inputs.pop("labels")
        logits = model(**inputs).logits[:, :-1].flatten(0, 1)
        return torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten())

    classes = [type("Weighted", (library.SFTTrainer,), {"compute_loss": compute_loss}) for library in (sightline, trl)]
    ours, theirs = (make(library, "sft", tmp_path, one) for library, one in zip((sightline, trl), classes, strict=True))
    assert "Weighted overrides compute_loss" in ours.route.reason
    for one, other in zip(logged(ours), logged(theirs), strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-5)


def test_biases_that_train_under_adapters_move_the_reference_as_in_trl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    adapters = peft.LoraConfig(r=4, target_modules=DECODER, bias="all")
    ours = make(sightline, "dpo", tmp_path, peft_config=adapters, max_steps=4)
    assert "References are not stored: the run trains " in capsys.readouterr().err
    for one, other in zip(
        logged(ours), logged(make(trl, "dpo", tmp_path, peft_config=adapters, max_steps=4)), strict=True
    ):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-4)
    with pytest.raises(ConfigError, match="reference_store is on, but the run trains .* so that the reference moves"):
        make(sightline, "dpo", tmp_path, peft_config=adapters, reference_store="on")


def test_references_that_drop_at_random_are_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    adapters = peft.LoraConfig(r=4, target_modules=DECODER, lora_dropout=0.1)  # off where the model is the reference
    assert make(sightline, "dpo", tmp_path, peft_config=adapters, max_steps=4).data_collator.references is not None
    model = tiny_llava(1)
    model.model.language_model.layers[0].self_attn.attention_dropout = 0.3
    dropping = make(sightline, "dpo", tmp_path, peft_config=adapters, model=model, max_steps=4)
    assert dropping.data_collator.references is None
    assert "the model drops at random in training (" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_padding_that_trl_refuses_is_refused(method: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pad_to_multiple_of: expected none, since TRL pads rows of messages alone"):
        make(sightline, method, tmp_path, pad_to_multiple_of=8)
    with pytest.raises(NotImplementedError):
        make(trl, method, tmp_path, pad_to_multiple_of=8).train()


def test_padded_messages_are_counted_as_trl_counts_them(tmp_path: Path) -> None:
    counts = []
    for library, share in ((sightline, {}), (sightline, {"share": "plain"}), (trl, {})):
        config = {**SHORT_RUN, "pad_to_multiple_of": 32, "include_num_input_tokens_seen": "all", "max_steps": 2}
        trainer = library.SFTTrainer(
            model=tiny_llava(1),
            args=library.SFTConfig(output_dir=str(tmp_path), per_device_train_batch_size=4, **config, **share),
            train_dataset=Dataset.from_list(
                [{"images": row["images"], "messages": row["prompt"] + row["chosen"]} for row in preference_rows(8, 3)]
            ),
            processing_class=tiny_processor(),
        )
        counts.append(logged(trainer)[-1])
    names = ("num_input_tokens_seen", "total_flos")
    assert [[count[name] for name in names] for count in counts[:2]] == [[counts[2][name] for name in names]] * 2


def test_processes_that_do_not_see_each_other_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    args = SimpleNamespace(world_size=1, use_cpu=False)
    with pytest.raises(ConfigError, match=r"use_cpu: expected true, since the launcher started 2 processes"):
        sightline.SFTTrainer(model=tiny_llava(1), args=args, train_dataset=rows_of("sft"))
    with pytest.raises(ConfigError, match=r"use_cpu: expected true, since the launcher started 2 processes"):
        sightline.DPOTrainer(model=tiny_llava(1), args=args, train_dataset=rows_of("dpo"))


class TestSpreadModels:
    """Models whose weights do not lie whole in each process."""

    def test_device_map_takes_plain_rows(self, tmp_path: Path) -> None:
        model = tiny_llava(1)
        model.hf_device_map = {"model.vision_tower": 0, "model.language_model": 1, "lm_head": 1}
        trainer = make(sightline, "sft", tmp_path, model=model)
        assert trainer.route.route == "plain"
        assert "device_map spreads the model over 2 devices" in trainer.route.reason

    def test_fsdp_with_an_untied_head_that_trains_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sharded = spread(monkeypatch, "ACCELERATE_USE_FSDP")
        with pytest.raises(ConfigError, match="fsdp: TRL 1.16 reads the head's weight itself, .* Train by LoRA"):
            sharded(make(sightline, "sft", tmp_path))

    @pytest.mark.parametrize("variable", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
    def test_adapters_take_plain_rows_where_the_model_is_sharded(
        self, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sharded = spread(monkeypatch, variable)
        trainer = make(sightline, "sft", tmp_path, peft_config=peft.LoraConfig(r=2, target_modules=DECODER))
        choice = sharded(trainer)
        assert (choice.route, "FSDP or DeepSpeed shards the model" in choice.reason) == ("plain", True)
        trainer.args.share = "mask"
        with pytest.raises(ConfigError, match="share is set to mask, but FSDP or DeepSpeed shards the model"):
            sharded(trainer)

    @pytest.mark.parametrize("size", ["cp_size", "sp_size"])
    def test_rows_cut_over_processes_are_refused(
        self, size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trainer = make(sightline, "sft", tmp_path)
        parallel = SimpleNamespace(**{"tp_size": 1, "cp_size": 1, "sp_size": 1} | {size: 2})
        monkeypatch.setattr(type(trainer.accelerator), "parallelism_config", parallel)
        with pytest.raises(ConfigError, match=f"{size}: expected 1, since rows with images are not cut along"):
            choose(trainer)

    def test_tensor_parallelism_takes_plain_rows(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        trainer = make(sightline, "sft", tmp_path)
        parallel = SimpleNamespace(tp_size=2, cp_size=1, sp_size=1)
        monkeypatch.setattr(type(trainer.accelerator), "parallelism_config", parallel)
        assert "tensor parallelism" in choose(trainer).reason


def choose(trainer: Any) -> Any:
    """The route of a trainer that was made already, as it chose it when it had TRL's collator."""
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    from sightline.training.sharing import choose_training_route

    ours = trainer.data_collator
    trainer.data_collator = DataCollatorForVisionLanguageModeling(trainer.processing_class, completion_only_loss=True)
    try:
        return choose_training_route(trainer.parts, ours.encoder, preferences=False).route
    finally:
        trainer.data_collator = ours


def spread(monkeypatch: pytest.MonkeyPatch, variable: str) -> Any:
    """What chooses the route of a trainer as if a launcher had asked for sharding; that needs GPUs itself."""

    def chosen(trainer: Any) -> Any:
        with monkeypatch.context() as patched:
            patched.setenv(variable, "true")
            return choose(trainer)

    return chosen
