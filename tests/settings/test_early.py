"""Mistakes are told before torch, TRL or transformers are imported, and before any model or row is read."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sightline.cli.main import run
from sightline.errors import InputError
from sightline.settings import early, places
from sightline.settings.early import check_early, require_packages
from sightline.settings.known import FILE
from tests.known_settings import render_settings

HEAVY = ("torch", "transformers", "trl", "datasets", "peft", "pandas")
IMPORTED = """
import sys
from sightline.cli.main import run
codes = []
for line in sys.stdin.read().splitlines():
    codes.append(run(line.split()))
print("codes", *codes)
print("heavy", *sorted({"torch", "transformers", "trl", "datasets", "peft", "pandas"} & sys.modules.keys()))
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a model folder, rows, a recipe."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nano").mkdir()
    (tmp_path / "nano/config.json").write_text("{}")
    (tmp_path / "tiny.jsonl").write_text('{"question": "how many?", "answer": "two"}\n')
    (tmp_path / "mine.yaml").write_text("model: nano\ndataset_name: tiny.jsonl\n")
    return tmp_path


def test_no_mistake_and_no_help_imports_what_takes_seconds(here: Path) -> None:
    lines = (
        ["sft --help", "dpo --help_trl", "vilt vqa --help"],
        [
            "sft --model_name_or_path nofolder",
            "sft --model nano --dataset_name missing.jsonl",
            "dpo --config missing.yaml",
            "sft --config mine.yaml --output_dir tiny.jsonl/out",
            "sft mine.yaml --learning_rat 1",
            "sft mine.yaml --learning_rate 1e-5,",
            "sft mine.yaml --wd 1",
            "sft mine.yaml --optim adamww",
            "sft mine.yaml --report_to wandb",
            "vilt vqa --train_data missing.jsonl",
            "eval --model nan --data tiny.jsonl",
            "sft",
            "dpo --model nano --output_dir x",
            "eval --modell nano",
            "ask nan tiny.jsonl hm",
            "ask nano missing.png hm",
            "doctor --model nan",
            "doctor mine.yaml --lora_rank 8",
            "data preview missing.jsonl",
            "data check missing.jsonl",
            "compare one two",
            "score one",
        ],
    )
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTED], input="\n".join([*lines[0], *lines[1]]), capture_output=True, text=True
    )
    said = ran.stdout.splitlines()
    assert said[-2] == " ".join(["codes", *["0"] * len(lines[0]), *["2"] * len(lines[1])]), ran.stderr
    assert said[-1] == "heavy", f"imported: {said[-1]}"


def test_the_settings_on_file_are_those_of_the_records() -> None:
    assert FILE.read_text(encoding="utf-8") == render_settings(), "run `python -m tests.known_settings`"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--model", "nan"], r"nan could not be loaded.*HF_HUB_OFFLINE is set.*Did you mean ./nano\?"),
        (["--model", "./nan"], r"There is no model folder ./nan\..*Did you mean ./nano\?"),
        (["--model", "tiny.jsonl"], "expected a model folder or a Hub id, got the file tiny.jsonl"),
        (["--model", "."], "has no config.json.*the folder holds mine.yaml, nano, tiny.jsonl"),
        (["--dataset_name", "tny.jsonl"], r"There is no file or folder tny.jsonl.*Did you mean ./tiny.jsonl\?"),
        (["--datasets", "[{path: tny.jsonl}]"], r"There is no file or folder tny.jsonl"),
        (["--eval_dataset_name", "nano/x.csv"], "There is no file or folder nano/x.csv"),
        (["--config", "mina.yaml"], r"No recipe at mina.yaml.*Did you mean ./mine.yaml\?"),
        (["--output_dir", "tiny.jsonl/x"], r"--output_dir tiny.jsonl/x cannot be written: .*tiny.jsonl is no folder"),
        (["--output_dir", "/proc/x/out"], "--output_dir /proc/x/out cannot be written"),
        (["--output_dir", ""], "--output_dir is empty"),
        (["--output_dir"], "--output_dir needs a value"),
        (["--learning_rate"], r"--learning_rate needs a value \(float\)"),
        (["--learning_rate", "1e-5,"], "--learning_rate must be float, but is '1e-5,'"),
        (["--resume_from_checkpoint", "run/checkpoint-3"], "resume_from_checkpoint: there is no folder run/checkpoint"),
        (["--share", "masc"], "--share must be one of 'auto', 'mask', 'fork', 'plain', but is 'masc'"),
        (["--feature_store", "maybe"], "--feature_store must be bool or one of 'auto', 'on', 'off', but is 'maybe'"),
        (["tiny.jsonl", "tiny.jsonl"], "expected MODEL, then ROWS; tiny.jsonl and tiny.jsonl are both files of rows"),
        (["--max_steps", "3", "nano", "tiny.jsonl"], "--max_steps must be int.*MODEL and ROWS stand before the first"),
        (["--eval_tasks", "pope,mmbnch"], r"eval_tasks: there is no task 'mmbnch'. Did you mean 'mmbench_dev_en'\?"),
        (["--eval_tasks", "custom:tny.jsonl"], r"no file or folder tny.jsonl.*Did you mean ./tiny.jsonl\?"),
        (["--optim_args", "lr"], "optim_args: expected key=value, several with commas between them; got 'lr'"),
        (["--optim_args", "a=1,=2"], "optim_args: expected key=value"),
        (["--batch_size", "-1"], "per_device_train_batch_size: expected 1 or more; got -1"),
        (["--gradient_accumulation_steps", "0"], "gradient_accumulation_steps: expected 1 or more; got 0"),
        (["--dataloader_num_workers", "-2"], "dataloader_num_workers: expected 0 or more; got -2"),
        (["--lr", "-1"], "learning_rate: expected 0 or more; got -1"),
        (["--weight_decay", "-0.1"], "weight_decay: expected 0 or more; got -0.1"),
        (["--adam_beta2", "1"], "adam_beta2: expected at least 0 and less than 1; got 1"),
        (["-lr", "1"], "'-lr' is no setting. Write --key value: --lr"),
        (["mine.yaml", "--output_dir", "out", "--num_beams", "3"], "unknown key --num_beams"),
    ],
)
def test_what_cannot_be_is_one_line(argv: list[str], message: str, here: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    places.unreachable.cache_clear()
    with pytest.raises(InputError, match=message):
        check_early(argv, "sft")
    places.unreachable.cache_clear()
    assert {path.name for path in here.iterdir()} == {"nano", "tiny.jsonl", "mine.yaml"}


@pytest.mark.parametrize(
    "argv",
    [
        ["mine.yaml"],
        ["mine.yaml", "--feature_store", "true", "--bf16", "yes", "--use_cpu", "1", "--max_steps", "-1"],
        ["mine.yaml", "--learning_rate=1.0e-5", "--report_to", "none", "--eval_strategy", "no", "--lora_r=8"],
        ["mine.yaml", "--output_dir", "new/deep/er", "--run_name", "a=b #3", "--dataset_name", "owner/rows"],
        ["mine.yaml", "--no_bf16", "--loss_type", "nll", "--lr_scheduler_type", "cosine", "--dtype", "bfloat16"],
    ],
)
def test_what_can_be_passes_and_leaves_nothing(argv: list[str], here: Path) -> None:
    check_early(argv, "sft")
    assert {path.name for path in here.iterdir()} == {"nano", "tiny.jsonl", "mine.yaml"}


def test_of_a_flag_that_stands_there_twice_the_last_counts_and_a_line_says_so(here: Path, capsys: Any) -> None:
    check_early(["mine.yaml", "--seed", "1", "--seed", "2", "--max_steps", "3", "--max_steps", "3"], "sft")
    assert capsys.readouterr().err == "--seed stands there twice, with '1' and '2': the last counts.\n"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"report_to": "wandb"}, "report_to wandb needs wandb.*pip install wandb`, or set report_to to none"),
        ({"report_to": ["none", "mlflow"]}, "report_to mlflow needs mlflow"),
        ({"attn_implementation": "flash_attention_2"}, "needs flash_attn.*pip install flash-attn"),
        ({"attn_implementation": "kernels-community/x"}, "needs kernels"),
        ({"load_in_4bit": True}, "load_in_4bit true needs bitsandbytes"),
        ({"optim": "adamw_bnb_8bit"}, "optim adamw_bnb_8bit needs bitsandbytes.*set optim to adamw_torch"),
        ({"optim": "paged_adamw_32bit"}, "needs bitsandbytes"),
        ({"optim": "galore_adamw_8bit"}, "needs galore_torch.*pip install galore-torch"),
        ({"use_liger_kernel": True}, "needs liger_kernel.*pip install liger-kernel"),
        ({"deepspeed": "ds.json"}, "deepspeed ds.json needs deepspeed"),
    ],
)
def test_a_package_that_is_not_there_is_named_with_its_setting(
    settings: dict[str, Any], message: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("sightline.settings.early.find_spec", lambda name: None)
    with pytest.raises(InputError, match=f"r.yaml: .*{message}"):
        require_packages(settings, "r.yaml")
    monkeypatch.setattr("sightline.settings.early.find_spec", lambda name: name)
    require_packages(settings, "r.yaml")


def test_settings_that_need_no_package_pass(monkeypatch: Any) -> None:
    monkeypatch.setattr("sightline.settings.early.find_spec", lambda name: None)
    plain = {"report_to": "none", "attn_implementation": "sdpa", "load_in_4bit": False, "optim": "adamw_torch_fused"}
    require_packages({**plain, "deepspeed": None}, "r.yaml")


def test_a_flag_replaces_the_package_that_a_recipe_asks_for(here: Path) -> None:
    (here / "mine.yaml").write_text("model: nano\ndataset_name: tiny.jsonl\nreport_to: wandb\n")
    check_early(["mine.yaml", "--report_to", "none"], "sft")


@pytest.mark.parametrize("how", ["refused", "no such host", "silent"])
def test_a_hub_that_does_not_answer_is_asked_twice_and_then_not_at_all(
    how: str, here: Path, monkeypatch: Any, capsys: Any
) -> None:
    asked: list[Any] = []

    def connect(address: Any, timeout: float) -> None:
        asked.append((address, timeout))
        if how == "silent":
            raise TimeoutError("timed out")
        raise OSError(111, how)

    for name in (*places.OFFLINE, "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(here / "cache"))
    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(places, "_set_offline", lambda: None)
    places.unreachable.cache_clear()
    with pytest.raises(InputError, match=r"owner/nan could not be loaded.*the Hub cannot be asked"):
        check_early(["--model", "owner/nan"], "sft")
    said = capsys.readouterr().err.splitlines()
    assert asked == [(("huggingface.co", 443), places.WAIT_S)] * 2
    assert "Trying once more" in said[0] and "cannot be reached" in said[1] and len(said) == 2
    (here / "cache/hub/models--owner--nan/snapshots/1").mkdir(parents=True)
    (here / "cache/hub/models--owner--nan/snapshots/1/config.json").write_text("{}")
    check_early(["--model", "owner/nan"], "sft")
    places.unreachable.cache_clear()
    assert early.OUTPUT not in {path.name for path in here.iterdir()}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["eval", "--batch_size", "3"], "unknown option --batch_size. It is batch_tokens here"),
        (["eval", "--dataset", "x"], "unknown option --dataset. It is data here"),
        (["eval", "--limitt", "3"], "unknown option --limitt. Did you mean 'limit'?"),
        (["eval", "--model"], "--model needs a value"),
        (["eval", "--model", "--limit", "3"], "--model needs a value"),
        (["eval", "--modelNameOrPath", "nan"], "nan could not be loaded"),
        (["ask", "--model", "nan", "x.png", "why?"], "nan could not be loaded"),
        (["ask", "x.png", "why?", "--model_name_or_path=nan"], "nan could not be loaded"),
        (["ask", "nano", "--image", "x.png", "why?"], "image 'x.png' not found"),
        (["build", "tiny.jsonl/x", "--preset", "nano"], "--out tiny.jsonl/x cannot be written"),
        (["score", "--run", "nan"], "run: there is no folder nan.*Did you mean ./nano"),
    ],
)
def test_options_of_every_verb_go_by_the_names_that_people_type(
    argv: list[str], said: str, here: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    places.unreachable.cache_clear()
    assert run(argv) == 2
    assert re.search(said, capsys.readouterr().err)
    places.unreachable.cache_clear()
