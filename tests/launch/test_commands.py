"""`torchrun` and `accelerate launch` of training commands, whole, killed and resumed: the losses of one process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sightline.cli.main import run
from tests.tiny import preference_rows, tiny_folder

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
ACCELERATE = [
    *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"),
    *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
]
STEPS, KILLED = 6, 5  # a checkpoint every 2 steps


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and rows for both commands about five pictures."""
    folder = tmp_path_factory.mktemp("data")
    tiny_folder(folder / "model", 1)
    with open(folder / "dpo.jsonl", "w") as pairs, open(folder / "sft.jsonl", "w") as demonstrations:
        for index, row in enumerate(preference_rows(16, 5)):
            name = f"{index % 5}.png"
            row["images"][0].save(folder / name)
            pairs.write(json.dumps({**row, "images": [name]}) + "\n")
            shown = {"images": [name], "prompt": row["prompt"], "completion": row["chosen"]}
            demonstrations.write(json.dumps(shown) + "\n")
    return folder


def arguments(verb: str, data: Path, folder: Path, rows_a_process: int) -> list[str]:
    return (
        f"{verb} --model_name_or_path {data / 'model'} --dataset_name {data / verb}.jsonl --output_dir {folder} "
        f"--per_device_train_batch_size {rows_a_process} --max_steps {STEPS} --save_strategy steps --save_steps 2 "
        "--learning_rate 1e-3 --logging_strategy steps --logging_steps 1 --max_length null --seed 3 --report_to none"
    ).split()


def launch(launcher: list[str], module: list[str], given: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    command = [*launcher, "-m", *module, *given]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)


def losses(folder: Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


def check(folder: Path, one: Path, done: Any) -> None:
    """The run in a folder is that of one process, and was said and written once."""
    assert done.returncode == 0, done.stderr
    assert len(losses(one)) == STEPS and max(losses(one).values()) - min(losses(one).values()) > 0.05
    assert losses(folder) == pytest.approx(losses(one), abs=1e-5)
    assert {path.name for path in folder.iterdir()} == {path.name for path in one.iterdir()}
    assert done.stdout.split() == [str(folder)]
    for line in ("distinct images, longest sequence", "Order: ", f"\n{STEPS} steps"):
        assert done.stderr.count(line) == 1, done.stderr


@pytest.mark.slow
def test_torchrun_of_sft_killed_refused_and_resumed_trains_as_one_process(
    data: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    assert run(arguments("sft", data, tmp_path / "one", 4)) == 0
    given = arguments("sft", data, tmp_path / "two", 2)
    killed = launch(TORCHRUN, ["tests.launch.killed_rank", str(KILLED)], given, root)
    assert killed.returncode == 1 and "exitcode  : -9" in killed.stderr
    assert (tmp_path / "two" / "checkpoint-4").is_dir() and not (tmp_path / "two" / "checkpoint-6").exists()

    refused = launch(TORCHRUN, ["sightline.cli.main"], given, root)
    assert refused.returncode == 1 and refused.stderr.count("holds another run") == 1, refused.stderr
    assert refused.stderr.count("exitcode  : 2 ") == 2, "each process ends by its own code"

    resumed = launch(TORCHRUN, ["sightline.cli.main"], [*given, "--resume_from_checkpoint", "true"], root)
    for name in ("checkpoint-2", "checkpoint-4"):
        assert (tmp_path / "two" / name).is_dir()
    assert resumed.stderr.count(f"{STEPS} steps, 4 of them before,") == 1, resumed.stderr
    check(tmp_path / "two", tmp_path / "one", resumed)


@pytest.mark.slow
def test_accelerate_launch_of_dpo_whole_and_resumed_trains_as_one_process(
    data: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    assert run(arguments("dpo", data, tmp_path / "one", 4)) == 0
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "other cache"))
    given = arguments("dpo", data, tmp_path / "two", 2)
    check(tmp_path / "two", tmp_path / "one", launch(ACCELERATE, ["sightline.cli.main"], given, root))
    for path in (tmp_path / "two" / "checkpoint-6", tmp_path / "one" / "checkpoint-6"):
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    resumed = launch(ACCELERATE, ["sightline.cli.main"], [*given, "--resume_from_checkpoint", "true"], root)
    assert resumed.returncode == 0 and "4 of them before" in resumed.stderr
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-5)
