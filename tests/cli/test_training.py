"""`sightline sft` and `sightline dpo` as a user types them: a run folder, clear refusals, Ctrl-C and resuming."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForImageTextToText, AutoProcessor, TrainerCallback

from sightline.cli.main import run
from sightline.training.callbacks import add_callbacks
from tests.tiny import picture, preference_rows, vqa_rows

SETTINGS = (
    "--max_length null --gradient_checkpointing false --bf16 false --per_device_train_batch_size 4 "
    "--learning_rate 1e-3 --max_steps 6 --logging_steps 1 --seed 3"
).split()


def write_rows(folder: Path, rows: list[dict[str, Any]], name: str = "train.jsonl") -> Path:
    """Rows as JSONL beside their pictures."""
    lines = []
    for index, row in enumerate(rows):
        pictures = row.get("images") or [row["image"]]
        paths = []
        for number, image in enumerate(pictures):
            path = folder / f"{index}-{number}.png"
            image.save(path)
            paths.append(path.name)
        images = {"images": paths} if "images" in row else {"image": paths[0]}
        lines.append(json.dumps({**row, **images}))
    file = folder / name
    file.write_text("\n".join(lines) + "\n")
    return file


def command(verb: str, model: Path, data: Path, output: Path, *more: str) -> list[str]:
    given = ["--model_name_or_path", str(model), "--dataset_name", str(data), "--output_dir", str(output)]
    return [verb, *given, *SETTINGS, *more]


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.parametrize(("verb", "rows"), [("sft", vqa_rows(12, 4)), ("dpo", preference_rows(8, 4))])
def test_a_run_leaves_a_model_folder_with_its_record(
    verb: str, rows: list[dict[str, Any]], model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    assert run(command(verb, model_folder, write_rows(tmp_path, rows), output)) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(output)
    assert "route mask" in printed.err
    assert len(losses(output)) == 6
    assert json.loads((output / "route.json").read_text())["route"] == "mask"
    assert {"config.yaml", "environment.json", "README.md"} <= {file.name for file in output.iterdir()}
    AutoModelForImageTextToText.from_pretrained(output)
    assert AutoProcessor.from_pretrained(output).chat_template
    page = (output / "report.html").read_text()
    rate = "Rewards" if verb == "dpo" else "Tokens predicted right"
    learnt = "<em>chosen</em>" if verb == "dpo" else "<em>trained</em>"
    for said in (
        "Finished: step 6 of 6",
        "train.jsonl row 1",
        rate,
        learnt,
        "mask route matches plain",
        "data:image/png",
    ):
        assert said in page
    story = json.loads((output / "training.json").read_text())
    assert story["title"] == verb.upper() and story["rows"]["training"] == len(rows) and story["state"] == "finished"
    assert story["references"] == (None if verb == "sft" else [8, 0])
    shared = story["shared"]
    assert 0 < shared["tokens_read"] < shared["tokens_alone"] and shared["pictures_read"] < shared["pictures_shown"]


@pytest.mark.slow
def test_lists_of_rejected_answers_train_by_a_recipe_that_names_a_preset(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"image": row["image"], "question": row["question"], "chosen": "red circle", "rejected": ["blue", "no", "two"]}
        for row in vqa_rows(8, 4)
    ]
    rows[3]["rejected"] = "one square"
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("loss_type: mdpo\nmdpo_crop: [0.0, 0.3]\nimage_margin_rows: 2\n")
    output = tmp_path / "run"
    data = write_rows(tmp_path, rows)
    assert run(command("dpo", model_folder, data, output, "--config", str(recipe), "--mdpo_delta", "0.1")) == 0
    printed = capsys.readouterr().err
    assert "loss_type mdpo stands for sigmoid 1.0, mdpo_conditional 1.0, mdpo_anchor 1.0." in printed
    assert "rewards/image_margin: 2 rows" in printed
    logged = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    names = {name for entry in logged for name in entry}
    assert {"rewards/margins", "rewards/conditional_margins", "rewards/image_margin"} <= names
    assert len(losses(output)) == 6


class TestRefusals:
    """Exit code 2, a message that names file and row, and nothing written."""

    def refused(self, capsys: pytest.CaptureFixture[str], arguments: list[str], output: Path) -> str:
        assert run(arguments) == 2
        assert not output.exists()
        return capsys.readouterr().err

    def test_more_images_than_placeholders(
        self, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = preference_rows(3, 2)
        rows[1]["prompt"][0]["content"] = [{"type": "image"}, {"type": "text", "text": "what ?"}]
        rows[1]["images"] = [picture(0), picture(1)]
        error = self.refused(
            capsys, command("dpo", model_folder, write_rows(tmp_path, rows), tmp_path / "run"), tmp_path / "run"
        )
        assert "train.jsonl row 2: 2 images, but the prompt has 1 placeholder" in error

    def test_an_empty_answer(self, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        rows = vqa_rows(4, 2)
        rows[2]["answer"] = "  "
        data = write_rows(tmp_path, rows)
        error = self.refused(capsys, command("sft", model_folder, data, tmp_path / "run"), tmp_path / "run")
        assert "train.jsonl row 3: the answer (completion) is empty" in error

    def test_an_empty_list_of_rejected_answers(
        self, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = preference_rows(3, 2)
        rows[1]["rejected"] = []
        data = write_rows(tmp_path, rows)
        error = self.refused(capsys, command("dpo", model_folder, data, tmp_path / "run"), tmp_path / "run")
        assert "train.jsonl row 2: expected at least one rejected answer, got an empty list. Add one" in error

    def test_a_missing_image(self, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = write_rows(tmp_path, vqa_rows(4, 2))
        (tmp_path / "1-0.png").unlink()
        error = self.refused(capsys, command("sft", model_folder, data, tmp_path / "run"), tmp_path / "run")
        assert "train.jsonl row 2: image '1-0.png' not found" in error

    def test_an_unreadable_image(self, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = write_rows(tmp_path, vqa_rows(4, 2))
        whole = (tmp_path / "1-0.png").read_bytes()
        (tmp_path / "1-0.png").write_bytes(whole[: len(whole) // 2])
        error = self.refused(capsys, command("sft", model_folder, data, tmp_path / "run"), tmp_path / "run")
        assert "train.jsonl row 2: image" in error

    def test_wrong_columns(self, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        rows = [{"image": row["image"], "query": row["question"], "answer": row["answer"]} for row in vqa_rows(4, 2)]
        data = write_rows(tmp_path, rows)
        error = self.refused(capsys, command("sft", model_folder, data, tmp_path / "run"), tmp_path / "run")
        assert "expected the columns messages or prompt + completion or" in error
        assert "found answer, image, query" in error

    def test_a_length_that_leaves_no_answer(
        self, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = write_rows(tmp_path, preference_rows(3, 2))
        arguments = command("dpo", model_folder, data, tmp_path / "run", "--max_length", "20")
        error = self.refused(capsys, arguments, tmp_path / "run")
        assert "train.jsonl row 1: max_length 20 leaves no answer token to train on" in error

    def test_an_unknown_key_in_a_recipe(
        self, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        recipe = tmp_path / "mine.yaml"
        recipe.write_text("learning_rat: 1e-4\n")
        data = write_rows(tmp_path, vqa_rows(4, 2))
        arguments = command("sft", model_folder, data, tmp_path / "run", "--config", str(recipe))
        error = self.refused(capsys, arguments, tmp_path / "run")
        assert "mine.yaml: unknown key 'learning_rat'. Did you mean 'learning_rate'?" in error

    def test_a_missing_model(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = write_rows(tmp_path, vqa_rows(4, 2))
        arguments = command("sft", tmp_path / "none", data, tmp_path / "run")
        assert "There is no model folder" in self.refused(capsys, arguments, tmp_path / "run")

    def test_an_output_folder_that_holds_another_run(
        self, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = write_rows(tmp_path, vqa_rows(4, 2))
        assert run(command("sft", model_folder, data, tmp_path / "run", "--max_steps", "1")) == 0
        capsys.readouterr()
        before = sorted(file.name for file in (tmp_path / "run").iterdir())
        assert run(command("sft", model_folder, data, tmp_path / "run")) == 2
        assert "holds another run" in capsys.readouterr().err
        assert sorted(file.name for file in (tmp_path / "run").iterdir()) == before


@pytest.mark.slow
def test_packed_rows_train_by_flag_and_resume_in_the_middle_of_an_epoch(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Epochs of several batches of packed rows; the cut run stops inside the second epoch."""
    data = write_rows(tmp_path, vqa_rows(36, 36))
    packing = ["--packing", "true", "--max_length", "100", "--per_device_train_batch_size", "2", "--save_steps", "5"]
    whole = tmp_path / "whole"
    assert run(command("sft", model_folder, data, whole, *packing)) == 0
    printed = capsys.readouterr().err
    assert "train.jsonl: 36 of 36 rows fit max_length 100; the longest has" in printed
    assert "Packing: 36 examples in " in printed and "rows of at most 100 tokens" in printed
    assert "route mask" in printed
    rows = int(printed.split("Packing: 36 examples in ")[1].split()[0])
    assert rows % 2 == 0 and rows // 2 not in (1, 5), "five steps must end inside an epoch"

    cut = tmp_path / "cut"
    shutil.copytree(whole, cut)
    for checkpoint in cut.glob("checkpoint-*"):
        if checkpoint.name != "checkpoint-5":
            shutil.rmtree(checkpoint)
    assert run(command("sft", model_folder, data, cut, *packing, "--resume_from_checkpoint", "true")) == 0
    assert losses(cut)[-1] == pytest.approx(losses(whole)[-1], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["sft", "dpo"])
def test_rows_that_are_too_long_are_dropped_and_named(
    verb: str, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = vqa_rows(6, 3) if verb == "sft" else preference_rows(6, 3)
    if verb == "sft":
        rows[3]["answer"] = " ".join(["red"] * 60)
    else:
        rows[3]["rejected"][0]["content"] = " ".join(["red"] * 60)
    data = write_rows(tmp_path, rows)
    limits = ["--max_length", "60", "--length_policy", "drop", "--max_steps", "1"]
    assert run(command(verb, model_folder, data, tmp_path / "run", *limits)) == 0
    printed = capsys.readouterr().err
    assert "train.jsonl: 5 of 6 rows fit max_length 60, 1 dropped (row 4); the longest has" in printed


class CtrlC(TrainerCallback):
    """Presses Ctrl-C during the third step."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 2:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_and_the_resumed_run_ends_like_an_uninterrupted_one(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_rows(tmp_path, vqa_rows(12, 4))
    assert run(command("sft", model_folder, data, tmp_path / "whole")) == 0

    with monkeypatch.context() as patch:
        patch.setattr("sightline.training.loop.add_callbacks", with_ctrl_c(add_callbacks))
        assert run(command("sft", model_folder, data, tmp_path / "cut")) == 130
    assert "--resume_from_checkpoint true" in capsys.readouterr().err
    assert (tmp_path / "cut" / "checkpoint-3").is_dir()
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    assert run(command("sft", model_folder, data, tmp_path / "cut", "--resume_from_checkpoint", "true")) == 0
    assert losses(tmp_path / "cut") == pytest.approx(losses(tmp_path / "whole"), abs=1e-6)


def with_ctrl_c(usual: Any) -> Any:
    def add(trainer: Any, callbacks: Any) -> None:
        usual(trainer, callbacks)
        trainer.add_callback(CtrlC())

    return add


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sft", "--bf16", "false"], "error: model_name_or_path: "),
        (["ask", "model", "missing.png", "what?"], "error: image 'missing.png' not found."),
        (["vilt", "vqa"], "error: train_data: expected a file"),
        (["models", "convert", "model", "out"], "error: model "),
        (["doctor", "--config", "recipe.yaml"], "error: "),
    ],
    ids=["sft", "ask", "vilt", "models convert", "doctor"],
)
def test_the_command_starts_in_a_process_of_its_own(arguments: list[str], said: str, tmp_path: Path) -> None:
    """These tests have declared torchvision's operators; a user's process must do so by itself."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "recipe.yaml").write_text("model_name_or_path: model\ndataset_name: rows.jsonl\noutput_dir: out\n")
    line = [sys.executable, "-m", "sightline.cli.main", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr[: len(said)]) == (2, said)
