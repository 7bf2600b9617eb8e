"""`sightline data check` as people run it: tables, JSON, exit codes, the page; and on real data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.cli.main import run
from sightline.runs import LOCK, RunFolder
from tests.data.checking.trap_files import noise_picture, write_traps


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    """Rows over every trap and two good pictures, and a test file with copies of both."""
    traps = write_traps(tmp_path)
    for number in range(2):
        noise_picture(160, 120, number).save(tmp_path / f"good{number}.png")
        noise_picture(160, 120, number).resize((200, 150)).save(tmp_path / f"copy{number}.jpg", quality=70)
    names = [path.name for path in traps.values()] + ["good0.png", "good1.png"]
    rows = [{"image": name, "question": f"what is {name}?", "answer": name} for name in names]
    tested = [{"image": f"copy{n}.jpg", "question": f"What is good{n}.png", "answer": "?"} for n in range(2)]
    for name, part in (("train.jsonl", rows), ("test.jsonl", tested)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    return tmp_path


def test_a_messy_set_fails_and_its_page_stands_alone(messy: Path, capsys: pytest.CaptureFixture[str]):
    arguments = [str(messy / "train.jsonl"), "--eval", str(messy / "test.jsonl"), "--output_dir", str(messy / "out")]
    assert run(["data", "check", *arguments]) == 1
    printed = capsys.readouterr().out
    for words in ("picture not found: 1 of 21 pictures (4.8%)", "train.jsonl row 8: 13342 x 13342 pixels", "Not clean"):
        assert words in printed
    page = (messy / "out" / "report.html").read_text(encoding="utf-8")
    assert "13342 x 13342" in page and page.count("data:image/") >= 8 and "http" not in page.split("<body>")[1]
    record = json.loads((messy / "out" / "check.json").read_text(encoding="utf-8"))
    found = {finding["kind"]: finding["count"] for finding in record["findings"]}
    assert (found["unreadable"], found["truncated"], found["too_large"], found["missing"]) == (5, 2, 1, 1)
    assert (found["leaked_copy"], found["leaked_question"]) == (2, 2)


def test_a_clean_set_passes_with_json_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = [{"question": f"what is {n}?", "answer": str(n)} for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert run(["data", "check", str(tmp_path / "rows.jsonl"), "--json", "--limit", "7"]) == 0
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    assert record["clean"] and record["rows"] == 7 and "Clean" in printed.err


def test_a_folder_that_another_check_is_writing_is_refused_and_left_alone(tmp_path: Path, capsys: Any):
    (tmp_path / "rows.jsonl").write_text('{"question": "a", "answer": "b"}\n')
    out = tmp_path / "out"
    command = ["data", "check", str(tmp_path / "rows.jsonl"), "--output_dir", str(out)]
    out.mkdir()
    with RunFolder(out).at_work():
        assert run(command) == 2
        assert "another run is at work there" in capsys.readouterr().err
        assert [path.name for path in out.iterdir()] == [LOCK]
    assert run(command) == 0
    assert sorted(path.name for path in out.iterdir()) == ["check.json", "report.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max_pixels", "0"], "max_pixels: expected 1 to 89,478,485"),
        (["--limit", "0"], "limit: expected at least 1 row, got 0"),
    ],
)
def test_limits_out_of_range_are_refused(arguments, message, tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    assert run(["data", "check", str(tmp_path / "rows.jsonl"), *arguments]) == 2
    assert message in capsys.readouterr().err


# Files of rows of each real set, and what is known of them beside the counts that their manifests give: pictures whose
# pixels are those of another file, rows that repeat, and pictures that both of two files hold.
REAL = {
    "archiscribe_lines": (("lines.jsonl",), {}),
    "coco_cc_captions": (("captions.jsonl",), {}),
    "easy_vqa": (("train.jsonl", "test.jsonl"), {"near_picture": 1}),
    "nlvr_v1": (("train_testP.jsonl", "eval_dev.jsonl"), {"same_picture": 282, "same_row": 201, "leaked_picture": 72}),
    "noto_emoji": (("captions.jsonl",), {"same_picture": 1}),
    "puzzlevqa": (("mcq.jsonl",), {}),
    "visonlyqa_real": (("mcq.jsonl",), {}),
    "vqa_rad": (("qa.jsonl",), {"same_row": 3}),
}
WITHOUT_PICTURES = {
    "caption_human_eval/preference_pairs.jsonl": {"missing": 148},  # "photos are NOT included"
    "caption_metrics/val2017_captions.jsonl": {},
    "scorer_conformance/mathvista_testmini_bard.jsonl": {"same_row": 58},  # questions whose pictures are left out
    "visonlyqa_real/responses.jsonl": {},
}
TRAPS = ("missing", "unreadable", "truncated", "too_large", "empty_answer", "leaked_copy", "leaked_question")


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_sets_are_as_their_manifests_say(name: str, shared: Path, capsys: pytest.CaptureFixture[str]):
    folder = shared / "data" / name
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    (train, *tested), known = REAL[name]
    evals = [part for file in tested for part in ("--eval", str(folder / file))]
    run(["data", "check", str(folder / train), *evals, "--json"])
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    says = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["splits"]["dev"]
    pictures = record["pictures"]["stored"] + sum(leak["pictures"] for leak in record["leaks"])
    repeated = 25 if name == "nlvr_v1" else 0  # pixels that eval_dev holds twice
    assert record["rows"] == says["jsonl"][train]
    assert pictures == says["images"] - repeated
    assert not says["unreadable"] and record["pictures"]["formats"].keys() == says["formats"].keys()
    found = {finding["kind"]: finding["count"] for finding in record["findings"]}
    assert not found.keys() & set(TRAPS)
    assert {kind: found.get(kind, 0) for kind in ("same_picture", "near_picture", "same_row", "leaked_picture")} == {
        "same_picture": 0, "near_picture": 0, "same_row": 0, "leaked_picture": 0, **known,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_PICTURES)
def test_real_sets_without_pictures_are_read_whole(name: str, shared: Path, capsys: pytest.CaptureFixture[str]):
    path = shared / "data" / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    run(["data", "check", str(path), "--json"])
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    says = json.loads((path.parent / "manifest.json").read_text(encoding="utf-8"))["splits"]["dev"]
    found = {finding["kind"]: finding["count"] for finding in record["findings"]}
    assert record["rows"] == says["jsonl"][path.name]
    known = WITHOUT_PICTURES[name]
    assert {kind: found.get(kind, 0) for kind in known} == known
