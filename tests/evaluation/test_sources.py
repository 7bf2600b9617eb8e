"""A task's rows are found where they lie, at the revision that is recorded; what cannot be used is named or counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pytest
from PIL import Image

from sightline.errors import ConfigError, DataError
from sightline.evaluation.items import fingerprint
from sightline.evaluation.sources import DataChoice, load_items
from sightline.evaluation.tasks.registry import TASKS, load_task
from tests.evaluation.tasks.made import BLUE, RED, dataset_of, write_tsv

POPE = load_task("pope")
HUB_ROW = {"question_id": "1", "question": "Is there a dog?", "answer": "no", "image": RED, "category": "random"}
TSV_ROW = {"index": 1, "image": RED, "question": "Is there a dog?", "answer": "no", "category": "random"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """The network: datasets by id, and what was asked of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rows: dict[str, list[dict[str, Any]]]) -> None:
        self.rows = rows
        self.loaded: list[tuple[str, str | None, str, str | None]] = []
        self.is_online = True
        monkeypatch.setattr(datasets, "load_dataset", self.load_dataset)
        monkeypatch.setattr(datasets, "get_dataset_config_names", lambda place, revision: ["Art", "Math"])
        monkeypatch.setattr(datasets, "get_dataset_split_names", lambda place, config, revision: ["one", "two"])
        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", self.dataset_info)

    def load_dataset(self, place: str, config: str | None, *, split: str, revision: str | None) -> datasets.Dataset:
        if place not in self.rows:
            raise datasets.exceptions.DatasetNotFoundError(f"Dataset '{place}' doesn't exist\non the Hub")
        self.loaded.append((place, config, split, revision))
        return dataset_of(*self.rows[place])

    def dataset_info(self, place: str) -> huggingface_hub.DatasetInfo:
        if not self.is_online:
            raise ConnectionError("no network")
        return huggingface_hub.DatasetInfo(id=place, sha=COMMIT)


@pytest.fixture(autouse=True)
def no_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_BENCHMARKS", raising=False)
    monkeypatch.delenv("LMUData", raising=False)


def test_the_revision_that_was_loaded_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch, {"lmms-lab-encoder/POPE": [HUB_ROW]})
    found = load_items(POPE)
    assert hub.loaded == [("lmms-lab-encoder/POPE", None, "test", COMMIT)]
    assert (found.source.place, found.source.revision, found.notes) == ("lmms-lab-encoder/POPE", COMMIT, ())


def test_a_pinned_revision_is_the_one_that_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch, {"flaviagiammarino/vqa-rad": [{"image": RED, "question": "Is it?", "answer": "yes"}]})
    found = load_items(load_task("vqa_rad"))
    pinned = load_task("vqa_rad").sources[1].revision
    assert hub.loaded == [("flaviagiammarino/vqa-rad", None, "test", pinned)]
    assert found.source.revision == pinned and len(pinned) == 40


def test_the_former_id_is_used_where_the_present_one_fails_and_a_note_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch, {"lmms-lab/POPE": [HUB_ROW]})
    found = load_items(POPE)
    assert [place for place, *_ in hub.loaded] == ["lmms-lab/POPE"]
    assert found.notes == (
        "lmms-lab-encoder/POPE could not be loaded from the Hub: Dataset 'lmms-lab-encoder/POPE' doesn't exist",
    )


def test_a_stored_copy_without_network_has_no_known_revision_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch, {"lmms-lab-encoder/POPE": [HUB_ROW]})
    hub.is_online = False
    found = load_items(POPE)
    assert hub.loaded[0][-1] is None and found.source.revision == ""
    assert "revision of lmms-lab-encoder/POPE is not known" in found.notes[0]


def test_all_configurations_and_all_splits_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "id": "validation_Art_1", "question": "Is <image 1> red?", "options": "['yes', 'no']", "image_1": RED,
        "answer": "A", "question_type": "multiple-choice", "subfield": "",
    }  # fmt: skip
    hub = Hub(monkeypatch, {"MMMU/MMMU": [row]})
    with pytest.raises(DataError, match=r"row 2: the id 'validation_Art_1' is that of MMMU/MMMU \(validation\) row 1"):
        load_items(load_task("mmmu_val"))
    assert [config for _, config, _, _ in hub.loaded] == ["Art", "Math"]
    figure = {"id": "1", "question": "q", "prompt_no_reasoning": "p", "answer": "True", "decoded_image": RED}
    hub = Hub(monkeypatch, {"ryokamoi/VisOnlyQA_Eval_Real": [figure]})
    with pytest.raises(DataError, match="the id '1' is that of"):
        load_items(load_task("visonlyqa_real"))
    assert [split for _, _, split, _ in hub.loaded] == ["one", "two"]


def test_a_task_that_is_nowhere_says_where_to_get_it_and_how_to_point_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Hub(monkeypatch, {})
    with pytest.raises(DataError) as caught:
        load_items(POPE, DataChoice(benchmarks=tmp_path))
    message = str(caught.value)
    assert f"Looked in {tmp_path}." in message
    assert "lmms-lab/POPE could not be loaded from the Hub: Dataset 'lmms-lab/POPE' doesn't exist" in message
    assert "https://huggingface.co/datasets/lmms-lab-encoder/POPE" in message
    assert "POPE.tsv: https://opencompass.openxlab.space/utils/POPE.tsv" in message
    assert "--benchmarks FOLDER or SIGHTLINE_BENCHMARKS, or pass it by --data" in message


@pytest.mark.parametrize("variable", ["SIGHTLINE_BENCHMARKS", "LMUData"])
def test_a_folder_of_benchmarks_comes_before_the_hub(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    Hub(monkeypatch, {})
    path = write_tsv(tmp_path / "POPE.tsv", TSV_ROW)
    monkeypatch.setenv(variable, str(tmp_path))
    found = load_items(POPE)
    assert (found.source.kind, found.source.place) == ("tsv", str(path))
    assert found.notes == (
        f"POPE.tsv is not the published file: expected MD5 {POPE.sources[-1].md5}, got {found.source.md5}.",
    )


@pytest.mark.parametrize("inner", ["lmms-lab-encoder/POPE", "POPE"])
def test_a_hub_dataset_may_lie_in_the_folder(tmp_path: Path, inner: str) -> None:
    datasets.DatasetDict(test=dataset_of(HUB_ROW)).save_to_disk(tmp_path / inner)
    found = load_items(POPE, DataChoice(benchmarks=tmp_path))
    assert [item.id for item in found.items] == ["random-1"]
    assert found.notes == (f"{tmp_path / inner} was taken as lmms-lab-encoder/POPE.",)


def test_equal_items_have_equal_fingerprints_whatever_file_they_came_in(tmp_path: Path) -> None:
    dataset_of(HUB_ROW).to_parquet(tmp_path / "pope.parquet")
    parquet = load_items(POPE, DataChoice(data=str(tmp_path / "pope.parquet")))
    tsv = load_items(POPE, DataChoice(data=str(write_tsv(tmp_path / "any.tsv", TSV_ROW))))
    other = load_items(POPE, DataChoice(data=str(write_tsv(tmp_path / "b.tsv", TSV_ROW | {"image": BLUE}))))
    assert parquet.fingerprint == tsv.fingerprint == fingerprint(tsv.items) != other.fingerprint
    assert parquet.source.kind == "file"


def test_a_hub_id_of_your_own_takes_split_and_revision_from_you(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch, {"me/pope": [HUB_ROW]})
    load_items(POPE, DataChoice(data=f"me/pope@{COMMIT[::-1]}"))
    load_items(POPE, DataChoice(data="me/pope", split="validation", config="x"))
    assert hub.loaded == [("me/pope", None, "test", COMMIT[::-1]), ("me/pope", "x", "validation", COMMIT)]


def test_a_split_that_the_data_do_not_have_is_refused(tmp_path: Path) -> None:
    dataset_of(HUB_ROW).to_parquet(tmp_path / "pope.parquet")
    for path in (tmp_path / "pope.parquet", write_tsv(tmp_path / "any.tsv", TSV_ROW)):
        with pytest.raises(DataError, match=f"{path.name} has no split 'test'"):
            load_items(POPE, DataChoice(data=str(path), split="test"))
    with pytest.raises(ConfigError, match="--split: 'test' of what"):
        load_items(POPE, DataChoice(split="test"))


BAD = [
    TSV_ROW,
    TSV_ROW | {"index": 2, "image": "bm8gcGljdHVyZSwgYnV0IGxvbmcgZW5vdWdo" * 4},
    TSV_ROW | {"index": 1},
    TSV_ROW | {"index": 3, "image": "99"},
    TSV_ROW | {"index": 4, "image": ""},
    TSV_ROW | {"index": 5, "image": "1"},
]


def test_a_bad_row_stops_the_evaluation_and_names_itself(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "POPE.tsv", *BAD)
    with pytest.raises(DataError, match=r"(?s)POPE.tsv row 2 \(index 2\): .* no picture .* by --skip_bad_rows"):
        load_items(POPE, DataChoice(data=str(path)))


def test_bad_rows_that_are_skipped_are_listed(tmp_path: Path) -> None:
    found = load_items(POPE, DataChoice(data=str(write_tsv(tmp_path / "POPE.tsv", *BAD)), skip_bad_rows=True))
    assert [item.id for item in found.items] == ["random-1", "random-5"]
    assert [message.partition(":")[0] for message in found.bad_rows] == [
        "POPE.tsv row 2 (index 2)",
        "POPE.tsv row 3 (index 1)",
        "POPE.tsv row 4 (index 3)",
        "POPE.tsv row 5 (index 4)",
    ]


def test_a_question_that_lost_a_rotation_to_a_bad_row_is_left_out_whole(tmp_path: Path) -> None:
    row = {"image": RED, "question": "Which?", "A": "cat", "B": "dog", "answer": "A", "category": "c"}
    rows = [{"index": index, **row} for index in (1, 2, 1_000_001, 1_000_002)]
    rows[2]["answer"] = "C"
    path = write_tsv(tmp_path / "a.tsv", *rows)
    found = load_items(load_task("mmbench_dev_en"), DataChoice(data=str(path), skip_bad_rows=True))
    assert [item.id for item in found.items] == ["2", "1000002"]
    assert [message.partition(":")[0] for message in found.bad_rows] == [
        "a.tsv row 3 (index 1000001)",
        "a.tsv row 1 (index 1)",
    ]
    assert found.bad_rows[1].endswith("left out, as a row of its group 1 is bad.")


def test_an_answer_that_is_no_option_is_named_by_row(tmp_path: Path) -> None:
    row = {"index": 1, "image": RED, "question": "Which?", "A": "cat", "B": "dog", "answer": "C", "category": "c"}
    with pytest.raises(DataError, match=r"row 1 \(index 1\): the answer 'C' is none of the options A, B"):
        load_items(load_task("mmbench_dev_en"), DataChoice(data=str(write_tsv(tmp_path / "a.tsv", row))))


def test_nothing_but_bad_rows_is_an_error_even_when_they_are_skipped(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "POPE.tsv", TSV_ROW | {"image": ""})
    with pytest.raises(DataError, match=r"None of 1 rows can be used. The first: POPE.tsv row 1 \(index 1\)"):
        load_items(POPE, DataChoice(data=str(path), skip_bad_rows=True))


def test_a_limit_counts_rotations_of_a_question_as_one(tmp_path: Path) -> None:
    row = {"image": RED, "question": "Which?", "A": "cat", "B": "dog", "answer": "A", "category": "c"}
    path = write_tsv(tmp_path / "a.tsv", *({"index": index, **row} for index in (1, 2, 3, 1_000_001, 1_000_002)))
    found = load_items(load_task("mmbench_dev_en"), DataChoice(data=str(path), limit=2))
    assert [item.id for item in found.items] == ["1", "2", "1000001", "1000002"]


def test_a_limit_stops_before_rows_that_are_not_asked(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "POPE.tsv", *BAD)
    assert len(load_items(POPE, DataChoice(data=str(path), limit=1)).items) == 1


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"limit": 0}, "--limit: expected at least 1, got 0"),
        ({"benchmarks": Path("nowhere")}, "there is no folder nowhere"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DataChoice(**choice)


def test_an_unknown_task_names_its_nearest() -> None:
    with pytest.raises(ConfigError, match=r"there is no task 'mmmu'. Those of this name: mmmu_val"):
        load_task("mmmu")
    assert "custom" in TASKS


class TestCustom:
    def load(self, folder: Path, *rows: dict[str, Any]) -> tuple[Any, ...]:
        Image.new("RGB", (4, 3), "red").save(folder / "a.png")
        path = folder / "mine.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return load_items(load_task("custom"), DataChoice(data=str(path))).items

    @pytest.mark.parametrize(
        ("answer", "options", "letter"),
        [
            ("dog", ["cat", "dog"], "B"),
            ("B", ["cat", "dog"], "B"),
            (1, ["cat", "dog"], "B"),
            ("4", ["3", "4"], "B"),
            (0, ["3", "4"], "A"),
        ],
    )
    def test_an_option_is_named_by_text_letter_or_index(
        self, tmp_path: Path, answer: object, options: list[str], letter: str
    ) -> None:
        item = self.load(tmp_path, {"question": "q", "options": options, "answer": answer, "image": "a.png"})[0]
        assert (item.options, item.answers) == (tuple(options), (letter,))

    def test_a_letter_that_is_also_the_text_of_another_option_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="'A' is the letter of option A and the text of option B"):
            self.load(tmp_path, {"question": "q", "choices": ["B", "A"], "answer": "A", "image": "a.png"})

    def test_open_answers_columns_and_rows_without_picture_are_read(self, tmp_path: Path) -> None:
        first, second = self.load(
            tmp_path,
            {"id": "x", "question": "q", "answers": ["red", "Red"], "image": "a.png", "kind": "colour", "hint": "h"},
            {"id": "y", "question": "2 + 2?", "answers": ["4"], "image": None, "kind": "sum", "hint": None},
        )
        assert (first.id, first.answers, first.category, first.facts["hint"]) == ("x", ("red", "Red"), "colour", "h")
        assert (second.answers, second.pictures) == (("4",), ())

    @pytest.mark.parametrize("column", ["category", "kind", "question_type", "answer_type"])
    def test_each_spelling_of_the_category_is_read(self, tmp_path: Path, column: str) -> None:
        (item,) = self.load(tmp_path, {"question": "q", "answer": "red", column: "count"})
        assert item.category == "count"

    def test_equal_pictures_have_one_key_whatever_file_they_are_in(self, tmp_path: Path) -> None:
        for name, colour in (("b", "blue"), ("c", "red")):
            Image.new("RGB", (4, 3), colour).save(tmp_path / f"{name}.png")
        asked = [{"question": "q", "answer": "red", "image": f"{name}.png"} for name in "abc"]
        first, second, third = (item.pictures[0] for item in self.load(tmp_path, *asked))
        assert first.key == third.key != second.key
        assert second.open().getpixel((0, 0)) == (0, 0, 255)

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ({"question": "q", "anwser": "x"}, "Did you mean 'answer'"),
            ({"question": "q", "options": ["a", "b"], "answer": "c"}, "'c' is none of the options a, b"),
            ({"answer": "x"}, "expected the column question; found answer"),
        ],
    )
    def test_a_row_that_is_no_item_says_why(self, tmp_path: Path, row: dict[str, Any], message: str) -> None:
        with pytest.raises(DataError, match=f"mine.jsonl row 1: .*{message}"):
            self.load(tmp_path, row)


@pytest.mark.parametrize("name", ["flickr.token", "rows.tsv"])
def test_a_path_as_long_as_a_text_is_told_by_its_row(name: str, tmp_path: Path) -> None:
    long = "x" * 5000
    texts = {"flickr.token": f"{long}#0\tred\n", "rows.tsv": f"index\timage_path\tquestion\tanswer\n1\t{long}\t?\ta\n"}
    (tmp_path / name).write_text(texts[name])
    with pytest.raises(DataError, match=f"{name} row 1.*: image 'x*' not found in") as raised:
        load_items(load_task("custom"), DataChoice(data=str(tmp_path / name)))
    assert len(str(raised.value)) < 1000
