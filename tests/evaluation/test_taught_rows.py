"""Rows that training reads are rows to evaluate: the question before the last answer, and that answer as gold."""

from __future__ import annotations

import base64
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest

from sightline.answering.requests import request_of
from sightline.data.encoding.prompts import render_prompt, said_of
from sightline.data.encoding.rendering import render_messages, structured
from sightline.data.formats.columns import sft_rows
from sightline.data.formats.registry import FORMATS
from sightline.data.pictures.columns import close_images
from sightline.data.pictures.images import open_image, row_images
from sightline.data.sources.datasets import read_dataset
from sightline.errors import DataError, InputError
from sightline.evaluation.items import Items
from sightline.evaluation.requests import Asking, requests_of
from sightline.evaluation.sources import DataChoice, load_items, open_rows
from sightline.evaluation.tasks.registry import load_task
from sightline.evaluation.taught_rows import taught_table
from sightline.types import Turn
from tests.tiny import picture, tiny_processor


def items_of(folder: Path, *rows: dict[str, Any], name: str = "rows.json", **choice: Any) -> Items:
    for place in range(2):
        picture(place).save(folder / f"{place}.png")
    (folder / name).write_text(json.dumps(rows))
    return load_items(load_task("custom"), DataChoice(str(folder / name), **choice))


PICTURE_SAID = {"role": "assistant", "content": [{"type": "image"}]}


def llava(*said: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(said)]


@pytest.mark.parametrize(
    ("row", "question", "gold"),
    [
        ({"image": "0.png", "conversations": llava("<image>\nWhat?", "3")}, "What?", "3"),
        ({"image": "0.png", "prompt": "What?", "completion": "true"}, "What?", "true"),
        (
            {
                "image": "0.png",
                "messages": [
                    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]},
                    {"role": "assistant", "content": "007"},
                ],
            },
            "What?",
            "007",
        ),
    ],
)
def test_the_last_answer_of_a_row_is_gold(tmp_path: Path, row: dict[str, Any], question: str, gold: str) -> None:
    items = items_of(tmp_path, {"id": "a", **row})
    (item,) = items.items
    assert (item.question, item.answers, item.id, len(item.pictures)) == (question, (gold,), "a", 1)
    assert "the last answer of a row is the gold answer" in items.notes[0]
    assert "turns before the last question" not in items.notes[0]


def test_turns_before_the_last_question_are_shown_as_such(tmp_path: Path) -> None:
    row = {
        "image": "0.png",
        "system": "Be brief.",
        "conversations": llava("<image>\nWhat?", "A cat.", "Where?", "Here."),
    }
    items = items_of(tmp_path, row)
    (item,) = items.items
    turns = (Turn("system", "Be brief."), Turn("user", "<image 1>What?"), Turn("assistant", "A cat."))
    assert (item.turns, item.question, item.answers) == (turns, "Where?", ("Here.",))
    assert "1 of 1 rows have turns before the last question" in items.notes[0]
    (request,) = requests_of(load_task("custom"), items.items, Asking(), "")
    assert [(one.role, len(one.parts)) for one in said_of(request.question)] == [
        ("system", 1), ("user", 2), ("assistant", 1), ("user", 1),
    ]  # fmt: skip
    alone = replace(request.question, turns=())
    assert request.key != request_of(alone, "").key


def test_two_system_messages_are_refused(tmp_path: Path) -> None:
    items = items_of(tmp_path, {"system": "Be brief.", "conversations": llava("What?", "A cat.")}).items
    with pytest.raises(InputError, match=r"rows.json row 1 has a system message of its own"):
        requests_of(load_task("custom"), items, Asking(system="Be long."), "")


def test_pictures_stand_where_the_row_shows_them(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "Is "}, {"type": "image"}, {"type": "text", "text": " like "}, {"type": "image"}]
    row = {"images": ["0.png", "1.png"], "prompt": [{"role": "user", "content": parts}], "completion": "no"}
    (item,) = items_of(tmp_path, row).items
    assert (item.question, len(item.pictures)) == ("Is <image 1> like <image 2>", 2)


def test_pictures_by_class_are_asked_for_their_class(tmp_path: Path) -> None:
    for place, name in enumerate(("big_dog", "cat")):
        (tmp_path / name).mkdir()
        picture(place).save(tmp_path / name / "0.png")
    items = load_items(load_task("custom"), DataChoice(str(tmp_path))).items
    assert [(item.question, item.answers) for item in items] == [
        ("What is shown in the image?", ("big dog",)),
        ("What is shown in the image?", ("cat",)),
    ]


def test_labels_of_a_saved_dataset_are_names(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "0.png")
    rows = datasets.Dataset.from_dict({"image": [{"bytes": None, "path": str(tmp_path / "0.png")}], "label": [1]})
    rows = rows.cast_column("image", datasets.Image()).cast_column("label", datasets.ClassLabel(names=["cat", "dog"]))
    rows.save_to_disk(str(tmp_path / "saved"))
    (item,) = load_items(load_task("custom"), DataChoice(str(tmp_path / "saved"))).items
    assert item.answers == ("dog",)


def test_pictures_of_another_folder_are_found_by_image_folder(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    picture(0).save(tmp_path / "far.png")
    row = {"image": "far.png", "conversations": llava("<image>\nWhat?", "A cat.")}
    (item,) = items_of(tmp_path / "rows", row, image_folder=tmp_path).items
    assert len(item.pictures) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": [{"role": "user", "content": "What?"}]}, "row 1: expected a question and an answer at the end"),
        (
            {"image": "0.png", "prompt": "What?", "chosen": "a", "rejected": "b"},
            "found preferences .* completion=chosen",
        ),
        ({"image": "0.png", "question": "What?", "chosen": "a", "rejected": "b"}, "found preferences .* answer=chosen"),
        ({"text": "All of it."}, "found TRL text .*nothing is asked"),
        ({"image": "0.png", "prompt": "What?", "completion": ""}, "row 1: expected the gold answer"),
        ({"image": "0.png", "conversations": llava("What?", "<image> 3")}, "row 1: expected words alone in the answer"),
        ({"image": "0.png", "question": "What?", "answer": "<image> 3"}, "row 1: expected words alone in the answer"),
        (
            {"image": "0.png", "question": "Why?", "answer": "3", "history": [["What?", "<image> 3"]]},
            "row 1: expected words alone in the answer, got a mark",
        ),
        (
            {"image": "0.png", "messages": [{"role": "user", "content": "What?"}, PICTURE_SAID]},
            "row 1: expected words alone in the last answer, got a picture",
        ),
    ],
)
def test_rows_without_a_question_and_its_answer_are_refused(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        items_of(tmp_path, row)


def rows_of(file: str, rows: Any) -> Callable[[Path], Path]:
    """Writes rows as JSON, and the pictures that they name."""

    def write(folder: Path) -> Path:
        for place, name in enumerate(("a.jpg", "b.jpg")):
            picture(place).save(folder / name)
        text = "".join(json.dumps(row) + "\n" for row in rows) if file.endswith(".jsonl") else json.dumps(rows)
        (folder / file).write_text(text)
        return folder / file

    return write


def in_classes(folder: Path) -> Path:
    for place, name in enumerate(("big_dog", "cat")):
        (folder / "train" / name).mkdir(parents=True)
        picture(place).save(folder / "train" / name / "0.png")
    return folder


def labelled(folder: Path) -> datasets.Dataset:
    in_classes(folder)
    return datasets.load_dataset("imagefolder", data_dir=str(folder / "train"), split="train")


def in_parquet(folder: Path) -> Path:
    labelled(folder / "pictures").to_parquet(str(folder / "rows.parquet"))
    return folder / "rows.parquet"


def saved(folder: Path) -> Path:
    labelled(folder / "pictures").save_to_disk(str(folder / "saved"))
    return folder / "saved"


def shards(folder: Path) -> Path:
    written = rows_of("0.json", {"question": "What is red?", "answer": "circle"})(folder)
    (folder / "shards").mkdir()
    with tarfile.open(folder / "shards" / "train-0.tar", "w") as tar:
        tar.add(folder / "a.jpg", "0.jpg")
        tar.add(written, "0.json")
    return folder / "shards"


def table(folder: Path) -> Path:
    rows_of("rows.json", [])(folder)
    (folder / "rows.csv").write_text("image,question,answer\na.jpg,What is red?,circle\n")
    return folder / "rows.csv"


def tokens(folder: Path) -> Path:
    rows_of("rows.json", [])(folder)
    (folder / "results.token").write_text("a.jpg#0\tA red circle.\na.jpg#1\tA disc.\n")
    return folder / "results.token"


COCO = {
    "images": [{"id": 1, "file_name": "a.jpg"}],
    "annotations": [{"image_id": 1, "caption": "A red circle."}, {"image_id": 1, "caption": "A disc."}],
}
TAUGHT = {
    **{
        one.name: rows_of("rows.jsonl", [one.example])
        for one in FORMATS
        if one.goal == "sft" and one.name != "TRL text"
    },
    "LLaVA JSON of several turns": rows_of(
        "rows.json", [{"id": "7", "image": "a.jpg", "conversations": llava("Hi <image>", "A cat.", "Where?", "Here.")}]
    ),
    "ShareGPT with a system prompt": rows_of(
        "rows.json", [{"images": ["a.jpg", "b.jpg"], "system": "No.", "conversations": llava("<image><image>?", "2")}]
    ),
    "plain prompt and completion": rows_of("rows.jsonl", [{"image": "a.jpg", "prompt": "What?", "completion": "3"}]),
    "a prompt that is a picture": rows_of("rows.jsonl", [{"image": "a.jpg", "conversations": llava("<image>", "3")}]),
    "text alone": rows_of("rows.jsonl", [{"conversations": llava("What?", "3")}]),
    "messages with options in another column": rows_of(
        "rows.jsonl", [{"image": "a.jpg", "prompt": "What?", "completion": "cat", "options": ["dog", "cat"]}]
    ),
    "a question with a system prompt and a history": rows_of(
        "rows.jsonl",
        [{"image": "a.jpg", "question": "Why?", "answer": "So.", "system": "No.", "history": [["What?", "A cat."]]}],
    ),
    "several answers, and a mark in the last question": rows_of(
        "rows.jsonl",
        [{"image": "a.jpg", "question": "<image>Why?", "answers": ["So."], "history": [["Hi", "Hello"]], "system": ""}],
    ),
    "a question with a system prompt": rows_of(
        "rows.jsonl", [{"image": "a.jpg", "question": "Why?", "answer": "So.", "system": "Be brief."}]
    ),
    "class folders": in_classes,
    "Parquet of an image folder": in_parquet,
    "a saved dataset": saved,
    "shards": shards,
    "CSV": table,
    "COCO captions": rows_of("captions_val2017.json", COCO),
    "Flickr captions": tokens,
}  # fmt: skip


@pytest.mark.parametrize("name", TAUGHT)
def test_training_and_evaluation_read_the_same_pictures_question_and_answer(name: str, tmp_path: Path) -> None:
    source = str(TAUGHT[name](tmp_path))
    processor = tiny_processor()
    taught = [as_trained(processor, row) for row in close_images(sft_rows(read_dataset(source), source).dataset)]
    items = load_items(load_task("custom"), DataChoice(source)).items
    asked = []
    for item, request in zip(items, requests_of(load_task("custom"), items, Asking(), ""), strict=True):
        prompt = render_prompt(processor, request.question)
        shown = tuple(picture.open().tobytes() for picture in prompt.pictures)
        asked += [(f"{prompt.text}{answer}", shown) for answer in item.answers]
    assert set(taught) <= set(asked)
    assert len(taught) >= len(items)


def as_trained(processor: Any, row: dict[str, Any]) -> tuple[str, tuple[bytes, ...]]:
    """The text that trains and its pictures; a plain prompt is put into the model's words, as every question is."""
    images = row_images(row)
    said = row.get("messages")
    if said is None:
        parts = (("user", row["prompt"]), ("assistant", row["completion"]))
        said = [
            turn
            for role, part in parts
            for turn in (part if isinstance(part, list) else [{"role": role, "content": part}])
        ]
    text, _ = render_messages(processor, structured(said, len(images), "row"), None, False, "row")
    return text.removesuffix("</s>"), tuple(open_image(image, "row").tobytes() for image in images)


def test_words_beside_a_question_that_are_not_asked_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"question": ["what ?"], "answer": ["red"], "system": ["Be brief."], "hint": ["It is round."]}
    assert taught_table(datasets.Dataset.from_dict(rows), "rows.jsonl") is None
    assert "rows.jsonl: not read: hint. " in capsys.readouterr().err


def test_what_was_said_before_a_question_is_turns(tmp_path: Path) -> None:
    row = {"image": "0.png", "question": "Why?", "options": ["So.", "No."], "answer": "A"}
    full = {**row, "system": "Be brief.", "history": [["What?", "A cat."]]}
    first, second = items_of(tmp_path, full, {**row, "system": None, "history": None}).items
    said = (Turn("system", "Be brief."), Turn("user", "<image 1>What?"), Turn("assistant", "A cat."))
    assert (first.turns, first.question, first.answers) == (said, "Why?", ("A",))
    assert (second.turns, second.question) == ((), "Why?")
    assert not {"system", "history"} & set(first.facts)


def test_rows_behind_the_limit_are_neither_counted_nor_refused(tmp_path: Path) -> None:
    good, bad = ({"image": "0.png", "conversations": turns} for turns in (llava("What?", "3"), [{"from": "x"}]))
    skipped = items_of(tmp_path, good, bad, good, bad, limit=2, skip_bad_rows=True)
    assert [message.partition(":")[0] for message in skipped.bad_rows] == ["rows.json row 2"]
    assert list(skipped.row_numbers.values()) == [1, 3]
    assert len(items_of(tmp_path, good, good, bad, limit=2).items) == 2
    with pytest.raises(DataError, match="^rows.json row 2: expected a role .*--skip_bad_rows"):
        items_of(tmp_path, good, bad, good, bad, limit=2)
    every = items_of(tmp_path, good, bad, good, bad, skip_bad_rows=True)
    assert (len(every.items), len(every.bad_rows)) == (2, 2)


def test_a_history_without_pairs_is_refused_by_its_row(tmp_path: Path) -> None:
    row = {"image": "0.png", "question": "Why?", "answer": "So."}
    with pytest.raises(DataError, match="row 2: expected history as pairs"):
        items_of(tmp_path, {**row, "history": [["a", "b"]]}, {**row, "history": [["a"]]})


def test_the_picture_cells_of_a_tsv_come_with_what_was_said_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(0).save(tmp_path / "0.png")
    cell = base64.b64encode((tmp_path / "0.png").read_bytes()).decode()
    header = "index\timage\tquestion\tanswer\tsystem\thistory\thint\n"
    path = tmp_path / "rows.tsv"
    path.write_text(f'{header}0\t{cell}\tWhy?\tSo.\tBe brief.\t"[[""What?"", ""A cat.""]]"\tRound.\n')
    items = load_items(load_task("custom"), DataChoice(str(path)))
    said = (Turn("system", "Be brief."), Turn("user", "<image 1>What?"), Turn("assistant", "A cat."))
    assert (items.items[0].turns, items.items[0].question, len(items.items[0].pictures)) == (said, "Why?", 1)
    assert open_rows(load_task("custom"), items.source).row(0).turns == said
    assert "rows.tsv: not read: hint. " in capsys.readouterr().err


def test_a_tsv_with_picture_cells_may_hold_what_training_reads(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "0.png")
    cell = base64.b64encode((tmp_path / "0.png").read_bytes()).decode()
    path = tmp_path / "rows.tsv"
    path.write_text(f"index\timage\tinstruction\toutput\n7\t{cell}\tWhat?\tA cat.\n")
    (item,) = load_items(load_task("custom"), DataChoice(str(path))).items
    assert (item.id, item.question, item.answers, len(item.pictures)) == ("7", "What?", ("A cat.",), 1)


@pytest.mark.parametrize(
    ("written", "gold"),
    [
        ("<answer>red</answer>", "red"),
        ("<answer> 3 </answer>", "3"),
        ("<think>Two and one.</think>\n<answer>B</answer>", "B"),
        ("<think>It glows.</think>\n\nred", "red"),
        ("So $x = \\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
        ("<b>red</b>", "<b>red</b>"),
    ],
)
def test_gold_is_the_answer_that_a_solution_marks(written: str, gold: str, tmp_path: Path) -> None:
    solved: dict[str, Any] = {"problem": "What?", "solution": written}
    rows = (solved, {"question": "What?", "answer": [written]})
    for name, row in zip(("solved.json", "asked.json"), rows, strict=True):
        (item,) = items_of(tmp_path, {"image": "0.png", **row}, name=name).items
        assert item.answers == (gold,)
    taught = sft_rows(read_dataset(tmp_path / "solved.json"), "solved.json").dataset
    assert taught[0]["completion"][0]["content"] == written


def test_a_solution_picks_an_option_from_within_its_tags(tmp_path: Path) -> None:
    row = {"image": "0.png", "question": "What?", "options": ["red", "blue"]}
    items = items_of(tmp_path, {**row, "answer": "<answer>B</answer>"}, {**row, "answer": "<answer>red</answer>"}).items
    assert [item.answers for item in items] == [("B",), ("A",)]
    hidden = {"image": "0.png", "problem": "What?", "candidates": ["red", "blue"], "solution": "<answer>B</answer>"}
    with pytest.raises(DataError, match="seems to pick one of the options in candidates"):
        items_of(tmp_path, hidden)


def test_thought_without_an_answer_is_no_gold_answer(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 1: expected an answer behind its thought in answer, got none"):
        items_of(tmp_path, {"image": "0.png", "question": "What?", "answer": "<think>It is"})
