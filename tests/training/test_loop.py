"""Whatever ends a run, its work is kept, and the resumed run ends like a whole one: signals, failures, full disks."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from transformers import TrainerCallback

from sightline.cli.main import run
from sightline.training import loop
from tests.tiny import preference_rows, tiny_folder, vqa_rows

# LoRA's dropout draws in each step, so that a run which goes on from other random numbers ends elsewhere.
SETTINGS = (
    "--max_length null --gradient_checkpointing false --bf16 false --per_device_train_batch_size 2 --seed 3 "
    "--learning_rate 1e-2 --max_steps 6 --logging_steps 2 --save_strategy no --feature_store off "
    "--use_peft --lora_r 4 --lora_dropout 0.3 --lora_target_modules up_proj gate_proj"
).split()


class AtStep(TrainerCallback):
    """Does something once, at an event of a step."""

    def __init__(self, event: str, step: int, action: Callable[[], Any]) -> None:
        self.done = False

        def act(args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == step and not self.done:
                self.done = True
                action()

        setattr(self, event, act)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, rows of both kinds, and a whole run of each."""
    folder = tmp_path_factory.mktemp("data")
    tiny_folder(folder / "model", 1)
    for verb, rows in (("sft", vqa_rows(12, 12)), ("dpo", preference_rows(12, 12))):
        (folder / verb).mkdir()
        with open(folder / verb / "train.jsonl", "w") as file:
            for index, row in enumerate(rows):
                image = row["images"][0] if "images" in row else row["image"]
                image.save(folder / verb / f"{index}.png")
                place = {"images": [f"{index}.png"]} if "images" in row else {"image": f"{index}.png"}
                file.write(json.dumps({**row, **place}) + "\n")
        assert run(command(folder, verb, folder / f"whole-{verb}")) == 0
    return folder


def command(data: Path, verb: str, output: Path, *more: str) -> list[str]:
    places = f"--model_name_or_path {data / 'model'} --dataset_name {data / verb / 'train.jsonl'}".split()
    own = ["--image_margin_rows", "0", "--reference_store", "off"] if verb == "dpo" else []
    return [verb, *places, "--output_dir", str(output), *SETTINGS, *own, *more]


def acting(monkeypatch: pytest.MonkeyPatch, *callbacks: TrainerCallback) -> None:
    """Runs begun from now on have these callbacks, too."""
    usual: Any = vars(loop)["add_callbacks"]

    def add(trainer: Any, others: Any) -> None:
        usual(trainer, others)
        for callback in callbacks:
            trainer.add_callback(callback)

    monkeypatch.setattr(loop, "add_callbacks", add)


def kill(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def fail(error: BaseException) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


def require_equal_end(data: Path, verb: str, folder: Path) -> None:
    """The weights and the record of the run are those of the whole one."""
    whole = data / f"whole-{verb}"
    for name, weight in weights(whole).items():
        assert torch.equal(weight, weights(folder)[name]), name
    ours, theirs = rows(folder), rows(whole)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs] == [2, 4, 6]
    for own, other in zip(ours, theirs, strict=True):
        assert own == pytest.approx(other, abs=1e-6)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "adapter_model.safetensors")


def rows(folder: Path) -> list[dict[str, float]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    kept = ("step", "loss", "mean_token_accuracy", "rewards/margins", "num_tokens", "learning_rate")
    return [{name: row[name] for name in kept if name in row} for row in found if "loss" in row]


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["sft", "dpo"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_leaves_a_checkpoint_and_the_resumed_run_ends_like_a_whole_one(
    verb: str, number: int, code: int, data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    folder = tmp_path / "run"
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        acting(patch, AtStep("on_step_begin", 2, kill(number)))
        assert run(command(data, verb, folder)) == code
    assert signal.getsignal(number) == before
    assert [path.name for path in folder.glob("*checkpoint-*")] == ["checkpoint-3"]
    assert not (folder / "adapter_model.safetensors").exists()
    assert f"Resume with --resume_from_checkpoint true --output_dir {folder}" in capsys.readouterr().err
    assert run(command(data, verb, folder, "--resume_from_checkpoint", "true")) == 0
    mean = capsys.readouterr().err.split("mean loss ")[1].split(",")[0]
    assert float(mean) == pytest.approx(sum(row["loss"] for row in rows(folder)) / 3, abs=1e-3)
    require_equal_end(data, verb, folder)


@pytest.mark.slow
def test_a_signal_before_the_first_step_ends_at_once_and_the_same_command_starts_again(
    data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        acting(patch, AtStep("on_train_begin", 0, kill(signal.SIGTERM)))
        assert run(command(data, "sft", folder)) == 143
    assert "the same command starts again from step 0" in capsys.readouterr().err
    assert run(command(data, "sft", folder)) == 0
    require_equal_end(data, "sft", folder)


@pytest.mark.slow
@pytest.mark.parametrize("event", ["on_prediction_step", "on_save"])
def test_a_signal_during_an_evaluation_or_while_saving_leaves_the_checkpoint_of_that_step(
    event: str, data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    folder = tmp_path / "run"
    shutil.copy(data / "sft" / "train.jsonl", data / "sft" / "held.jsonl")
    lines = (data / "sft" / "held.jsonl").read_text().replace("what is", "how many")
    (data / "sft" / "held.jsonl").write_text(lines)
    more = (
        f"--eval_strategy steps --eval_steps 2 --eval_dataset_name {data / 'sft' / 'held.jsonl'} --save_strategy steps"
    )
    more += " --save_steps 2"
    with monkeypatch.context() as patch:
        acting(patch, AtStep(event, 2, kill(signal.SIGTERM)))
        assert run(command(data, "sft", folder, *more.split())) == 143
    assert [path.name for path in folder.glob("*checkpoint-*")] == ["checkpoint-2"]
    assert run(command(data, "sft", folder, *more.split(), "--resume_from_checkpoint", "true")) == 0
    assert run(command(data, "sft", tmp_path / "whole", *more.split())) == 0
    for name, weight in weights(tmp_path / "whole").items():
        assert torch.equal(weight, weights(folder)[name]), name
    evaluated = [json.loads(line).get("eval_loss") for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert sum(value is not None for value in evaluated) == 3, "the evaluation that the signal met was finished"


@pytest.mark.slow
def test_a_signal_after_the_last_step_leaves_the_model(
    data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    acting(monkeypatch, AtStep("on_train_end", 6, kill(signal.SIGTERM)))
    assert run(command(data, "sft", tmp_path / "run")) == 143
    assert f"The model is in {tmp_path / 'run'}." in (printed := capsys.readouterr().err) and "Resume" not in printed
    require_equal_end(data, "sft", tmp_path / "run")


@pytest.mark.slow
def test_a_second_signal_ends_at_once_and_says_what_is_kept(
    data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    folder, second = tmp_path / "run", ["--save_strategy", "steps", "--save_steps", "2"]
    with monkeypatch.context() as patch:
        acting(
            patch,
            AtStep("on_step_begin", 3, kill(signal.SIGTERM)),
            AtStep("on_pre_optimizer_step", 3, kill(signal.SIGTERM)),
        )
        assert run(command(data, "sft", folder, *second)) == 143
    assert [path.name for path in folder.glob("*checkpoint-*")] == ["checkpoint-2"]
    assert f"Kept: {folder / 'checkpoint-2'}." in capsys.readouterr().err


@pytest.mark.slow
def test_a_terminal_that_goes_sends_its_signal_twice_and_a_checkpoint_is_left(
    data: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    folder = tmp_path / "run"
    acting(
        monkeypatch,
        AtStep("on_step_begin", 3, kill(signal.SIGHUP)),
        AtStep("on_pre_optimizer_step", 3, kill(signal.SIGHUP)),
    )
    assert run(command(data, "sft", folder)) == 129
    assert (folder / "checkpoint-4").is_dir()


@pytest.mark.slow
def test_a_signal_that_is_ignored_stays_so_and_a_thread_trains_without_signals(
    data: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        acting(monkeypatch, AtStep("on_step_begin", 2, kill(signal.SIGHUP)))
        assert run(command(data, "sft", tmp_path / "nohup")) == 0
        codes: list[int] = []
        thread = threading.Thread(target=lambda: codes.append(run(command(data, "sft", tmp_path / "thread"))))
        thread.start()
        thread.join()
        assert codes == [0]
    finally:
        signal.signal(signal.SIGHUP, before)
    require_equal_end(data, "sft", tmp_path / "nohup")


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "workers"), [("sft", 0), ("sft", 1), ("dpo", 0)])
def test_a_picture_that_vanishes_is_named_by_its_row_and_the_resumed_run_ends_like_a_whole_one(
    verb: str, workers: int, data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    folder, mine = tmp_path / "run", tmp_path / "data"
    shutil.copytree(data, mine)

    def hide() -> None:
        for path in (mine / verb).glob("*.png"):
            path.rename(path.with_suffix(".gone"))

    with monkeypatch.context() as patch:
        acting(patch, AtStep("on_step_end", 1 if workers else 3, hide))  # workers read ahead
        assert run(command(mine, verb, folder, "--dataloader_num_workers", str(workers))) == 2
    printed = capsys.readouterr().err
    steps = [int(path.name.split("-")[1]) for path in folder.glob("checkpoint-*")]
    assert len(steps) == 1 and steps[0] < 6
    row, picture = printed.split("error: train.jsonl row ")[1].split(": image ")
    assert f"{mine / verb / f'{int(row) - 1}.png'}" in picture.split(" not found")[0]
    assert "of the batch" not in printed and "Traceback" not in printed
    assert printed.count("Or resume without such rows: --resume_from_checkpoint true --skip_bad_rows true.") == 1
    assert f"Resume with --resume_from_checkpoint true --output_dir {folder}" in printed
    for path in (mine / verb).glob("*.gone"):
        path.rename(path.with_suffix(".png"))
    assert run(command(mine, verb, folder, "--resume_from_checkpoint", "true")) == 0
    require_equal_end(data, verb, folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), "step 4: out of memory (CUDA out of"),
        (OSError(errno.ESTALE, "Stale file handle", "/mnt/x.png"), "step 4: /mnt/x.png: Stale file handle. "),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
            "step 4: a worker of the data loader",
        ),
        (
            RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"),
            "step 4: a worker of the data loader ended; ",
        ),
        (MemoryError(), "step 4: out of memory (nothing left)"),
    ],
    ids=["GPU", "mount", "killed worker", "worker", "memory"],
)
def test_a_step_that_fails_leaves_a_checkpoint_and_one_line(
    error: Exception, said: str, data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    """In the middle of a step that accumulates: what its first pass added is taken back."""
    folder, accumulated = tmp_path / "run", ["--per_device_train_batch_size", "1", "--gradient_accumulation_steps", "2"]
    with monkeypatch.context() as patch:
        acting(patch, AtStep("on_substep_end", 3, fail(error)))
        assert run(command(data, "sft", folder, *accumulated)) == 1
    printed = capsys.readouterr().err
    assert f"error: {said}" in printed and "Traceback" not in printed
    assert f"Kept: {folder / 'checkpoint-3'}. Resume with --resume_from_checkpoint true" in printed
    assert run(command(data, "sft", folder, *accumulated, "--resume_from_checkpoint", "true")) == 0
    assert run(command(data, "sft", tmp_path / "whole", *accumulated)) == 0
    for name, weight in weights(tmp_path / "whole").items():
        assert torch.equal(weight, weights(folder)[name]), name
    assert [row["loss"] for row in rows(folder)] == pytest.approx([row["loss"] for row in rows(tmp_path / "whole")])


@pytest.mark.slow
def test_an_error_that_nobody_foresaw_keeps_its_traceback_and_a_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    acting(monkeypatch, AtStep("on_step_begin", 3, fail(ZeroDivisionError("a bug"))))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(command(data, "sft", tmp_path / "run"))
    assert (tmp_path / "run" / "checkpoint-3").is_dir()


@pytest.mark.slow
def test_weights_that_a_failed_step_was_changing_are_not_saved(
    data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    folder = tmp_path / "run"
    acting(monkeypatch, AtStep("on_optimizer_step", 3, fail(torch.OutOfMemoryError("CUDA out of memory."))))
    assert run(command(data, "sft", folder, "--save_strategy", "steps", "--save_steps", "2")) == 1
    printed = capsys.readouterr().err
    assert [path.name for path in folder.glob("*checkpoint-*")] == ["checkpoint-2"]
    assert f"Kept: {folder / 'checkpoint-2'}." in printed and "while it changed the weights" in printed


def full_disk(patch: pytest.MonkeyPatch, part: str) -> None:
    """From the fourth step on no file of this name can be written to its end."""
    usual = torch.save

    def cut(value: Any, place: Any, *args: Any, **named: Any) -> None:
        usual(value, place, *args, **named)
        if part in str(place) and "checkpoint-4" in str(place):
            os.truncate(place, 10)
            raise OSError(errno.ENOSPC, "No space left on device", str(place))

    patch.setattr(torch, "save", cut)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["optimizer.pt", "rng_state.pth"])
def test_a_disk_that_is_full_leaves_no_half_checkpoint(
    part: str, data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    folder, saves = tmp_path / "run", ["--save_strategy", "steps", "--save_steps", "2"]
    with monkeypatch.context() as patch:
        full_disk(patch, part)
        assert run(command(data, "sft", folder, *saves)) == 1
    printed = capsys.readouterr().err
    assert "No space left on device" in printed and "Traceback" not in printed
    assert f"Kept: {folder / 'checkpoint-2'}. Resume with" in printed
    assert sorted(path.name for path in folder.glob("*checkpoint-*")) == ["checkpoint-2"]
    assert not list(folder.glob(".*partial"))
    assert run(command(data, "sft", folder, *saves, "--resume_from_checkpoint", "true")) == 0
    require_equal_end(data, "sft", folder)


@pytest.mark.slow
def test_a_model_that_finds_no_room_is_saved_by_the_next_run(
    data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    folder, saves = tmp_path / "run", ["--save_strategy", "steps", "--save_steps", "3"]
    usual = safetensors.torch.save_file

    def cut(tensors: Any, place: Any, *args: Any, **named: Any) -> None:
        usual(tensors, place, *args, **named)
        if "checkpoint" not in str(place):
            raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patch:
        patch.setattr("peft.peft_model.safe_save_file", cut)
        assert run(command(data, "sft", folder, *saves)) == 1
    printed = capsys.readouterr().err
    assert "The model could not be saved: No space left on device." in printed
    assert f"{folder / 'checkpoint-6'} is kept." in printed
    assert not list(folder.glob("*.safetensors")) and not list(folder.glob(".*partial"))
    assert run(command(data, "sft", folder, *saves, "--resume_from_checkpoint", "true")) == 0
    require_equal_end(data, "sft", folder)


@pytest.mark.slow
def test_a_folder_that_is_moved_or_removed_is_said(data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    folder = tmp_path / "run"
    acting(monkeypatch, AtStep("on_step_begin", 3, lambda: shutil.move(folder, tmp_path / "elsewhere")))
    assert run(command(data, "sft", folder)) == 1
    printed = capsys.readouterr().err
    assert f"error: after step 4: {folder / 'metrics.jsonl'}: No such file or directory. " in printed
    assert f"Kept: {folder / 'checkpoint-4'}." in printed and "Traceback" not in printed


def no_shared_memory() -> None:
    def refuse(*args: Any, **named: Any) -> Any:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    storage: Any = torch.UntypedStorage
    storage._share_fd_cpu_ = refuse  # what the fork of a worker inherits


def kill_worker() -> None:
    os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("event", "act", "said"),
    [
        ("on_epoch_begin", no_shared_memory, "error: step 1: a worker of the data loader found no room for a batch in"),
        ("on_step_begin", kill_worker, "; too little memory may be why"),  # torch does not always learn the signal
    ],
    ids=["shared memory", "killed"],
)
def test_a_worker_that_ends_or_finds_no_shared_memory_ends_the_run_in_one_line(
    event: str, act: Callable[[], None], said: str, data: Path, tmp_path: Path, monkeypatch: Any, capfd: Any
) -> None:
    monkeypatch.setattr(torch.UntypedStorage, "_share_fd_cpu_", torch.UntypedStorage._share_fd_cpu_)
    acting(monkeypatch, AtStep(event, 0, act))
    workers = ["--dataloader_num_workers", "2", "--max_steps", "60"]
    assert run(command(data, "sft", tmp_path / "run", *workers)) == 1
    printed = capfd.readouterr().err
    assert said in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_reporter_that_is_not_installed_is_told_before_rows_are_read(
    name: str, data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setattr("sightline.settings.early.find_spec", lambda module: None)
    assert run(command(data, "sft", tmp_path / "run", "--report_to", name)) == 2
    printed = capsys.readouterr().err
    assert f"report_to {name} needs {name}, which is not installed. Run `pip install {name}`" in printed
    assert "train.jsonl" not in printed and not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_resumed_run_that_ends_before_its_first_step_keeps_its_checkpoint_without_alarm(
    data: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    folder = tmp_path / "run"
    for step in (3, 3):  # after the third step, then before the fourth
        with monkeypatch.context() as patch:
            event = "on_step_end" if not folder.exists() else "on_step_begin"
            acting(patch, AtStep(event, step, lambda: os.kill(os.getpid(), signal.SIGTERM)))
            more = ("--resume_from_checkpoint", "true") if folder.exists() else ()
            assert run(command(data, "sft", folder, *more)) == 143
    printed = capsys.readouterr().err
    assert "could not be written" not in printed and f"Kept: {folder / 'checkpoint-3'}" in printed


@pytest.mark.slow
def test_a_model_of_several_templates_is_saved_over_that_of_the_run_before(data: Path, tmp_path: Path) -> None:
    model, folder = tmp_path / "model", tmp_path / "run"
    shutil.copytree(data / "model", model)
    (model / "additional_chat_templates").mkdir()
    (model / "additional_chat_templates" / "tool_use.jinja").write_text("{{ messages }}")
    for more in ((), ("--resume_from_checkpoint", "true", "--max_steps", "8", "--save_strategy", "steps")):
        assert run([*command(data, "sft", folder), "--model_name_or_path", str(model), *more]) == 0
    weights = [path.stat().st_mode for path in folder.rglob("*.safetensors")]
    assert len(weights) > 1 and set(weights) == {(folder / "tokenizer_config.json").stat().st_mode}, (
        "who reads one, reads all"
    )
