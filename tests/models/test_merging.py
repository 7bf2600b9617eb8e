"""A merged model answers as its base with the adapter does, lies as its base lies, and is whole or not there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from sightline.cli.main import run
from sightline.errors import ConfigError, InputError, MachineError, RunFolderError
from sightline.models import merging
from sightline.models.adapter_folders import chosen_adapter
from sightline.models.load import LoadedVlm, load_vlm
from sightline.models.merged_folder import write_model
from sightline.models.merging import MergeSettings, largest_difference, merge_adapter, probe
from tests.tiny import tiny_folder, tiny_llava, tiny_processor

LAYERS = r"model\.language_model.*(q_proj|v_proj)"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("base"))


def adapter_of(base: Path, folder: Path, settings: Any, name: str = "default", model: Any = None) -> Path:
    """An adapter of random weights that change every layer it is on."""
    torch.manual_seed(1)
    adapted = peft.get_peft_model(model or load_vlm(base, "float32").model, settings, adapter_name=name)
    for value in adapted.parameters():
        if value.requires_grad:
            value.data = value.data + 0.2 * torch.randn_like(value)
    adapted.save_pretrained(folder)
    return folder


def merged_kinds() -> dict[str, Any]:
    return {
        "lora": peft.LoraConfig(target_modules="all-linear"),
        "rslora": peft.LoraConfig(target_modules=LAYERS, use_rslora=True),
        "dora": peft.LoraConfig(target_modules=LAYERS, use_dora=True),
        "pissa": peft.LoraConfig(target_modules=LAYERS, init_lora_weights="pissa"),
        "olora": peft.LoraConfig(target_modules=LAYERS, init_lora_weights="olora"),
        "biases": peft.LoraConfig(target_modules=LAYERS, bias="all"),
        "lora biases": peft.LoraConfig(target_modules=LAYERS, bias="lora_only"),
        "head": peft.LoraConfig(target_modules=LAYERS, modules_to_save=["lm_head"]),
        "embeddings": peft.LoraConfig(target_modules=["embed_tokens", "q_proj"]),
        "tokens": peft.LoraConfig(target_modules=LAYERS, trainable_token_indices=[7, 8]),
        "parameters": peft.LoraConfig(target_modules=[], target_parameters=["q_proj.weight"]),
        "adalora": peft.AdaLoraConfig(target_modules=LAYERS, total_step=10),
        "loha": peft.LoHaConfig(target_modules=LAYERS),
        "lokr": peft.LoKrConfig(target_modules=LAYERS),
        "ia3": peft.IA3Config(target_modules=LAYERS, feedforward_modules=[]),
        "vera": peft.VeraConfig(target_modules=LAYERS),
        "oft": peft.OFTConfig(target_modules=LAYERS, oft_block_size=4),
        "boft": peft.BOFTConfig(target_modules=LAYERS, boft_block_size=4),
        "norms": peft.LNTuningConfig(target_modules=["input_layernorm"]),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", merged_kinds())
def test_every_kind_of_adapter_that_changes_weights_gives_the_logits_of_base_and_adapter(
    base: Path, tmp_path: Path, kind: str
) -> None:
    adapter = adapter_of(base, tmp_path / "adapter", merged_kinds()[kind])
    merged = merge_adapter(MergeSettings(str(adapter), tmp_path / "out"))
    before, after, alone = (probe(load_vlm(folder, device="cpu")) for folder in (adapter, tmp_path / "out", base))
    assert merged.difference is not None and merged.difference < 1e-5
    assert (largest_difference(before, after) or 0) < 1e-5 < (largest_difference(alone, after) or 0)
    assert not (tmp_path / "out" / "adapter_config.json").exists()


@pytest.mark.parametrize("start", ["pissa_niter_4", "PiSSA_niter_4", "lora_ga"])
def test_an_adapter_whose_base_would_be_drawn_anew_is_refused_until_it_is_plain_lora(
    base: Path, tmp_path: Path, start: str
) -> None:
    settings = peft.LoraConfig(target_modules=LAYERS, init_lora_weights=start.lower())
    adapted = peft.get_peft_model(load_vlm(base, "float32").model, settings)
    adapted.save_pretrained(tmp_path / "initial")
    for name, value in adapted.named_parameters():
        if "lora_" in name:
            value.data = value.data + 0.2 * torch.randn_like(value)
    adapted.save_pretrained(tmp_path / "adapter")
    written = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({**written, "init_lora_weights": start}))
    merging = MergeSettings(str(tmp_path / "adapter"), tmp_path / "out")
    for use in (lambda: load_vlm(tmp_path / "adapter"), lambda: merge_adapter(merging)):
        with pytest.raises(InputError, match=f"adapter was begun by init_lora_weights='{start}', which took a part"):
            use()
    adapted.save_pretrained(tmp_path / "plain", path_initial_model_for_weight_conversion=str(tmp_path / "initial"))
    asked = probe(load_vlm(tmp_path / "plain", device="cpu"))
    trained = probe(LoadedVlm(adapted.eval(), load_vlm(base).processor, "trained", adapted=True))
    assert (largest_difference(asked, trained) or 0) < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["embed_tokens"]},
        {"target_modules": ["lm_head"]},
        {"target_modules": LAYERS, "modules_to_save": ["embed_tokens"]},
        {"target_modules": LAYERS, "modules_to_save": ["lm_head"]},
        {"target_modules": LAYERS, "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
        {"target_modules": LAYERS, "trainable_token_indices": [7, 8]},
        {"target_modules": LAYERS},
    ],
)  # fmt: skip
def test_embeddings_that_are_one_weight_with_the_head_are_told_apart_where_the_adapter_does(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    """PEFT adds an adapter of one to both, and what `modules_to_save` trained is lost when the folder is read."""
    model = tiny_llava()
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = True
    model.tie_weights()
    model.save_pretrained(tmp_path / "base")
    tiny_processor().save_pretrained(tmp_path / "base")
    adapter = adapter_of(tmp_path / "base", tmp_path / "adapter", peft.LoraConfig(**settings))
    assert load_vlm(tmp_path / "base").model.config.tie_word_embeddings
    merge_adapter(MergeSettings(str(adapter), tmp_path / "out"))
    before, after = (probe(load_vlm(folder, device="cpu")) for folder in (adapter, tmp_path / "out"))
    assert (largest_difference(before, after) or 0) < 1e-5
    stays = settings.get("trainable_token_indices") or settings.get("ensure_weight_tying") or len(settings) == 1
    tied = load_vlm(tmp_path / "out").model.config.tie_word_embeddings
    assert tied == bool(stays and settings["target_modules"] == LAYERS)


def test_weights_are_added_up_in_float32_and_rounded_once_to_the_precision_of_each(base: Path, tmp_path: Path) -> None:
    half = load_vlm(base).model.to(torch.bfloat16)
    half.save_pretrained(tmp_path / "half")
    tiny_processor().save_pretrained(tmp_path / "half")
    adapter = adapter_of(base, tmp_path / "adapter", peft.LoraConfig(target_modules=LAYERS, lora_alpha=3))
    out = merge_adapter(MergeSettings(str(adapter), tmp_path / "out", base=str(tmp_path / "half")))
    assert out.folder.dtype == "bfloat16"
    name = "model.language_model.layers.0.self_attn.q_proj"
    own = load_file(adapter / "adapter_model.safetensors")
    a, b = (own[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
    expected = (half.get_submodule(name).weight.float() + (3 / 8) * (b @ a)).to(torch.bfloat16)
    assert torch.equal(load_vlm(tmp_path / "out", device="cpu").model.get_submodule(name).weight, expected)
    wide = merge_adapter(MergeSettings(str(adapter), tmp_path / "wide", str(tmp_path / "half"), dtype="float32"))
    assert wide.folder.dtype == json.loads((tmp_path / "wide" / "config.json").read_text())["dtype"] == "float32"


def test_a_merged_folder_lies_as_its_base_does(base: Path, tmp_path: Path) -> None:
    load_vlm(base).model.save_pretrained(tmp_path / "base", max_shard_size="40KB")
    processor = tiny_processor()
    processor.chat_template = {"default": processor.chat_template, "other": "{{ messages }}"}
    processor.save_pretrained(tmp_path / "base")
    refused = {"do_sample": False, "temperature": 0.2, "eos_token_id": 2}  # which GenerationConfig does not save
    (tmp_path / "base" / "generation_config.json").write_text(json.dumps(refused))
    (tmp_path / "base" / "LICENSE.txt").write_text("terms")
    (tmp_path / "base" / "README.md").write_text("---\nlicense: apache-2.0\nbase_model: someone/base\n---\nwords\n")
    adapter = adapter_of(tmp_path / "base", tmp_path / "adapter", peft.LoraConfig(target_modules=LAYERS))
    for name in ("optimizer.pt", "training_args.bin", "trainer_state.json"):
        (adapter / name).write_text("")
    out = tmp_path / "out"
    merged = merge_adapter(MergeSettings(str(adapter), out))
    shards = len(list((tmp_path / "base").glob("*.safetensors")))
    assert merged.folder.shards == len(list(out.glob("*.safetensors"))) == shards > 3
    assert len({path.stat().st_mode for path in out.iterdir() if path.is_file()}) == 1  # who reads one, reads all
    assert json.loads((out / "generation_config.json").read_text()) == refused
    assert load_vlm(out).processor.chat_template == processor.chat_template
    card = (out / "README.md").read_text()
    assert "license: apache-2.0" in card and "base_model: someone/base" in card and "| r | 8 |" in card
    kept = {path.name for path in out.iterdir() if not path.name.endswith((".safetensors", ".jinja"))}
    assert kept == {
        "LICENSE.txt", "README.md", "additional_chat_templates", "config.json", "generation_config.json",
        "model.safetensors.index.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    few = merge_adapter(MergeSettings(str(adapter), tmp_path / "few", max_shard_size="1GB"))
    assert few.folder.shards == 1


def test_what_acts_beside_the_weights_is_refused_by_name(base: Path, tmp_path: Path) -> None:
    kinds = {
        "PROMPT_TUNING": peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
        "activated LoRA": peft.LoraConfig(target_modules=LAYERS, alora_invocation_tokens=[7], task_type="CAUSAL_LM"),
    }
    for number, (kind, settings) in enumerate(kinds.items()):
        adapter = adapter_of(base, tmp_path / str(number), settings)
        with pytest.raises(InputError, match=f"holds a {kind}.* adapter, which acts beside the model's weights"):
            merge_adapter(MergeSettings(str(adapter), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapter_of(base, tmp_path_factory.mktemp("run") / "adapter", peft.LoraConfig(target_modules=LAYERS))


def changed(adapter: Path, folder: Path, **settings: Any) -> Path:
    """A copy of the adapter with other settings."""
    shutil.copytree(adapter, folder)
    old = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**old, **settings}))
    return folder


def test_of_several_adapters_one_is_asked_for_by_name_and_a_copy_of_dpo_is_none(adapter: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(adapter, folder)
    for other in ("ref", "checkpoint-3", ".model.partial"):
        shutil.copytree(adapter, folder / other)
    assert chosen_adapter(str(folder)) == str(folder)
    assert chosen_adapter(str(folder), "ref") == str(folder / "ref")
    shutil.copytree(adapter, folder / "polite")
    with pytest.raises(InputError, match=r"run holds 2 adapters: default, polite. Name one by --adapter"):
        chosen_adapter(str(folder))
    assert chosen_adapter(str(folder), "polite") == str(folder / "polite")
    with pytest.raises(InputError, match=r"has none of the name 'rude'; it has default, polite, ref"):
        chosen_adapter(str(folder), "rude")
    (folder / "adapter_config.json").unlink()
    assert chosen_adapter(str(folder)) == str(folder / "polite"), "the only one that is no copy"
    shutil.rmtree(folder / "polite")
    shutil.rmtree(folder / "ref")
    with pytest.raises(InputError, match=r"holds no adapter itself, but checkpoint-3"):
        chosen_adapter(str(folder))


def test_what_is_no_adapter_or_no_new_folder_is_said_before_anything_is_loaded(
    base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "load_model", None)
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes").write_text("")
    cases: list[tuple[Path, Path, dict[str, Any], type[Exception], str]] = [
        (base, tmp_path / "out", {}, InputError, "is a whole model, no adapter"),
        (tmp_path / "nowhere", tmp_path / "out", {}, InputError, "There is no folder"),
        (adapter, full, {}, RunFolderError, "holds something already"),
        (adapter, adapter, {}, RunFolderError, "holds something already"),
        (adapter, adapter / "inner" / "out", {}, ConfigError, "lies in the folder of the adapter"),
        (adapter, base / "out", {}, ConfigError, "lies in the folder of its base"),
        (adapter, tmp_path / "out", {"dtype": "int8"}, ConfigError, "dtype: expected auto, float32"),
        (adapter, tmp_path / "out", {"max_shard_size": "5 G"}, ConfigError, "expected a size such as 5GB"),
        (adapter, tmp_path / "out", {"base": str(adapter)}, InputError, "is an adapter itself"),
    ]
    for place, out, given, kind, said in cases:
        with pytest.raises(kind, match=re.escape(said)):
            merge_adapter(MergeSettings(str(place), out, **given))
    stacked = changed(adapter, tmp_path / "stacked", base_model_name_or_path=str(adapter))
    with pytest.raises(InputError, match=r"is an adapter of .* itself. .*`sightline merge .* FOLDER`"):
        merge_adapter(MergeSettings(str(stacked), tmp_path / "out"))
    with pytest.raises(InputError, match="which is an adapter itself"):
        load_vlm(stacked)
    quantized = tmp_path / "quantized"
    quantized.mkdir()
    config = {**json.loads((base / "config.json").read_text())}
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (quantized / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"is quantized \(bitsandbytes, 4 bits\).*--base"):
        merge_adapter(MergeSettings(str(adapter), tmp_path / "out", base=str(quantized)))
    assert not (tmp_path / "out").exists()


def test_damage_and_adapters_of_other_models_are_one_line(base: Path, adapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def said(folder: Path) -> str:
        with pytest.raises(InputError) as caught:
            merge_adapter(MergeSettings(str(folder), out, base=str(base)))
        with pytest.raises(InputError) as asked:
            load_vlm(base, adapter=folder)
        assert "\n" not in str(caught.value) + str(asked.value)
        return str(caught.value)

    cut = changed(adapter, tmp_path / "cut")
    weights = cut / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "adapter_model.safetensors is no whole file of weights" in said(cut)
    garbled = changed(adapter, tmp_path / "garbled")
    (garbled / "adapter_config.json").write_text('{"peft_type": "LORA"')
    assert "adapter_config.json is no whole JSON" in said(garbled)
    assert "got 'LORRA'. Did you mean 'LORA'?" in said(changed(adapter, tmp_path / "odd", peft_type="LORRA"))
    wide = {name: value.repeat(1, 2) for name, value in load_file(adapter / "adapter_model.safetensors").items()}
    other = changed(adapter, tmp_path / "other")
    save_file(wide, other / "adapter_model.safetensors")
    assert "have another shape" in said(other)
    strange = changed(adapter, tmp_path / "strange", target_modules="thinker.*q_proj")
    assert "does not fit this model" in said(strange)
    broken = changed(adapter, tmp_path / "broken")
    values = load_file(adapter / "adapter_model.safetensors")
    save_file({name: value * float("nan") for name, value in values.items()}, broken / "adapter_model.safetensors")
    with pytest.raises(InputError, match="PEFT cannot merge the LORA adapter .*NaNs"):
        merge_adapter(MergeSettings(str(broken), out, base=str(base)))
    assert not out.exists()


def test_a_full_disk_leaves_nothing_and_is_one_line(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "out"))

    monkeypatch.setattr(merging, "write_card", full)
    with pytest.raises(MachineError, match="out could not be written: .*No space left on device. Free space there"):
        merge_adapter(MergeSettings(str(adapter), tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_what_comes_out_with_other_logits_or_other_weights_is_not_kept(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmerged(adapted: Any, origin: Any) -> Any:
        return adapted.unload()

    def another(folder: Path, model: Any, *rest: Any) -> Any:
        written = write_model(folder, model, *rest)
        model.lm_head.weight.data += 1
        return written

    for name, spoilt, kind, said in (
        ("_merge", unmerged, InputError, "cannot be merged into .* differ from those of base and adapter"),
        ("write_model", another, MachineError, "1 weights read otherwise, such as lm_head.weight"),
    ):
        with monkeypatch.context() as patch, pytest.raises(kind, match=said):
            patch.setattr(merging, name, spoilt)
            merge_adapter(MergeSettings(str(adapter), tmp_path / "out"))
        assert not list(tmp_path.iterdir())


def test_the_command_prints_the_folder_and_says_what_it_did(
    adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["merge", str(adapter), str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'out'}\n"
    assert "LORA" in printed.err and "it has the logits of base and adapter" in printed.err
    assert run(["merge", str(adapter), str(tmp_path / "out")]) == 2
    assert "holds something already" in capsys.readouterr().err
