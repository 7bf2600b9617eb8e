"""An adapter's folder starts the next stage: its weights train on as in TRL, and DPO's reference is what they were."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import trl
from datasets import Dataset

from sightline.cli.main import run
from sightline.data.encoding.sequences import EncodingSettings
from sightline.errors import ConfigError, InputError
from sightline.models.load import load_vlm
from sightline.training.arguments import read_settings
from sightline.training.dpo import DPOConfig, DPOTrainer
from sightline.training.plan import DPO, SFT, RunPlan
from sightline.training.planned_rows import PlannedRows
from sightline.training.run import make_trainer
from sightline.training.sft import SFTConfig, SFTTrainer
from sightline.training.source import model_source
from tests.tiny import SHORT_RUN, picture, preference_rows, tiny_folder, tiny_llava, tiny_processor, vqa_rows

LAYERS = r"model\.language_model.*(q_proj|v_proj)"
FLAGS = (
    "--max_steps=2 --bf16=false --gradient_checkpointing=false --report_to=none --save_strategy=no --logging_steps=1 "
    "--per_device_train_batch_size=2 --learning_rate=0.01 --max_length=1024 --disable_tqdm=true --feature_store=off"
).split()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that changes what the base says."""
    folder = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(0)
    settings = peft.LoraConfig(target_modules=LAYERS, init_lora_weights=False, r=4, task_type="CAUSAL_LM")
    peft.get_peft_model(load_vlm(base).model, settings).save_pretrained(folder)
    return folder


def made(settings: Any, method: str, rows: Dataset) -> Any:
    """The trainer of the settings over rows that nobody has read yet."""
    source = model_source(settings)
    given = PlannedRows(rows, "rows", is_planned=False)
    return make_trainer(RunPlan(method, settings, source, given, None, EncodingSettings(), None))


def settings_of(config: type, *flags: str) -> Any:
    return read_settings([*flags, "--output_dir", "unused", *FLAGS], config)


def demonstrations() -> list[dict[str, Any]]:
    return [
        {
            "images": [row["image"]],
            "prompt": [{"role": "user", "content": row["question"]}],
            "completion": [{"role": "assistant", "content": row["answer"]}],
        }
        for row in vqa_rows(4, 2)
    ]


def losses(trainer: Any) -> list[float]:
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def in_trl(base: Path, adapter: Path) -> Any:
    model = trl.trainer.utils.create_model_from_path(str(base), dtype="float32")
    return peft.PeftModel.from_pretrained(model, str(adapter), is_trainable=True)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sft", "dpo"])
@pytest.mark.parametrize("named", ["by its folder", "beside its base"])
def test_an_adapter_trains_on_as_in_trl(
    base: Path, adapter: Path, tmp_path: Path, stage: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    flags = ["--model_name_or_path", str(adapter)]
    if named == "beside its base":
        flags = ["--model_name_or_path", str(base), "--adapter", str(adapter)]
    rows = Dataset.from_list(preference_rows(4, 2) if stage == "dpo" else demonstrations())
    settings = settings_of(DPOConfig if stage == "dpo" else SFTConfig, *flags)
    settings.training.train_sampling_strategy = "sequential"
    ours = made(settings, stage, rows)
    assert ours.route.route == "mask"
    plain = trl.DPOConfig if stage == "dpo" else trl.SFTConfig
    args = plain(
        "unused", max_steps=2, bf16=False, gradient_checkpointing=False, report_to=[], save_strategy="no",
        logging_steps=1, per_device_train_batch_size=2, learning_rate=0.01, max_length=1024, disable_tqdm=True,
        train_sampling_strategy="sequential",
    )  # fmt: skip
    trainer = trl.DPOTrainer if stage == "dpo" else trl.SFTTrainer
    theirs = trainer(in_trl(base, adapter), args=args, train_dataset=rows, processing_class=tiny_processor())
    expected = losses(theirs)
    assert losses(ours) == pytest.approx(expected, abs=2e-5)
    if stage == "dpo":
        assert expected[0] == pytest.approx(0.6931, abs=1e-4), "policy and reference begin as one"
    mine, other = ({n: p for n, p in one.model.named_parameters() if ".default." in n} for one in (ours, theirs))
    assert mine.keys() == other.keys()
    for name, value in mine.items():
        assert value.requires_grad and torch.allclose(value, other[name], atol=2e-5), name


@pytest.mark.slow
def test_two_stages_leave_one_adapter_of_the_one_base_that_merges_into_what_it_answers(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(base, "model")
    picture(0).save("red.png")
    Path("rows.jsonl").write_text('{"image": "red.png", "question": "what is red ?", "answer": "a circle"}\n')
    said = {"question": "what is red ?", "chosen": "a square", "rejected": "a circle", "image": "red.png"}
    Path("pairs.jsonl").write_text(json.dumps(said) + "\n")
    first = ["--model_name_or_path", "model", "--dataset_name", "rows.jsonl", "--output_dir", "first"]
    assert run(["sft", *first, "--use_peft=true", "--lora_r=4", *FLAGS]) == 0
    second = ["--model_name_or_path", "first", "--dataset_name", "pairs.jsonl", "--output_dir", "second"]
    assert run(["dpo", *second, *FLAGS]) == 0
    for folder in ("first", "second", "second/ref"):
        settings = json.loads(Path(folder, "adapter_config.json").read_text())
        assert settings["base_model_name_or_path"] == str(tmp_path / "model")
    card = Path("second/README.md").read_text()
    assert f"an adapter of `{tmp_path / 'model'}`" in card and "`sightline merge second FOLDER`" in card
    monkeypatch.chdir("second")
    assert run(["merge", str(tmp_path / "second"), str(tmp_path / "whole")]) == 0
    capsys.readouterr()
    answers = []
    for folder in ("second", "whole", "first"):
        asked = ["ask", str(tmp_path / folder), str(tmp_path / "red.png"), "what is red ?", "--max_new_tokens", "6"]
        assert run(asked) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]


def test_what_cannot_begin_from_an_adapter_is_said_at_once(base: Path, adapter: Path, tmp_path: Path) -> None:
    def said(config: type, *flags: str) -> str:
        settings = settings_of(config, *flags)
        with pytest.raises(InputError) as caught:
            model_source(settings)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def copy(name: str, **changes: Any) -> str:
        folder = tmp_path / name
        shutil.copytree(adapter, folder)
        settings = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**settings, **changes}))
        return str(folder)

    named = "--model_name_or_path"
    for config in (SFTConfig, DPOConfig):
        assert "Leave use_peft out to go on" in said(config, named, str(adapter), "--use_peft=true")
        assert f"merge it first: `sightline merge {adapter} FOLDER`" in said(
            config, named, str(base), "--adapter", str(adapter), "--use_peft=true"
        )
    assert "has no adapter_config.json" in said(SFTConfig, named, str(base), "--adapter", str(base))
    assert "is an adapter itself" in said(SFTConfig, named, str(adapter), "--adapter", str(adapter))
    assert "got 'LORRA'" in said(SFTConfig, named, copy("odd", peft_type="LORRA"))
    cut = Path(copy("cut"), "adapter_model.safetensors")
    cut.write_bytes(cut.read_bytes()[:-9])
    assert "is no whole file of weights" in said(SFTConfig, named, str(cut.parent))
    for flags in (["--use_peft=true"], ["--adapter", str(adapter)]):
        with pytest.raises(ConfigError, match=r"preset: the model that it builds is in no folder.*sightline build"):
            model_source(settings_of(SFTConfig, "--preset=nano", *flags))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"base_model_name_or_path": "{wide}"}, "of its weights have another shape"),
        ({"target_modules": "thinker.*"}, "does not fit this model"),
        ({"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3}, "virtual tokens, which PEFT cannot go on training"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_before_a_step(
    base: Path, adapter: Path, tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    wide = tmp_path / "wide"
    shutil.copytree(base, wide)
    config = tiny_llava().config
    config.text_config.hidden_size = 64
    type(tiny_llava())(config).save_pretrained(wide)
    folder = tmp_path / "adapter"
    shutil.copytree(adapter, folder)
    own = json.loads((folder / "adapter_config.json").read_text())
    changed = {name: value.format(wide=wide) if isinstance(value, str) else value for name, value in changes.items()}
    (folder / "adapter_config.json").write_text(json.dumps({**own, **changed}))
    for config_class, method in ((SFTConfig, SFT), (DPOConfig, DPO)):
        settings = settings_of(config_class, "--model_name_or_path", str(folder))
        with pytest.raises(InputError, match=expected):
            made(settings, method, Dataset.from_list([]))


@pytest.mark.parametrize(("trainer", "config"), [(SFTTrainer, SFTConfig), (DPOTrainer, DPOConfig)])
def test_an_adapter_that_could_not_be_loaded_as_it_was_trained_is_refused_or_said(
    trainer: Any, config: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = Dataset.from_list(preference_rows(2, 1) if config is DPOConfig else demonstrations())
    adapters = peft.LoraConfig(target_modules=["q_proj"], init_lora_weights="pissa_niter_2", r=2)
    given = {"args": config(str(tmp_path), **SHORT_RUN), "train_dataset": rows, "processing_class": tiny_processor()}
    with pytest.raises(ConfigError, match="init_lora_weights: expected a start .* got 'pissa_niter_2'"):
        trainer(tiny_llava(), peft_config=adapters, **given)
    trainer(peft.get_peft_model(tiny_llava(), adapters), **given)  # whose script may save it as plain LoRA
    assert "what is saved cannot be loaded. Where it is trained, save it as plain LoRA" in caplog.text
