"""A run goes on with the settings, rows and model that it began with, or not at all; its record has each step once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Image

from sightline.cli.main import run
from sightline.data.sources.file_signatures import model_files, rows_signature
from sightline.runs import BEGUN, RunFolder
from sightline.training.begun import FREE_SETTINGS
from sightline.training.restore import last_whole_checkpoint
from sightline.training.row_guard import RowGuard
from tests.tiny import picture, preference_rows, tiny_folder, tiny_llava, vqa_rows

Change = Callable[[Path], object]
SETTINGS = (
    "--max_length null --gradient_checkpointing false --bf16 false --per_device_train_batch_size 4 "
    "--learning_rate 1e-3 --max_steps 6 --save_steps 3 --logging_steps 1 --report_to none"
).split()


def write(folder: Path, rows: list[dict[str, Any]]) -> None:
    with open(folder / "rows.jsonl", "w") as file:
        for index, row in enumerate(rows):
            image = row["images"][0] if "images" in row else row["image"]
            image.save(folder / f"{index}.png")
            pictures = {"images": [f"{index}.png"]} if "images" in row else {"image": f"{index}.png"}
            file.write(json.dumps({**row, **pictures}) + "\n")


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, rows and a run that was cut after its checkpoint of three steps."""
    folder = tmp_path_factory.mktemp("cut")
    tiny_folder(folder / "model", 1)
    write(folder, vqa_rows(24, 8))
    assert run(command(folder)) == 0
    shutil.rmtree(folder / "run" / "checkpoint-6")
    (folder / "run" / "model.safetensors").unlink()
    return folder


@pytest.fixture
def folder(cut: Path, tmp_path: Path) -> Path:
    """A copy, which lies elsewhere."""
    shutil.copytree(cut, tmp_path / "copy")
    return tmp_path / "copy"


def command(folder: Path, *more: str, verb: str = "sft") -> list[str]:
    given = {"model_name_or_path": "model", "dataset_name": "rows.jsonl", "output_dir": "run"}
    named = [part for name, value in given.items() for part in (f"--{name}", str(folder / value))]
    return [verb, *named, *SETTINGS, *more]


def resumed(folder: Path, *more: str) -> int:
    return run(command(folder, *more, "--resume_from_checkpoint", "true"))


def test_a_dataset_and_a_model_that_were_moved_are_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert resumed(folder) == 0
    assert "6 steps, 3 of them before, in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--learning_rate 1e-4", "learning_rate 0.001, now 0.0001"),
        ("--per_device_train_batch_size 2", "rows of a step 4, now 2"),
        ("--gradient_accumulation_steps 2", "rows of a step 4, now 8"),
        ("--seed 7", "seed 42, now 7"),
        ("--data_seed 7", "data_seed None, now 7"),
        ("--lr_scheduler_type cosine", "lr_scheduler_type linear, now cosine"),
        ("--weight_decay 0.5", "weight_decay 0.0, now 0.5"),
        ("--use_peft true", "use_peft False, now True"),
        ("--max_length 512", "max_length None, now 512"),
        ("--augmentation light", "augmentation none, now light"),
        ("--attn_implementation eager", "attn_implementation None, now eager"),
    ],
)
def test_a_run_is_not_resumed_with_other_settings(
    given: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "run" / "config.yaml").read_text()
    assert resumed(folder, *given.split()) == 2
    printed = capsys.readouterr().err
    assert "run holds a run that began with" in printed and f"{said}. Go on with what it began with, or" in printed
    assert (folder / "run" / "config.yaml").read_text() == before


def fewer_rows(folder: Path) -> None:
    lines = (folder / "rows.jsonl").read_text().splitlines(keepends=True)
    (folder / "rows.jsonl").write_text("".join(lines[:15]))


def another_answer(folder: Path) -> None:
    lines = (folder / "rows.jsonl").read_text().splitlines()
    lines[20] = json.dumps({**json.loads(lines[20]), "answer": "quite another"})
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")


def another_order(folder: Path) -> None:
    lines = (folder / "rows.jsonl").read_text().splitlines(keepends=True)
    (folder / "rows.jsonl").write_text("".join(reversed(lines)))


def another_picture(folder: Path) -> None:
    picture(99, 41).save(folder / "3.png")


def another_layer(folder: Path) -> None:
    config = json.loads((folder / "model" / "config.json").read_text())
    (folder / "model" / "config.json").write_text(json.dumps({**config, "vision_feature_layer": -2}))


def other_weights(folder: Path) -> None:
    tiny_llava(2).save_pretrained(folder / "model")


def another_template(folder: Path) -> None:
    template = folder / "model" / "chat_template.jinja"
    template.write_text(template.read_text() + " ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (fewer_rows, "training rows 24 of content "),
        (another_answer, "training rows 24 of content "),
        (another_order, "training rows 24 of content "),
        (another_picture, "training rows 24 of content "),
        (another_layer, "model file config.json "),
        (other_weights, "model file model.safetensors "),
        (another_template, "model file chat_template.jinja "),
    ],
)
def test_a_run_is_not_resumed_with_other_rows_or_another_model(
    change: Change, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(folder)
    assert resumed(folder) == 2
    assert f"holds a run that began with {said}" in capsys.readouterr().err


@pytest.mark.slow
def test_what_changes_no_weight_may_change(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    free = "--logging_steps 2 --save_steps 1 --save_total_limit 1 --dataloader_num_workers 1 --feature_store off"
    assert resumed(folder, *free.split()) == 0
    assert "now" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_longer_run_is_told_what_becomes_of_its_learning_rate(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resumed(folder, "--max_steps", "8") == 0
    printed = capsys.readouterr().err
    assert "began with max_steps 6, now 8; from here on the learning rate's schedule (linear) is that of" in printed
    assert "8 steps, 3 of them before, in " in printed


@pytest.mark.slow
def test_each_step_stands_once_in_the_record_and_the_mean_loss_is_that_of_all_steps(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = RunFolder(folder / "run").read_metrics()
    assert resumed(folder) == 0
    rows = [row for row in RunFolder(folder / "run").read_metrics() if "loss" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in before if "loss" in row], abs=1e-6)
    mean = sum(row["loss"] for row in rows) / 6
    told = capsys.readouterr().err.split("mean loss ")[1].split(",")[0]
    assert float(told) == pytest.approx(mean, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["sft", "dpo"])
def test_a_run_that_met_a_bad_row_goes_on_without_it_in_the_order_it_had(
    verb: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    batches: list[list[str]] = []
    usual = RowGuard.batch

    def noted(self: RowGuard, make: Any, rows: list[Any]) -> Any:
        batches.append([str(row["images"] if "images" in row else row["image"]) + str(row["prompt"]) for row in rows])
        return usual(self, make, rows)

    monkeypatch.setattr(RowGuard, "batch", noted)
    shutil.rmtree(folder / "run")
    write(folder, vqa_rows(24, 8) if verb == "sft" else preference_rows(24, 8))
    own = ["--image_margin_rows", "0", "--reference_store", "on"] if verb == "dpo" else []
    assert run(command(folder, *own, verb=verb)) == 0
    whole, begun = batches[-3:], (folder / "run" / BEGUN).read_text()
    assert len(batches) >= 6
    shutil.rmtree(folder / "run" / "checkpoint-6")
    (folder / "run" / "model.safetensors").unlink()
    (folder / "5.png").rename(folder / "gone.png")
    resume = [*own, "--resume_from_checkpoint", "true"]
    assert run(command(folder, *resume, verb=verb)) == 2
    assert "5.png" in capsys.readouterr().err
    batches.clear()
    assert run(command(folder, *resume, "--skip_bad_rows", "true", verb=verb)) == 0
    printed = capsys.readouterr().err
    assert "the run began with them, so each is left out when its batch comes" in printed
    assert "training rows are compared by the names of their pictures" in printed
    assert batches[-3:] == whole and any("5.png" in row for batch in whole for row in batch)
    shutil.rmtree(folder / "run" / "checkpoint-6")
    (folder / "gone.png").rename(folder / "5.png")
    assert json.loads((folder / "run" / BEGUN).read_text()) == json.loads(begun)
    assert run(command(folder, *resume, verb=verb)) == 0


def test_other_rows_are_refused_though_bad_ones_may_be_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    another_answer(folder)
    (folder / "5.png").unlink()
    assert resumed(folder, "--skip_bad_rows", "true") == 2
    assert "holds a run that began with training rows 24 of content " in capsys.readouterr().err


@pytest.mark.slow
def test_preferences_and_evaluation_rows_are_compared_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, preference_rows(8, 4))
    shutil.copy(folder / "rows.jsonl", folder / "held.jsonl")
    shutil.rmtree(folder / "run")
    evaluated = ["--eval_strategy", "steps", "--eval_steps", "3", "--eval_dataset_name", str(folder / "held.jsonl")]
    lines = (folder / "rows.jsonl").read_text().splitlines(keepends=True)
    (folder / "rows.jsonl").write_text("".join(lines[:6]))
    (folder / "held.jsonl").write_text("".join(lines[6:]))
    assert run(command(folder, *evaluated, verb="dpo")) == 0
    more = ["--resume_from_checkpoint", "true"]
    assert run(command(folder, *evaluated, "--beta", "0.5", *more, verb="dpo")) == 2
    assert "beta 0.1, now 0.5" in capsys.readouterr().err
    (folder / "held.jsonl").write_text(lines[6])
    assert run(command(folder, *evaluated, *more, verb="dpo")) == 2
    assert "evaluation rows 2 of content" in capsys.readouterr().err


def test_a_folder_made_of_a_checkpoint_is_no_checkpoint(tmp_path: Path) -> None:
    for name in ("checkpoint-2", "checkpoint-10", "checkpoint-2-merged", "checkpoint-20-merged", "checkpoint-best"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trainer_state.json").write_text('{"global_step": 1}')
    (tmp_path / "checkpoint-30").write_text("a file")
    assert last_whole_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")


def test_no_secret_is_compared_or_written(cut: Path) -> None:
    assert "hub_token" in FREE_SETTINGS and "hub_token" not in (cut / "run" / BEGUN).read_text()


def test_the_files_of_a_run_in_a_model_folder_are_no_part_of_the_model(cut: Path) -> None:
    assert {"config.json", "tokenizer.json"} <= model_files(str(cut / "run")).keys()
    assert not {BEGUN, "environment.json", "route.json"} & model_files(str(cut / "run")).keys()
    assert model_files("owner/name") == {"of": "owner/name"}


def rows(**columns: Any) -> Dataset:
    dataset = Dataset.from_dict({"text": ["a", "b", None], **columns})
    for name in ("image", "images"):
        if name in columns:
            feature = Image(decode=False) if name == "image" else [Image(decode=False)]
            dataset = dataset.cast_column(name, feature)
    return dataset


def test_rows_have_one_signature_by_content_wherever_they_lie(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        picture(0).save(tmp_path / name / "0.png")
    places = [str(tmp_path / name / "0.png") for name in ("a", "b")]
    one, moved = (rows(image=[place, None, place]) for place in places)
    assert rows_signature(one) == rows_signature(moved) == rows_signature(one.select([0, 1, 2]))
    assert rows_signature(one) != rows_signature(one.select([0, 2, 1])) != rows_signature(one.select([0, 1]))
    picture(1, 30).save(tmp_path / "b" / "0.png")
    assert rows_signature(moved) != rows_signature(one)
    (tmp_path / "b" / "0.png").unlink()
    assert rows_signature(moved, by_name=True) == rows_signature(one, by_name=True)
    other = rows(image=[places[0], None, str(tmp_path / "a" / "1.png")])
    assert rows_signature(other, by_name=True) != rows_signature(one, by_name=True)


@pytest.mark.parametrize("place", [0, 5, 999])
def test_bytes_of_pictures_count_by_their_length_and_ends(place: int) -> None:
    content = bytes(1000)
    other = content[:place] + b"x" + content[place + 1 :]

    def signature(one: bytes) -> str:
        return rows_signature(rows(images=[[{"bytes": one, "path": None}], [], None]))

    assert signature(content) == signature(bytes(1000))
    assert signature(content) != signature(other) and signature(content) != signature(content + b"\0")


@pytest.mark.slow
@pytest.mark.parametrize("pictures", [True, False])
def test_training_leaves_a_saved_dataset_as_it_was(pictures: bool, folder: Path) -> None:
    """TRL's own maps of text among what would write there."""
    turns = [{"role": "user", "content": "what is it ?"}, {"role": "assistant", "content": "red"}]
    columns: dict[str, Any] = {"messages": [turns] * 8}
    dataset = Dataset.from_dict({**columns, **({"image": [str(folder / "0.png")] * 8} if pictures else {})})
    (dataset.cast_column("image", Image()) if pictures else dataset).save_to_disk(folder / "saved")
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "saved").iterdir()}
    (folder / "rows.jsonl").unlink()
    shutil.rmtree(folder / "run")
    (folder / "rows.jsonl").symlink_to(folder / "saved", target_is_directory=True)
    assert run(command(folder)) == 0
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "saved").iterdir()} == before


def test_records_of_others_with_the_names_of_a_pictures_parts_have_a_signature() -> None:
    empty, words = ([{"bytes": content, "path": None}] * 3 for content in (None, "abc"))
    assert rows_signature(rows(question=empty)) == rows_signature(rows(question=empty))
    assert rows_signature(rows(question=words)) != rows_signature(rows(question=empty))
