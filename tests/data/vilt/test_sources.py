"""Every format of captions, questions and sentences gives the same records; what is missing is named."""

from __future__ import annotations

import io
import json

import pyarrow
import pytest
from PIL import Image

from sightline.data.sources.bad_rows import BadRows
from sightline.data.vilt.captions import read_captions
from sightline.data.vilt.questions import (
    answer_vocabulary,
    outside_vocabulary,
    read_questions,
    read_vocabulary,
    score_answers,
)
from sightline.data.vilt.sentences import read_sentences
from sightline.data.vilt.sources import PictureCheck
from sightline.errors import DataError

CAPTIONS = {"one.jpg": ("a red cat", "a cat"), "two.jpg": ("a dog runs",)}


@pytest.fixture
def folder(tmp_path):
    for name in CAPTIONS:
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    return tmp_path


def encoded() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


def write_json(path, content):
    path.write_text(json.dumps(content))
    return path


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_arrow(path, columns):
    table = pyarrow.table(columns)
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.RecordBatchFileWriter(sink, table.schema) as writer:
        writer.write_table(table)
    return path


def coco(folder):
    images = [{"id": 7 + index, "file_name": name} for index, name in enumerate(CAPTIONS)]
    annotations = [
        {"image_id": 7 + index, "caption": text} for index, texts in enumerate(CAPTIONS.values()) for text in texts
    ]
    return write_json(folder / "captions_val2017.json", {"images": images, "annotations": annotations})


def karpathy(folder):
    images = [
        {"filename": name, "split": "restval", "sentences": [{"raw": text} for text in texts]}
        for name, texts in CAPTIONS.items()
    ]
    return write_json(folder / "dataset_flickr8k.json", {"images": images, "dataset": "flickr8k"})


def flickr(folder):
    lines = [f"{name}#{number}\t{text}" for name, texts in CAPTIONS.items() for number, text in enumerate(texts)]
    path = folder / "Flickr8k.token.txt"
    path.write_text("\n".join(lines))
    return path


def jsonl(folder):
    return write_jsonl(folder / "rows.jsonl", [{"image": name, "captions": texts} for name, texts in CAPTIONS.items()])


@pytest.mark.parametrize("write", [coco, karpathy, flickr, jsonl])
def test_every_format_of_captions_gives_the_same_pictures(write, folder):
    rows = read_captions(write(folder), split="train")
    assert [(row.picture, row.captions) for row in rows] == [
        (str(folder / name), texts) for name, texts in CAPTIONS.items()
    ]


def test_the_authors_arrow_files_hold_pictures_as_bytes(tmp_path):
    columns = {"image": [encoded()] * 2, "caption": [["a"], ["b", "c"]], "image_id": ["1", "2"], "split": ["train"] * 2}
    rows = read_captions(write_arrow(tmp_path / "coco.arrow", columns))
    assert [(row.key, row.captions) for row in rows] == [("1", ("a",)), ("2", ("b", "c"))]
    assert rows[0].picture == encoded()


def test_karpathys_splits_are_kept_apart(folder):
    path = karpathy(folder)
    assert len(read_captions(path)) == 2
    with pytest.raises(DataError, match=r"expected captioned pictures of the split 'test', found none"):
        read_captions(path, split="test")


def test_answers_about_a_picture_read_as_its_caption(folder):
    asked = [("one.jpg", "what is it?", "Cat"), ("one.jpg", "is it?", "yes"), ("one.jpg", "which color?", "black")]
    asked += [("two.jpg", "is it?", "no"), ("one.jpg", "what?", "cat")]
    rows = [{"image": image, "question": question, "answer": answer} for image, question, answer in asked]
    (row,) = read_captions(write_jsonl(folder / "qa.jsonl", rows))
    assert row.captions == ("black cat",)
    assert row.asked == ("what is it?", "is it?", "which color?", "what?")


@pytest.mark.parametrize(
    ("read", "row"),
    [
        (read_captions, {"caption": "a"}),
        (read_captions, {"question": "what?", "answer": "a cat"}),
        (read_questions, {"question": "what?", "answer": "a cat"}),
        (read_sentences, {"sentence": "a cat", "label": "true"}),
    ],
)
def test_every_bad_row_is_named_or_left_out(read, row, folder):
    (folder / "text.jpg").write_text("no picture")
    names = ("none.jpg", "one.jpg", "text.jpg", "nil.jpg", "text.jpg", "two.jpg")
    path = write_jsonl(folder / "rows.jsonl", [{"image": name, **row} for name in names])
    with pytest.raises(DataError) as caught:
        read(path)
    said = str(caught.value).split("\n")
    found = [f"rows.jsonl row {number}: image" for number in (1, 3, 4, 5)]
    assert [line[: len(start)] for line, start in zip(said, found, strict=True)] == found
    assert "'none.jpg' not found in" in said[0] and "no picture that Pillow can read" in said[3]
    assert said[-1].endswith("Or leave such rows out, counted, by --skip_bad_rows.")
    check = PictureCheck(BadRows(skip=True))
    rows = read(path, check=check)
    assert [row.name for row in rows] == ["rows.jsonl row 2", "rows.jsonl row 6"]
    assert check.bad.problems[:3] == said[:3] and len(check.bad.places) == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"image": "one.jpg", "caption": " "}', r"rows\.jsonl row 1: the caption is empty"),
        ('{"image": "one.jpg"}', r"rows\.jsonl row 1: expected captions, caption, or question with answer"),
        ('{"caption": "a"}', r"row 1: expected the path of a picture in 'image', got None"),
        ("not json", r"rows\.jsonl line 1: no valid JSON"),
    ],
)
def test_rows_that_cannot_be_used_are_named(content, message, folder):
    (folder / "rows.jsonl").write_text(content)
    with pytest.raises(DataError, match=message):
        read_captions(folder / "rows.jsonl")


@pytest.mark.parametrize(
    ("read", "row", "message"),
    [
        (read_captions, {"captions": 7}, "expected texts in captions, got 7"),
        (read_captions, {"captions": ["a cat", 7]}, "expected texts as captions, got 7"),
        (read_captions, {"captions": [None]}, "expected texts as captions, got None"),
        (read_captions, {"caption": "a cat", "split": {"a": 1}}, "expected a text in split"),
        (read_captions, {"question": ["what?"], "answer": "cat"}, "expected a text in question"),
        (read_questions, {"question": 7, "answer": "cat"}, "expected the question as a text, got 7"),
        (read_questions, {"question": "what?", "answer": "cat", "id": [1]}, "expected a text or a number in id"),
        (read_sentences, {"sentence": {"a": 1}, "label": "true"}, "expected a text in sentence"),
        (read_sentences, {"sentence": "a cat", "label": "true", "identifier": [1]}, "a text or a number in identifier"),
        (read_sentences, {"sentence": "a cat", "label": "true", "images": [7]}, "expected paths of pictures"),
    ],
)
def test_values_of_another_kind_are_errors_of_their_row(read, row, message, folder):
    path = write_jsonl(folder / "rows.jsonl", [{"image": "one.jpg", **row}])
    with pytest.raises(DataError, match=f"rows.jsonl row 1: .*{message}"):
        read(path)


@pytest.mark.parametrize("read", [read_captions, read_questions, read_sentences])
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_what_is_no_row_is_an_error_or_left_out_wherever_it_stands(read, suffix, folder):
    row = {"image": "one.jpg", "question": "a cat", "answer": "true", "label": "true"}
    lines = ["null", json.dumps(row), "7", json.dumps(row), '["x"]']
    path = folder / f"rows.{suffix}"
    path.write_text("[" + ",".join(lines) + "]" if suffix == "json" else "\n".join([*lines, "{"]))
    with pytest.raises(DataError, match=r"(?s)(row|line) 1: .*\n.*(row|line) 3: .*\n.*(row|line) 5: "):
        read(path)
    check = PictureCheck(BadRows(skip=True))
    assert read(path, check=check)[0].name == f"rows.{suffix} row 2"
    assert len(check.bad.problems) == (3 if suffix == "json" else 4)


def test_answers_without_a_question_or_of_nothing_teach_no_word(folder):
    rows = [{"image": "one.jpg", "question": "what?", "answer": "cat"}, {"image": "one.jpg", "answer": None}]
    (row,) = read_captions(write_jsonl(folder / "rows.jsonl", rows))
    assert (row.captions, row.asked) == (("cat",), ("what?",))


def test_what_people_answered_scores_by_how_many_said_it():
    """VQAv2: 1, 2, 3, 4 of ten people are worth 0.3, 0.6, 0.9 and 1."""
    said = ["red"] * 4 + ["Red."] + ["blue"] * 3 + ["dark red"] * 2
    assert score_answers(said) == {"red": 1.0, "blue": 0.9, "dark red": 0.6}
    assert score_answers(["one"]) == {"one": 0.3}


def test_vqav2s_two_files_give_scored_questions(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "COCO_val2014_000000000042.jpg")
    questions = {"data_subtype": "val2014", "questions": [{"image_id": 42, "question": "Is it?", "question_id": 9}]}
    answers = [{"answer": answer} for answer in ["yes"] * 8 + ["no"] * 2]
    annotation = {"question_id": 9, "image_id": 42, "answers": answers, "answer_type": "yes/no"}
    asked = write_json(tmp_path / "questions.json", questions)
    annotated = write_json(tmp_path / "annotations.json", {"annotations": [annotation]})
    (row,) = read_questions(asked, annotations=annotated)
    assert (row.question, row.scores, row.id, row.kind) == ("Is it?", {"yes": 1.0, "no": 0.6}, "9", "yes/no")
    assert read_questions(asked)[0].scores == {}


def test_the_authors_questions_hold_several_per_picture(tmp_path):
    columns = {
        "image": [encoded()],
        "questions": [["a?", "b?"]],
        "answers": [[["x"], ["y", "z"]]],
        "answer_labels": [[[0], [1, 2]]],
        "answer_scores": [[[1.0], [0.3, 0.6]]],
        "image_id": [5],
        "question_id": [[50, 51]],
        "split": ["train"],
    }
    rows = read_questions(write_arrow(tmp_path / "vqa.arrow", columns))
    assert [(row.question, row.scores, row.id, row.key) for row in rows] == [
        ("a?", {"x": 1.0}, "50", "5"),
        ("b?", {"y": 0.3, "z": 0.6}, "51", "5"),
    ]


def test_answers_in_rows_are_all_right(folder):
    asked = {"image": "one.jpg", "question": "q"}
    rows = [{**asked, "answer": "Gray"}, {**asked, "answers": ["gray", "grey"]}]
    read = read_questions(write_jsonl(folder / "rows.jsonl", rows))
    assert [row.scores for row in read] == [{"gray": 1.0}, {"gray": 1.0, "grey": 1.0}]


def test_a_vocabulary_holds_frequent_answers_and_others_are_counted(folder):
    answers = ["cat"] * 3 + ["dog"] * 2 + ["emu"]
    rows = [{"image": "one.jpg", "question": "q", "answer": answer} for answer in answers]
    read = read_questions(write_jsonl(folder / "rows.jsonl", rows))
    assert answer_vocabulary(read) == ["cat", "dog", "emu"]
    assert answer_vocabulary(read, min_count=2) == ["cat", "dog"]
    assert outside_vocabulary(read, ["cat", "dog"]) == 1


def test_vocabularies_come_as_lines_lists_or_numbered(tmp_path):
    (tmp_path / "answers.txt").write_text("yes\nno\n")
    numbered = write_json(tmp_path / "numbered.json", {"1": "no", "0": "yes"})
    for path in (tmp_path / "answers.txt", numbered, write_json(tmp_path / "list.json", ["yes", "no"])):
        assert read_vocabulary(path) == ["yes", "no"]


def test_nlvr2_pairs_two_pictures_and_groups_by_them(tmp_path):
    for side in (0, 1):
        Image.new("RGB", (8, 8)).save(tmp_path / f"dev-850-0-img{side}.png")
    rows = [
        {"identifier": f"dev-850-0-{n}", "sentence": "s", "label": label} for n, label in enumerate(["True", "False"])
    ]
    read = read_sentences(write_jsonl(tmp_path / "dev.json", rows))
    assert [row.label for row in read] == [1, 0] and {row.group for row in read} == {"dev-850-0"}
    assert read[0].pictures == tuple(str(tmp_path / f"dev-850-0-img{side}.png") for side in (0, 1))


def test_nlvr_shows_six_orders_of_one_example(tmp_path):
    (tmp_path / "images" / "3").mkdir(parents=True)
    for order in range(6):
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / "3" / f"train-10-0-{order}.png")
    row = {"identifier": "10-0", "directory": "3", "sentence": "s", "label": "true"}
    read = read_sentences(write_jsonl(tmp_path / "train.json", [row]))
    assert len(read) == 6 and all(len(row.pictures) == 1 and row.group == "10" for row in read)


def test_a_label_is_true_or_false(folder):
    path = write_jsonl(folder / "rows.jsonl", [{"image": "one.jpg", "sentence": "s", "label": "maybe"}])
    with pytest.raises(DataError, match=r"row 1: expected the label true or false, got 'maybe'"):
        read_sentences(path)


def test_rows_of_one_and_of_two_pictures_do_not_mix(folder):
    shown = [["one.jpg"], ["one.jpg", "two.jpg"]]
    path = write_jsonl(folder / "rows.jsonl", [{"images": images, "sentence": "s", "label": True} for images in shown])
    with pytest.raises(DataError, match=r"found 1 \(rows\.jsonl row 1\), 2 \(rows\.jsonl row 2\)"):
        read_sentences(path)


@pytest.mark.parametrize(
    ("read", "name", "pictures", "rows"),
    [
        (read_captions, "noto_emoji/captions.jsonl", 1207, 1207),
        (read_captions, "coco_cc_captions/captions.jsonl", 74, 74),
        (read_questions, "easy_vqa/test.jsonl", 500, 4890),
        (read_sentences, "nlvr_v1/eval_dev.jsonl", 1978, 1978),
    ],
)
def test_real_data_reads_whole(read, name, pictures, rows, shared):
    found = read(shared / "data" / name)
    assert len(found) == rows
    shown = {getattr(row, "picture", None) or row.pictures for row in found}
    assert len(shown) == pictures
