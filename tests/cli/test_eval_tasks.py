"""`--eval_tasks` on `sightline sft` and `dpo`: scored while training, which goes on as if nothing had been."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.cli.main import run
from tests.cli.test_training import command, losses, write_rows
from tests.tiny import picture, preference_rows, vqa_rows

pytestmark = pytest.mark.slow

EVALUATING = "--eval_strategy steps --eval_steps 3".split()
LORA = "--use_peft true --lora_r 4 --lora_target_modules q_proj v_proj --lora_dropout 0.2".split()


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve questions about four pictures, two in three with the answer that training teaches."""
    folder = tmp_path_factory.mktemp("asked")
    golds = ("red", "red", "blue")
    rows = [
        {"image": picture(20 + number % 4), "question": f"what is {number} ?", "answer": golds[number % 3]}
        for number in range(12)
    ]
    return write_rows(folder, rows, "colours.jsonl")


def taught(verb: str) -> list[dict[str, Any]]:
    """Rows that teach to say red, whatever is asked."""
    if verb == "dpo":
        return preference_rows(12, 4)
    return [{**row, "answer": "red"} for row in vqa_rows(12, 4)]


def data_folder(verb: str, folder: Path) -> Path:
    for split in ("train", "test"):
        part = folder / split
        part.mkdir(parents=True)
        write_rows(part, taught(verb), "rows.jsonl")
    for split in ("train", "test"):
        text = (folder / split / "rows.jsonl").read_text()
        for number in range(12):
            text = text.replace(f'"{number}-0.png"', f'"{split}/{number}-0.png"')
        (folder / f"{split}.jsonl").write_text(text)
    return folder


def evaluations(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "eval_loss" in row]


@pytest.mark.parametrize(
    ("verb", "more"), [("sft", LORA), ("dpo", []), pytest.param("dpo", LORA, marks=pytest.mark.slow)]
)
def test_scores_stand_beside_the_loss_and_losses_are_those_of_a_run_without_them(
    verb: str, more: list[str], model_folder: Path, asked: Path, tmp_path: Path
) -> None:
    data = data_folder(verb, tmp_path / "data")
    plain, scored = tmp_path / "plain", tmp_path / "scored"
    assert run(command(verb, model_folder, data, plain, *EVALUATING, *more)) == 0
    assert run(command(verb, model_folder, data, scored, *EVALUATING, *more, "--eval_tasks", f"custom:{asked}")) == 0
    assert losses(scored) == losses(plain)
    without, records = evaluations(plain), evaluations(scored)
    assert [row["step"] for row in records] == [3, 6]
    assert [row["eval_loss"] for row in records] == [row["eval_loss"] for row in without]
    for row in records:
        assert 0 <= row["eval_colours_accuracy"] <= 1
        assert row["eval_colours_errors"] == 0 and row["eval_colours_unparsed"] == 0
    assert not any(name.startswith("eval_colours") for row in without for name in row)


@pytest.mark.parametrize("more", [["--learning_rate", "2e-2"], ["--learning_rate", "5e-2", *LORA]])
def test_the_last_scores_are_those_of_sightline_eval_on_the_folder_that_the_run_left(
    more: list[str], model_folder: Path, asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run"
    data = data_folder("sft", tmp_path / "data")
    tasks = ["--eval_tasks", f"custom:{asked}", "--eval_tasks_limit", "9"]
    assert run(command("sft", model_folder, data, output, *EVALUATING, *more, *tasks)) == 0
    capsys.readouterr()
    adapter = ["--adapter", str(output)] if more[-len(LORA) :] == LORA else []
    model = str(model_folder if adapter else output)
    assert run(["eval", "--model", model, *adapter, "--data", str(asked), "--limit", "9", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["tasks"]["custom"]["metrics"]["accuracy"]["value"]
    last = evaluations(output)[-1]["eval_colours_accuracy"]
    assert last == found
    assert adapter or last == pytest.approx(2 / 3), "the model has learned to say red, so the score shows something"


def test_a_score_chooses_the_best_checkpoint(model_folder: Path, asked: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    best = "--save_strategy steps --save_steps 3 --load_best_model_at_end true --metric_for_best_model".split()
    chosen = [*best, "eval_colours_accuracy", "--eval_tasks", f"custom:{asked}", "--learning_rate", "2e-2"]
    assert run(command("sft", model_folder, data_folder("sft", tmp_path / "data"), output, *EVALUATING, *chosen)) == 0
    state = json.loads((output / "checkpoint-6" / "trainer_state.json").read_text())
    scores = [row["eval_colours_accuracy"] for row in evaluations(output)]
    assert state["best_metric"] == max(scores) > 0


class TestRefusals:
    """Exit code 2 and a message, before anything is written."""

    def refused(self, capsys: pytest.CaptureFixture[str], model: Path, folder: Path, *more: str) -> str:
        data = write_rows(folder, vqa_rows(4, 2))
        assert run(command("sft", model, data, folder / "run", *more)) == 2
        assert not (folder / "run").exists()
        return capsys.readouterr().err

    def test_no_evaluation(
        self, model_folder: Path, asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        error = self.refused(capsys, model_folder, tmp_path, "--eval_tasks", f"custom:{asked}")
        assert "eval_strategy is no. Set eval_strategy to steps (with eval_steps) or epoch" in error

    def test_an_unknown_task(self, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        error = self.refused(capsys, model_folder, tmp_path, *EVALUATING, "--eval_tasks", "popee")
        assert "there is no task 'popee'. Did you mean 'pope'?" in error

    def test_one_name_for_two(
        self, model_folder: Path, asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        twice = f"custom:{asked},custom:{asked}"
        error = self.refused(capsys, model_folder, tmp_path, *EVALUATING, "--eval_tasks", twice)
        assert "expected each name once, got 'colours' twice" in error
