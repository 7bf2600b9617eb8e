"""`sightline eval` and `sightline ask` on a tiny model folder: data on stdout, the rest on stderr, faults named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.cli.main import run
from tests.endpoint import Server, completion
from tests.tiny import picture, tiny_folder, tiny_llava


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = []
    for index in range(6):
        picture(index // 2).save(tmp_path / f"{index // 2}.png")
        kind = ("colour", "count")[index % 2]
        rows.append({"image": f"{index // 2}.png", "question": "what is it ?", "answer": "red", "kind": kind})
    return write_rows(tmp_path / "test.jsonl", rows)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_json_on_stdout_has_accuracy_interval_and_kinds(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", "--model", str(model), "--data", str(data), "--json", "--max_new_tokens", "3"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)["tasks"]["custom"]
    accuracy = result["metrics"]["accuracy"]
    assert result["n"] == 6 and 0 <= accuracy["value"] <= 1
    low, high = accuracy["interval"]
    assert low <= accuracy["value"] <= high
    assert set(result["categories"]) == {"colour", "count"} and result["categories"]["count"]["n"] == 3
    assert "6 questions, 3 pictures" in printed.err


def test_a_run_folder_gets_results_samples_and_a_page(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "eval",
        "--model",
        str(model),
        "--data",
        str(data),
        "--limit",
        "4",
        "--output_dir",
        str(tmp_path / "run"),
    ]
    assert run([*arguments, "--max_new_tokens", "3"]) == 0
    assert "4 questions, 2 pictures" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names >= {"results.json", "samples.jsonl", "report.html", "config.yaml", "environment.json"}
    assert len((tmp_path / "run" / "samples.jsonl").read_text().splitlines()) == 4
    assert run(arguments) == 2
    assert "holds another run" in capsys.readouterr().err


def test_blind_and_seeing_answers_are_both_counted(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "--model", str(model), "--data", str(data), "--blind", "--json", "--max_new_tokens", "3"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["settings"]["blind"] is True
    assert result["tasks"]["custom"]["blind"]["accuracy"]["n"] == result["tasks"]["custom"]["n"] == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": "none.png"}, "test.jsonl row 2: image 'none.png' not found"),
        ({"image": "broken.png"}, "broken.png' is no picture"),
        ({"answer": ""}, "test.jsonl row 2: expected the gold answer in the column answer"),
    ],
)
def test_bad_rows_are_named_and_nothing_is_written(
    change: dict[str, str], message: str, model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data.parent / "broken.png").write_text("no picture")
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    write_rows(data, [rows[0], {**rows[1], **change}])
    out = data.parent / "run"
    assert run(["eval", "--model", str(model), "--data", str(data), "--output_dir", str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_model_folder_without_processor_says_how_to_get_one(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_llava().save_pretrained(tmp_path / "bare")
    assert run(["eval", "--model", str(tmp_path / "bare"), "--data", str(data)]) == 2
    assert "has no processor that prepares images and text" in capsys.readouterr().err
    assert run(["eval", "--model", str(tmp_path / "none"), "--data", str(data)]) == 2
    assert "There is no model folder" in capsys.readouterr().err


def test_ask_prints_the_answer_alone_or_as_json(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["ask", str(model), str(data.parent / "0.png"), "what is it ?", "--max_new_tokens", "3"]
    assert run(asked) == 0
    plain = capsys.readouterr().out
    assert run([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == plain.strip() != ""


def test_a_mark_in_what_is_asked_is_where_the_picture_goes(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = []
    for question in ("what is it ?", "<image>what is it ?", "<|image_1|> what is it ?"):
        assert run(["ask", str(model), str(data.parent / "0.png"), question, "--max_new_tokens", "3"]) == 0
        answers.append(capsys.readouterr().out)
    assert len(set(answers)) == 1
    assert run(["ask", str(model), str(data.parent / "0.png"), "<image><image> what ?"]) == 2
    assert "1 image, but the text has 2 marks" in capsys.readouterr().err


def test_ask_names_a_missing_picture(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ask", str(model), "none.png", "what?"]) == 2
    assert "image 'none.png' not found" in capsys.readouterr().err


def test_a_model_at_an_endpoint_is_asked_about_a_picture(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(0).save(tmp_path / "a.png")
    server.reply = lambda number, body: completion("red", "length")
    asked = ["ask", "m", str(tmp_path / "a.png"), "what is it ?", "--endpoint", server.url]
    framed = ["--system", "be brief", "--enable_thinking", "false", "--extra_body", "{top_k: 1}"]
    assert run([*asked, *framed, "--max_new_tokens", "5"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "red\n" and printed.err == "The answer was cut at 5 tokens: raise --max_new_tokens.\n"
    body = server.bodies[0]
    assert body["messages"][0]["content"] == "be brief" and body["messages"][1]["content"][0]["type"] == "image_url"
    assert (body["top_k"], body["chat_template_kwargs"]["enable_thinking"], body["max_tokens"]) == (1, False, 5)
    server.reply = lambda number, body: completion(None, "length", reasoning="hm")
    assert run(asked) == 1
    assert (
        "could not answer: no word within 128 tokens, as where a thought is longer: raise --max_new_tokens"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--extra_body", "[1]"], "--extra_body: expected a mapping of request fields"),
        (["--enable_thinking", "maybe"], "--enable_thinking: expected true or false, got 'maybe'"),
        (["--system", "x", "--predictions", "p.jsonl"], "system, enable_thinking: predictions are answered already"),
        (["--judge_extra_body", "{a: 1}"], "name the server by --judge"),
        (["--extra_body", "{a: 1}"], "extra_body: only a server takes it. Name one by --endpoint"),
    ],
)
def test_flags_about_requests_that_change_nothing_are_refused(
    flags: list[str], said: str, model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [str(data) if flag == "p.jsonl" else flag for flag in flags]
    assert run(["eval", "--model", str(model), "--data", str(data), *flags]) == 2
    assert said in capsys.readouterr().err
