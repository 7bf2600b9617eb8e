"""A picture that cannot be used is an error of its row in every command, and --skip_bad_rows leaves it out."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from sightline.cli.main import run
from sightline.data.formats.conversion import ConversionSettings, run_convert
from sightline.data.pictures.columns import PictureAccess
from sightline.data.pictures.images import read_whole
from sightline.data.sources.bad_rows import BadRows
from sightline.data.sources.datasets import stream_dataset
from sightline.data.vilt.captions import read_captions
from sightline.data.vilt.questions import read_questions
from sightline.data.vilt.sentences import read_sentences
from sightline.data.vilt.sources import PictureCheck
from sightline.errors import DataError
from sightline.evaluation.sources import DataChoice, load_items
from sightline.evaluation.tasks.registry import load_task
from sightline.training.arguments import read_settings
from sightline.training.dpo import DPOConfig
from sightline.training.plan import DPO, SFT, plan_run
from sightline.training.sft import SFTConfig
from sightline.training.source import ModelSource
from tests.data.pictures.test_opener import POSTSCRIPT, encoded, png_head, webp_head
from tests.tiny import picture, tiny_llava, tiny_processor

BAD = {
    "postscript.jpg": POSTSCRIPT,
    "bomb.webp": webp_head(13_000),
    "half.avif": encoded("AVIF", picture(0, 64))[:-200],
    "half.png": png_head(9, 9)[:24],
    "cut.jpg": encoded("JPEG", picture(0, 200))[:-300],
    "text.png": b"hello",
    "gone.png": None,
}  # fmt: skip


@pytest.fixture(params=BAD)
def bad(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Files of rows of which the second shows a bad picture, as the third one of a pair does."""
    name = request.param
    picture(1).save(tmp_path / "good.png")
    if BAD[name] is not None:
        (tmp_path / name).write_bytes(BAD[name])
    shown = ["good.png", name, "good.png"]
    write(tmp_path / "rows.jsonl", [{"image": one, "question": "what ?", "answer": "red circle"} for one in shown])
    prompts = [{"role": "user", "content": "what ?"}]
    pairs = {"prompt": prompts, "chosen": [{"role": "assistant", "content": "red"}]}
    rejected = [{"role": "assistant", "content": "blue"}]
    write(tmp_path / "pairs.jsonl", [{"images": [one], **pairs, "rejected": rejected} for one in shown])
    return name


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def trained(folder: Path, goal: Any, **given: Any) -> Any:
    """The rows that would train."""
    return planned(folder, goal, **given).dataset


def planned(folder: Path, goal: Any, **given: Any) -> Any:
    recipe = folder / "recipe.yaml"
    file = "pairs.jsonl" if goal == "preferences" else "rows.jsonl"
    settings = {"dataset_name": str(folder / file), "output_dir": str(folder / "run"), "max_length": None, **given}
    recipe.write_text(json.dumps({"bf16": False, **settings}))
    config = DPOConfig if goal == "preferences" else SFTConfig
    record = read_settings(["--config", str(recipe)], config)
    method = DPO if goal == "preferences" else SFT
    return plan_run(record, method, ModelSource(tiny_llava(), tiny_processor())).train


@pytest.mark.parametrize("goal", ["sft", "preferences"])
def test_training_names_the_row_and_leaves_it_out(bad: str, goal: str, tmp_path: Path, capsys: Any) -> None:
    file = "pairs.jsonl" if goal == "preferences" else "rows.jsonl"
    with pytest.raises(DataError, match=rf"{file} row 2: image '.*{bad}' "):
        trained(tmp_path, goal)
    rows = planned(tmp_path, goal, skip_bad_rows=True)
    assert len(rows.dataset) == 2 and rows.name == f"{tmp_path / file} (as trained)"
    said = capsys.readouterr().err
    assert f"{file}: 1 of 3 rows cannot be used and are left out:\n{file} row 2: image" in said


def test_streams_name_the_row_and_leave_it_out(bad: str, tmp_path: Path, capsys: Any) -> None:
    if bad not in ("cut.jpg", "half.avif"):  # whose pixels alone tell, which are read when their batch comes
        with pytest.raises(DataError, match=rf"rows.jsonl row 2: image '.*{bad}' "):
            list(stream_dataset(tmp_path / "rows.jsonl"))
    rows = list(stream_dataset(tmp_path / "rows.jsonl", pictures=PictureAccess(skip_bad_rows=True)))
    assert len(rows) == 2 and "Left out: rows.jsonl row 2: image" in capsys.readouterr().err


def test_evaluation_names_the_row_and_leaves_it_out(bad: str, tmp_path: Path) -> None:
    data = str(tmp_path / "rows.jsonl")
    with pytest.raises(DataError, match=rf"rows.jsonl row 2: image '.*{bad}' "):
        load_items(load_task("custom"), DataChoice(data))
    found = load_items(load_task("custom"), DataChoice(data, skip_bad_rows=True))
    assert len(found.items) == 2 and len(found.bad_rows) == 1 and found.bad_rows[0].startswith("rows.jsonl row 2: ")


def test_check_counts_it_and_convert_leaves_it_out(bad: str, tmp_path: Path, capsys: Any) -> None:
    source = str(tmp_path / "rows.jsonl")
    assert run(["data", "check", source, "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    errors = [finding for finding in record["findings"] if finding["severity"] == "error"]
    assert [finding["count"] for finding in errors] == [1] and "row 2" in json.dumps(errors)
    assert run(["data", "convert", source, str(tmp_path / "out.parquet"), "--to", "parquet"]) == 2
    assert "rows.jsonl row 2: image" in capsys.readouterr().err
    flags = ["--to", "parquet", "--skip_bad_rows"]
    assert run(["data", "convert", source, str(tmp_path / "out.parquet"), *flags]) == 0
    assert "3 rows (rows as they are) became 2, 1 left out that cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize("read", [read_questions, read_captions, read_sentences])
def test_vilt_names_the_row_and_leaves_it_out(bad: str, read: Any, tmp_path: Path) -> None:
    words = {"sentence": "a circle", "caption": "a circle", "question": "what ?", "answer": "red", "label": "true"}
    if read is not read_questions:
        del words["question"]
    path = tmp_path / "rows.jsonl"
    write(path, [{"image": name, **words} for name in ("good.png", bad, "good.png")])
    with pytest.raises(DataError, match=rf"rows.jsonl row 2: image '.*{bad}' .*--skip_bad_rows"):
        check = PictureCheck(measure=read_whole)
        read(path, check=check)
        check.bad.settle(2)
    check = PictureCheck(BadRows(skip=True), read_whole)
    read(path, check=check)
    check.bad.settle(2)
    assert [problem.partition(":")[0] for problem in check.bad.problems] == ["rows.jsonl row 2"]


def test_seven_bad_rows_of_a_hundred_are_all_named_by_every_verb(tmp_path: Path, capsys: Any) -> None:
    picture(1).save(tmp_path / "good.png")
    (tmp_path / "cut.png").write_bytes(encoded("JPEG", picture(0, 200))[:-300])
    bad = {7: "gone.png", 20: "cut.png", 21: "gone.png", 40: "other.png", 55: "cut.png", 70: "gone.png", 99: "cut.png"}
    names = [bad.get(number, "good.png") for number in range(1, 101)]
    rows = [{"image": name, "question": f"what {place}?", "answer": "red"} for place, name in enumerate(names)]
    write(tmp_path / "rows.jsonl", rows)
    write(tmp_path / "pairs.jsonl", [{**row, "chosen": "red", "rejected": "blue"} for row in rows])
    data = str(tmp_path / "rows.jsonl")
    for refuse in (
        lambda: trained(tmp_path, "sft"),
        lambda: load_items(load_task("custom"), DataChoice(data)),
        lambda: run_convert(ConversionSettings(data, str(tmp_path / "out.jsonl"), "trl-sft")),
        lambda: run_convert(ConversionSettings(data, str(tmp_path / "out.parquet"), "parquet")),
    ):
        with pytest.raises(DataError) as caught:
            refuse()
        named = [line.partition(": image ")[0] for line in str(caught.value).splitlines()]
        assert named == [f"rows.jsonl row {number}" for number in bad]
    with pytest.raises(DataError) as caught:
        trained(tmp_path, "preferences")
    assert len(str(caught.value).splitlines()) == 7
    capsys.readouterr()
    assert run(["data", "check", data]) == 1
    said = capsys.readouterr().out
    assert set(bad) <= {int(number) for number in re.findall(r"row\s+(\d+)", said)}


def test_where_no_row_is_left_nothing_trains(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", [{"image": "gone.png", "question": "what ?", "answer": "red"}] * 2)
    with pytest.raises(DataError, match=r"rows.jsonl row 1: image .* not found"):
        trained(tmp_path, "sft", skip_bad_rows=True)


def test_base64_that_is_none_is_a_bad_row(tmp_path: Path, capsys: Any) -> None:
    broken = "/9j/" + "A" * 99 + "*"
    rows = [{"image": broken, "question": "what ?", "answer": "red"}]
    picture(1).save(tmp_path / "good.png")
    write(tmp_path / "rows.jsonl", [*rows, {"image": "good.png", "question": "what ?", "answer": "red"}])
    with pytest.raises(DataError, match="rows.jsonl row 1: the image is no base64"):
        trained(tmp_path, "sft")
    assert len(trained(tmp_path, "sft", skip_bad_rows=True)) == 1
    assert run(["data", "check", str(tmp_path / "rows.jsonl")]) == 1


def shard(path: Path, samples: int) -> None:
    with tarfile.open(path, "w") as archive:
        for number in range(samples):
            for suffix, content in (("png", encoded("PNG", picture(number))), ("txt", b"red circle")):
                member = tarfile.TarInfo(f"s{number}.{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("streaming", [False, True])
def test_of_a_cut_shard_the_samples_before_the_cut_train(streaming: bool, tmp_path: Path, capsys: Any) -> None:
    shard(tmp_path / "a.tar", 6)
    content = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(content[: content.index(b"s4.png") + 600])
    given = {"dataset_name": str(tmp_path / "a.tar"), "dataset_streaming": streaming, "max_steps": 1}
    with pytest.raises(DataError, match=r"a.tar: expected a whole tar file .* The last sample that was met is s3"):
        list(trained(tmp_path, "sft", **given))
    for _ in range(2):  # said again where `datasets` has kept the rows
        rows = list(trained(tmp_path, "sft", **given, skip_bad_rows=True))
        assert len(rows) in (3, 4)
        assert "Left out: " in (said := capsys.readouterr().err) and "What stands from s3.txt on is not read" in said
