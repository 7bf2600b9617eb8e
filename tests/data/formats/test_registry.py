"""Every format of the table: its example row is recognised, becomes what it says, and survives being written."""

from __future__ import annotations

import json
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.cli.main import run
from sightline.data.encoding.rendering import structured
from sightline.data.formats.columns import preference_rows, sft_rows
from sightline.data.formats.questions import best_and_worst
from sightline.data.formats.registry import FORMATS, Format
from sightline.data.pictures.columns import PictureAccess
from sightline.data.sources.datasets import read_dataset, stream_dataset
from sightline.errors import DataError

READ: dict[str, Any] = {
    "sft": sft_rows,
    "preferences": preference_rows,
    "answers alone": partial(sft_rows, answers_alone=True),
}
TEXTS = ("messages", "prompt", "completion", "chosen", "rejected")

every_format = pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.jpg")
    Image.new("RGB", (4, 4), "blue").save(tmp_path / "b.jpg")
    return tmp_path


def written(folder: Path, *rows: dict[str, Any], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def said(path: Path, goal: str) -> list[dict[str, Any]]:
    """What training sees of each row: its messages as parts with every image in its place, and its pictures' bytes."""
    rows = []
    for row in READ[goal](read_dataset(path), str(path)).dataset:
        images = row.get("images") or ([row["image"]] if row.get("image") else [])
        seen: dict[str, Any] = {"images": [Path(image["path"]).read_bytes() for image in images]}
        for column in (column for column in TEXTS if row.get(column) is not None):
            shown = len(images) if column in ("messages", "prompt") else 0
            seen[column] = structured(row[column], shown, "row") if isinstance(row[column], list) else row[column]
        rows.append(seen | ({"text": row["text"]} if row.get("text") else {}))
    return rows


@every_format
def test_the_example_is_recognised_and_its_columns_are_trls(one: Format, folder: Path) -> None:
    rows = READ[one.goal](read_dataset(written(folder, one.example)), "rows.jsonl")
    assert rows.format == one
    columns = set(rows.dataset.column_names)
    demonstrations = ({"messages"}, {"prompt", "completion"}, {"text"})
    wanted = demonstrations if one.goal == "sft" else ({"prompt", "chosen", "rejected"},)
    assert any(needed <= columns for needed in wanted)


@every_format
def test_trl_rows_written_of_it_train_as_its_own_do(one: Format, folder: Path) -> None:
    source = written(folder, one.example, one.example)
    target, goal = ("trl-sft", "sft") if one.goal == "sft" else ("trl-dpo", "preferences")
    assert run(["data", "convert", str(source), str(folder / "new" / "out.jsonl"), "--to", target]) == 0
    assert said(folder / "new" / "out.jsonl", goal) == said(source, goal)


@every_format
def test_a_stream_of_it_can_be_given_to_a_worker_that_starts_anew(one: Format, folder: Path) -> None:
    stream = READ[one.goal](stream_dataset(written(folder, one.example, one.example)), "rows.jsonl").dataset
    assert list(pickle.loads(pickle.dumps(stream))) == list(stream)


CONVERSATIONS = [one for one in FORMATS if one.goal == "sft" and one.columns != ("text",)]


@pytest.mark.parametrize("one", CONVERSATIONS, ids=lambda one: one.name)
def test_llava_rows_written_of_it_train_as_its_own_do(one: Format, folder: Path) -> None:
    source = written(folder, one.example, {**one.example, "id": "8"})
    command = ["data", "convert", str(source), str(folder / "new.json"), "--to", "llava", "--images", "reference"]
    assert run(command) == 0
    own = said(source, "sft")
    assert said(folder / "new.json", "sft") == [as_conversation(dict(row)) for row in own]
    if "messages" not in own[0]:
        assert said(folder / "new.json", "answers alone") == own


def as_conversation(row: dict[str, Any]) -> dict[str, Any]:
    """Prompt and completion as the messages of one conversation, as conversations are read."""
    if "messages" in row:
        return row
    messages = row.pop("prompt") + row.pop("completion")
    return {**row, "messages": messages}


@every_format
def test_parquet_written_of_it_gives_the_same_rows_with_pictures_inside(one: Format, folder: Path) -> None:
    from datasets import load_dataset

    source = written(folder, one.example)
    assert run(["data", "convert", str(source), str(folder / "new" / "out.parquet"), "--to", "parquet"]) == 0
    again = read_dataset(folder / "new" / "out.parquet")
    first = read_dataset(source)
    assert again.features == first.features
    texts = [column for column in first.column_names if not column.startswith("image")]
    assert again.select_columns(texts)[:] == first.select_columns(texts)[:]
    assert READ[one.goal](again, "out.parquet").format == one
    for column in {"image", "images"} & set(first.column_names):
        loaded = load_dataset("parquet", data_files=str(folder / "new" / "out.parquet"), split="train")[0][column]
        assert (loaded[0] if isinstance(loaded, list) else loaded).size == (4, 4)


def test_kto_rows_are_each_answer_with_its_label(folder: Path) -> None:
    rows = {"image": "a.jpg", "question": "What?", "chosen": "red", "rejected": ["blue", "green"]}
    assert run(["data", "convert", str(written(folder, rows)), str(folder / "out.jsonl"), "--to", "trl-kto"]) == 0
    out = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert [(row["completion"][0]["content"], row["label"]) for row in out] == [
        ("red", True),
        ("blue", False),
        ("green", False),
    ]
    assert all((folder / row["image"]).is_file() and row["prompt"][0]["content"] == "What?" for row in out)


class TestConversations:
    """LLaVA, ShareGPT and vsft rows, by hand."""

    def messages(self, folder: Path, *rows: dict[str, Any]) -> Any:
        dataset = sft_rows(read_dataset(written(folder, *rows)), "rows.jsonl").dataset
        return dataset["messages"][:] if "messages" in dataset.column_names else dataset

    def test_marks_become_images_where_they_stand(self, folder: Path) -> None:
        turns = [
            {"from": "human", "value": "<image>\nthis or\n<image>?"},
            {"from": "gpt", "value": "This."},
            {"from": "human", "value": "Why?"},
            {"from": "gpt", "value": "It is red."},
        ]
        (messages,) = self.messages(folder, {"image": ["a.jpg", "b.jpg"], "conversations": turns, "system": "Be kind."})
        assert [message["role"] for message in messages] == ["system", "user", "assistant", "user", "assistant"]
        assert messages[1]["content"] == [
            {"type": "image", "text": None},
            {"type": "text", "text": "this or"},
            {"type": "image", "text": None},
            {"type": "text", "text": "?"},
        ]
        assert messages[4]["content"] == [{"type": "text", "text": "It is red."}]

    def test_what_a_row_becomes_does_not_depend_on_other_rows(self, folder: Path) -> None:
        turns = [{"from": "human", "value": "<image>x"}, {"from": "gpt", "value": "y"}]
        more = [{"from": "human", "value": "z"}, {"from": "gpt", "value": "w"}]
        single = {"image": "a.jpg", "conversations": turns}
        double = {"image": "a.jpg", "conversations": turns + more}
        alone, beside = self.messages(folder, single, single), self.messages(folder, single, double)
        assert [len(messages) for messages in beside] == [2, 4]
        assert alone == [beside[0], beside[0]]

    @pytest.mark.parametrize("column", ["conversations", "messages"])
    def test_a_stream_becomes_what_a_table_does(self, column: str, folder: Path) -> None:
        turns = [{"from": "human", "value": "<image>x"}, {"from": "gpt", "value": "y"}]
        source = written(folder, *[{"image": "a.jpg", column: turns}] * 3)
        streamed = sft_rows(stream_dataset(source, "train", None, PictureAccess()), "rows.jsonl").dataset
        assert [row["messages"] for row in streamed] == sft_rows(read_dataset(source), "x").dataset["messages"][:]

    def test_answers_alone_are_trained_where_every_conversation_is_one_exchange(self, folder: Path) -> None:
        turns = [{"from": "human", "value": "<image>x"}, {"from": "gpt", "value": "y"}]
        single = {"image": "a.jpg", "conversations": turns}
        double = {"image": "a.jpg", "conversations": [*turns, {"from": "human", "value": "z"}, turns[1]]}
        made = sft_rows(read_dataset(written(folder, single, single)), "rows.jsonl", answers_alone=True).dataset
        assert set(made.column_names) == {"image", "prompt", "completion"}
        with pytest.raises(DataError, match="row 2: expected one question and one answer, since completion_only_loss"):
            sft_rows(read_dataset(written(folder, single, double)), "rows.jsonl", answers_alone=True)

    def test_rows_with_and_without_images_stay_together(self, folder: Path) -> None:
        text = {"conversations": [{"from": "human", "value": "hello"}, {"from": "gpt", "value": "hi"}]}
        turns = [{"from": "human", "value": "<image>\nwhat"}, {"from": "gpt", "value": "red"}]
        shown = {"image": "a.jpg", "conversations": turns}
        dataset = sft_rows(read_dataset(written(folder, text, shown)), "rows.jsonl").dataset
        assert [row["image"] is None for row in dataset] == [True, False]
        assert dataset[0]["messages"][0]["content"] == [{"type": "text", "text": "hello"}]

    @pytest.mark.parametrize(
        ("turns", "message"),
        [
            (
                [{"from": "human", "value": "<image><image>x"}],
                "row 1: 1 image, but the text has 2 marks such as <image>",
            ),
            ([{"from": "tool", "value": "x"}], r"row 1: calls of tools .*, got a turn of tool"),
            ([], r"row 1: expected a list of turns, got \[\]"),
            ([{"from": "human", "value": None}], "row 1: expected the text of a turn, got None"),
        ],
    )
    def test_broken_conversations_are_named(self, turns: Any, message: str, folder: Path) -> None:
        good = {"image": "a.jpg", "conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "y"}]}
        with pytest.raises(DataError, match=message):
            self.messages(folder, {"image": "a.jpg", "conversations": turns}, good)

    def test_image_parts_out_of_order_are_refused(self, folder: Path) -> None:
        content = [{"index": 1, "text": None, "type": "image"}, {"index": 0, "text": None, "type": "image"}]
        row = {"messages": [{"role": "user", "content": content}], "images": ["a.jpg", "b.jpg"]}
        with pytest.raises(DataError, match=r"row 1: expected image parts that show the 2 images in their order"):
            self.messages(folder, row)


class TestPreferences:
    """POVID, VLFeedback and RLHF-V rows, by hand."""

    def pairs(self, folder: Path, *rows: dict[str, Any]) -> Any:
        return preference_rows(read_dataset(written(folder, *rows)), "rows.jsonl")

    def test_povid_conversations_part_at_the_first_answer_that_differs(self, folder: Path) -> None:
        start = [{"from": "human", "value": "<image>\na?"}, {"from": "gpt", "value": "b"}]
        start.append({"from": "human", "value": "c?"})
        row = {
            "image": "a.jpg",
            "conversations": [*start, {"from": "gpt", "value": "d"}],
            "rejected_conversations": [*start, {"from": "gpt", "value": "e"}],
        }
        (pair,) = self.pairs(folder, row).dataset
        assert [message["role"] for message in pair["prompt"]] == ["user", "assistant", "user"]
        assert (pair["chosen"][0]["content"][0]["text"], pair["rejected"][0]["content"][0]["text"]) == ("d", "e")
        with pytest.raises(DataError, match="row 1: expected two conversations .* got two that are the same"):
            self.pairs(folder, {**row, "rejected_conversations": row["conversations"]})

    def test_vlfeedback_prefers_the_best_to_the_worst_by_mean_rating_and_leaves_ties_out(self, folder: Path) -> None:
        def completion(response: str, *ratings: str) -> dict[str, Any]:
            aspects = ("Helpfulness", "Visual Faithfulness", "Ethical Considerations")
            rated = zip(aspects, ratings, strict=True)
            annotations = {aspect: {"Rating": rating, "Rationale": ""} for aspect, rating in rated}
            return {"model": "m", "response": response, "annotations": annotations}

        mixed = [completion("good", "4", "4", "5"), completion("bad", "1", "5", "5")]
        mixed += [completion("unrated", "5", "N/A", "5"), completion("best", "5", "5", "4")]
        tied = [completion("one", "5", "5", "5"), completion("two", "5", "5", "5")]
        rows = [{"image": "a.jpg", "prompt": "p", "completions": each} for each in (tied, mixed)]
        made = self.pairs(folder, *rows)
        assert (made.left_out, made.origins) == (1, [1])
        (pair,) = made.dataset
        assert pair["chosen"][0]["content"] == "best"
        assert pair["rejected"][0]["content"] == "bad"
        with pytest.raises(DataError, match="no row of 1 .VLFeedback. has a pair of answers that differ"):
            self.pairs(folder, rows[0])

    def test_the_same_ratings_in_another_order_are_a_tie(self, folder: Path) -> None:
        def completion(response: str, *ratings: str) -> dict[str, Any]:
            annotations = {aspect: {"Rating": rating} for aspect, rating in zip("abc", ratings, strict=True)}
            return {"response": response, "annotations": annotations}

        tied = [completion("x", "0.1", "0.2", "0.3"), completion("y", "0.3", "0.2", "0.1")]
        with pytest.raises(DataError, match="no row of 1 .VLFeedback. has a pair of answers that differ"):
            self.pairs(folder, {"image": "a.jpg", "prompt": "p", "completions": tied})

    @pytest.mark.parametrize("rating", ["nan", "inf", "-inf", "1e400", pytest.param(10**400, id="googols")])
    def test_an_answer_whose_rating_is_no_finite_number_is_in_no_pair(self, folder: Path, rating: str | int) -> None:
        ratings: dict[str, list[str | int]] = {"odd": [rating, "-inf"], "x": ["1", "2"], "y": ["3", "2"]}
        rated = [
            {"response": answer, "annotations": {"a": {"Rating": first}, "b": {"Rating": second}}}
            for answer, (first, second) in ratings.items()
        ]
        (pair,) = best_and_worst({"prompt": "p", "completions": rated}, 0, "row 1")
        assert [pair[side][0]["content"] for side in ("chosen", "rejected")] == ["y", "x"]

    def test_vlfeedback_as_arrow_holds_it_is_a_record_of_lists(self, folder: Path) -> None:
        annotations = [{"Helpfulness": {"Rating": "2"}}, {"Helpfulness": {"Rating": "3"}}]
        row = {"image": "a.jpg", "prompt": "p", "completions": {"response": ["x", "y"], "annotations": annotations}}
        (pair,) = self.pairs(folder, row).dataset
        assert pair["chosen"][0]["content"] == "y"

    def test_json_pairs_are_no_text_to_be_fine_tuned_on(self, folder: Path) -> None:
        row = {"image": "a.jpg", "text": json.dumps({"question": "q", "chosen": "c", "rejected": "r"})}
        with pytest.raises(DataError, match=r"found preferences \(RLHF-V: image, text\). Train .* `sightline dpo`"):
            sft_rows(read_dataset(written(folder, row)), "rows.jsonl")
        with pytest.raises(DataError, match=r"row 2: expected JSON with question, .* in 'text', got 'x'"):
            self.pairs(folder, row, {"image": "a.jpg", "text": "x"})


def test_several_captions_make_a_row_each_of_one_picture(folder: Path) -> None:
    source = written(folder, {"image": "a.jpg", "captions": ["x", "y"]}, {"image": "b.jpg", "captions": ["z"]})
    rows = sft_rows(read_dataset(source), "rows.jsonl")
    assert rows.origins == [0, 0, 1]
    assert [(Path(row["image"]["path"]).name, row["completion"][0]["content"]) for row in rows.dataset] == [
        ("a.jpg", "x"),
        ("a.jpg", "y"),
        ("b.jpg", "z"),
    ]


def test_several_answers_are_the_one_that_most_gave(folder: Path) -> None:
    source = written(folder, {"question": "q", "answers": [{"answer": "a"}, {"answer": "b"}, {"answer": "b"}]})
    assert sft_rows(read_dataset(source), "x").dataset[0]["completion"][0]["content"] == "b"


def test_an_unknown_format_names_what_was_found_and_the_nearest(folder: Path) -> None:
    source = written(folder, {"image": "a.jpg", "chosen": "x", "rejected": "y"})
    with pytest.raises(
        DataError, match=r"found chosen, image, rejected. The nearest format is TRL preferences, .* lacks prompt"
    ):
        preference_rows(read_dataset(source), "rows.jsonl")
    with pytest.raises(DataError, match=r"found demonstrations \(question and answer: .* `sightline sft`"):
        preference_rows(read_dataset(written(folder, {"question": "a", "answer": "b"})), "rows.jsonl")
