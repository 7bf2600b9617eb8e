"""Commands that are killed at random moments, by SIGKILL and SIGTERM in turn, end as ones that were not."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.cli.main import run
from sightline.cli.process import end_on_signals
from tests.endpoint import Server, completion
from tests.tiny import preference_rows, tiny_folder, vqa_rows

KILLS = 10
CODES = {-signal.SIGKILL, 143, 0}  # a run may end before the signal comes
TRAINING = (
    "--max_length null --gradient_checkpointing false --bf16 false --per_device_train_batch_size 2 --seed 3 "
    "--learning_rate 1e-2 --max_steps 16 --logging_steps 3 --save_steps 4 --save_total_limit 2 --use_peft "
    "--lora_r 4 --lora_dropout 0.3 --lora_target_modules up_proj gate_proj"
).split()
VILT = (
    "--hidden_size 32 --num_hidden_layers 1 --num_attention_heads 2 --intermediate_size 64 --image_size 32 "
    "--patch_size 16 --max_text_length 12 --dropout 0.1 --per_device_train_batch_size 4 --save_steps 4 "
    "--logging_steps 3 --learning_rate 1e-3 --use_cpu true --max_steps 24"
).split()


@dataclass(frozen=True)
class Trial:
    """A command, how it goes on with a place that it left, and what is compared of what it leaves there."""

    command: Callable[[Path], list[str]]
    resume: Callable[[Path], list[str]]
    left: Callable[[Path], Any]


def files(folder: Path, *patterns: str) -> dict[str, str]:
    """Hashes of files below a folder."""
    found = sorted(path for pattern in patterns for path in folder.rglob(pattern) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def trained(place: Path) -> Any:
    """Weights, and the losses of all steps, each once."""
    lines = (place / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [(row["step"], round(row["loss"], 6)) for row in map(json.loads, lines) if "loss" in row]
    half = [path.name for path in (place / "run").glob(".*partial")]
    return losses, half, [*files(place / "run", "*model.safetensors").values()][:1]


def resumed_training(place: Path) -> list[str]:
    return ["--resume_from_checkpoint", "true"] if (place / "run" / "begun.json").exists() else []


def rows_file(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    lines = []
    for index, row in enumerate(rows):
        image = row["images"][0] if "images" in row else row["image"]
        path = folder / f"{name}-{index}.png"
        image.save(path)
        lines.append(json.dumps({**row, **({"images": [path.name]} if "images" in row else {"image": path.name})}))
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder / f"{name}.jsonl"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    tiny_folder(folder / "model", 1)
    rows_file(folder, "vqa", vqa_rows(24, 12))
    rows_file(folder, "pairs", preference_rows(24, 12))
    rows_file(folder, "many", vqa_rows(800, 400))
    colours = ("red", "green", "blue", "white")
    for colour in colours:
        Image.new("RGB", (40, 32), colour).save(folder / f"{colour}.png")
    rows = [{"image": f"{c}.png", "captions": [f"a {c} picture", f"it is {c}"]} for c in colours]
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def trial_of(verb: str, data: Path, url: str) -> Trial:
    model = ["--model_name_or_path", str(data / "model")]
    if verb in ("sft", "dpo"):
        rows = ["--dataset_name", str(data / ("vqa.jsonl" if verb == "sft" else "pairs.jsonl"))]
        own = ["--image_margin_rows", "0", "--reference_store", "on"] if verb == "dpo" else []
        return Trial(
            lambda place: [verb, *model, *rows, *TRAINING, *own, "--output_dir", str(place / "run")],
            resumed_training,
            trained,
        )
    if verb == "vilt":
        rows = ["--train_data", str(data / "captions.jsonl")]
        return Trial(
            lambda place: ["vilt", "pretrain", *rows, *VILT, "--output_dir", str(place / "run")],
            resumed_training,
            trained,
        )
    if verb == "eval":
        asked = ["--model", str(data / "model"), "--data", str(data / "many.jsonl"), "--max_new_tokens", "2"]
        return Trial(
            lambda place: ["eval", *asked, "--limit", "200", "--output_dir", str(place / "run")],
            lambda place: ["--resume"] if (place / "run" / "begun.json").exists() else [],
            lambda place: files(place / "run", "samples.jsonl"),
        )
    if verb == "convert":
        return Trial(
            lambda place: ["data", "convert", str(data / "many.jsonl"), str(place / "rows.json"), "--to", "llava"],
            lambda place: [],
            lambda place: files(place, "*"),
        )
    asked = [str(data / "captions.jsonl"), "--kind", "conversation", "--endpoint", url, "--model", "fake"]
    return Trial(
        lambda place: ["data", "synthesize", *asked, "--output_path", str(place / "out" / "rows.jsonl")],
        lambda place: [],
        lambda place: files(place / "out", "rows.jsonl"),
    )


def start(arguments: list[str], log: Path) -> int:
    """The process of a command, forked, since importing takes longer than all that it does."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        with open(log, "ab") as file:
            for number in (1, 2):
                os.dup2(file.fileno(), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", 1, closefd=False)
        end_on_signals()
        code = run(arguments)
    finally:
        os._exit(code)


def end(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytest.mark.soak
@pytest.mark.parametrize("verb", ["sft", "dpo", "vilt", "eval", "convert", "synthesize"])
def test_a_command_that_is_killed_at_random_ends_as_one_that_was_not(
    verb: str, data: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = int(os.environ.get("SOAK_SEED") or time.time_ns() % 100_000)
    print(f"{verb}: SOAK_SEED={seed}")
    draws = random.Random(seed)

    def reply(number: int, body: dict[str, Any]) -> Any:
        time.sleep(0.1)
        return completion("\n".join(json.dumps({"question": f"what is it {n} ?", "answer": "red"}) for n in range(3)))

    server.reply = reply
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    trial = trial_of(verb, data, server.url)
    began = time.monotonic()
    (tmp_path / "whole").mkdir()
    assert end(start(trial.command(tmp_path / "whole"), tmp_path / "whole.log")) == 0
    took_s = time.monotonic() - began
    expected = trial.left(tmp_path / "whole")
    codes = []
    for number in range(KILLS):
        place, log = tmp_path / str(number), tmp_path / f"{number}.log"
        place.mkdir()
        monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / f"cache {number}"))
        process = start(trial.command(place), log)
        time.sleep(draws.uniform(0.1, 1) * took_s)
        os.kill(process, (signal.SIGKILL, signal.SIGTERM)[number % 2])
        codes.append(end(process))
        assert codes[-1] in CODES, log.read_text()
        if codes[-1]:
            assert end(start([*trial.command(place), *trial.resume(place)], log)) == 0, log.read_text()
        assert trial.left(place) == expected, (number, log.read_text())
    print(f"{verb}: {took_s:.1f} s whole, exit codes {codes}")
