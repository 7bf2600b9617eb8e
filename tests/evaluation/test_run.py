"""Whole runs: the same results at every batch size, order and process count, resumed, scored again, judged, stored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from sightline.errors import ConfigError, DataError, InputError, MachineError, RunFolderError
from sightline.evaluation.comparison.run import run_compare
from sightline.evaluation.eval_config import EvalConfig
from sightline.evaluation.outcome import RunResult, outcome_table, to_json
from sightline.evaluation.requests import Asking
from sightline.evaluation.rescore import run_score
from sightline.evaluation.run import run_eval
from sightline.evaluation.sources import DataChoice
from sightline.evaluation.stored_run import read_samples
from tests.endpoint import Server, completion, text_of
from tests.tiny import picture, tiny_folder

COLOURS = ("red", "blue", "green", "square")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_folder(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Twelve open questions about four pictures, and the first of them once more."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for index in range(12):
        picture(index // 3).save(folder / f"{index // 3}.png")
        rows.append({"image": f"{index // 3}.png", "question": f"is it {COLOURS[index % 3]} ?", "answer": "no"})
    rows.append(rows[0])
    return write_rows(folder / "open.jsonl", rows)


@pytest.fixture(scope="module")
def choices(data: str) -> str:
    """The same with four options each."""
    rows = [{**row, "options": list(COLOURS), "answer": "red"} for row in read_rows(data)]
    return write_rows(Path(data).parent / "choices.jsonl", rows)


def read_rows(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def config(model: str, data: str, run: Path | None = None, **settings: Any) -> EvalConfig:
    asking = Asking(max_new_tokens=4, **{name: settings.pop(name) for name in list(settings) if name in vars(Asking())})
    return EvalConfig(model, choice=DataChoice(data), asking=asking, output_dir=run, **settings)


def finished(settings: EvalConfig) -> RunResult:
    result = run_eval(settings)
    assert result is not None
    return result


def found(result: RunResult) -> Any:
    """What must not depend on how a run was carried out."""
    plain = json.loads(json.dumps(to_json(result), default=str))
    samples = [sample for outcome in result.tasks.values() for sample in outcome.samples]
    return plain["tasks"], plain["provenance"], samples


def test_a_run_folder_holds_what_a_reproduction_needs(model: str, data: str, tmp_path: Path) -> None:
    result = finished(config(model, data, tmp_path / "run", blind=True))
    summary = json.loads((tmp_path / "run" / "results.json").read_text())
    task = summary["tasks"]["custom"]
    assert (task["n"], task["clusters"], task["prompt"], task["profile"]) == (13, 4, "sightline", "strict")
    accuracy = task["metrics"]["accuracy"]
    assert accuracy["interval"][0] <= accuracy["value"] <= accuracy["interval"][1]
    assert accuracy["bounds"][0] <= accuracy["value"] <= accuracy["bounds"][1]
    assert task["blind"]["accuracy"]["n"] == 13 and task["errors"] == 0 and task["unparsed"]["count"] == 0
    assert {"fingerprint", "revision", "place"} <= task["data"].keys()
    assert {"weights", "processor", "processor_settings", "chat_template", "decoding", "versions"} <= summary[
        "provenance"
    ].keys()
    samples = read_samples(tmp_path / "run")
    assert samples == list(result.tasks["custom"].samples)
    assert samples[0].prompt == "is it red ?" and samples[0].blind is not None
    assert samples[0].prediction == samples[12].prediction, "equal questions get one answer"
    assert len((tmp_path / "run" / "journal" / "0.jsonl").read_text().splitlines()) == 12 + 3, "seeing and blind, once"
    again = run_compare(tmp_path / "run", tmp_path / "run").reproduction
    assert again.conclusion == "Reproduced: all 13 answers are the same."


@pytest.mark.parametrize("method", ["generate", "likelihood"])
def test_results_depend_neither_on_batch_size_nor_on_order(
    model: str, choices: str, tmp_path: Path, method: str
) -> None:
    folder = Path(choices).parent
    rows = [
        {**row, "id": str(number), "image": str(folder / row["image"])} for number, row in enumerate(read_rows(choices))
    ]
    results = []
    for order, tokens in ((rows, 64), (rows, None), (rows[::-1], 200)):
        file = write_rows(tmp_path / "rows.jsonl", order)
        results.append(finished(config(model, file, method=method, likelihood_of="text", batch_tokens=tokens)))
    said = [
        sorted((sample.id, sample.prediction, sample.score) for sample in result.tasks["custom"].samples)
        for result in results
    ]
    assert said[0] == said[1] == said[2]
    assert len({prediction for _, prediction, _ in said[0]}) > 1
    for sample, other in zip(results[0].tasks["custom"].samples, results[1].tasks["custom"].samples, strict=True):
        assert [score.logprob for score in sample.option_scores] == pytest.approx(
            [score.logprob for score in other.option_scores], abs=1e-4
        )


def test_an_interrupted_run_goes_on_to_the_same_results(model: str, data: str, tmp_path: Path) -> None:
    whole = finished(config(model, data, tmp_path / "whole"))
    started = config(model, data, tmp_path / "run")
    finished(started)
    journal = tmp_path / "run" / "journal" / "0.jsonl"
    journal.write_bytes(journal.read_bytes()[:-300])
    for name in ("results.json", "samples.jsonl", "report.html"):
        (tmp_path / "run" / name).unlink()
    with pytest.raises(InputError, match=r"holds another run \(found config.yaml\).* by --resume, or choose another"):
        run_eval(started)
    resumed = finished(replace(started, resume=True))
    assert found(resumed) == found(whole)
    keys = [json.loads(line)["key"] for line in journal.read_text().splitlines()]
    assert len(keys) == len(set(keys)) == 12
    with pytest.raises(InputError, match="--resume was given, but .* holds no run"):
        run_eval(config(model, data, tmp_path / "none", resume=True))


@pytest.mark.slow
def test_two_processes_find_what_one_does_and_a_killed_one_goes_on(model: str, data: str, tmp_path: Path) -> None:
    whole = finished(config(model, data, tmp_path / "whole"))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launcher, "-m", "sightline.cli.main", "eval", "--model", model, "--data", data, "--max_new_tokens", "4"]
    done = subprocess.run([*command, "--output_dir", str(tmp_path / "two")], env=os.environ, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert read_samples(tmp_path / "two") == list(whole.tasks["custom"].samples)
    journals = sorted((tmp_path / "two" / "journal").iterdir())
    assert [path.name for path in journals] == ["0.jsonl", "1.jsonl"] and all(path.stat().st_size for path in journals)
    assert done.stdout.count(b"accuracy") == 1, "one process prints"


def test_a_run_is_scored_again_without_a_model_or_torch(model: str, choices: str, tmp_path: Path) -> None:
    first = finished(config(model, choices, tmp_path / "run", method="likelihood", likelihood_of="text", blind=True))
    again = run_score(tmp_path / "run")
    assert found(again) == found(first)
    by_token = run_score(tmp_path / "run", likelihood_norm="token", output_dir=tmp_path / "again")
    assert by_token.settings["likelihood_norm"] == "token" and (tmp_path / "again" / "results.json").exists()
    code = (
        "import sys; from sightline.cli.main import run; "
        f"code = run(['score', {str(tmp_path / 'run')!r}, '--json']); assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=os.environ)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert json.loads(done.stdout)["tasks"] == json.loads((tmp_path / "run" / "results.json").read_text())["tasks"]
    with pytest.raises(ConfigError, match="--profile: custom is scored by strict; got 'oficial'"):
        run_score(tmp_path / "run", "oficial")
    with pytest.raises(DataError, match="holds no results: results.json is missing"):
        run_score(tmp_path)


def test_options_are_chosen_by_letter_or_text_and_normalised_as_asked(model: str, choices: str) -> None:
    """The likeliest by sum, per token and per byte, each worked out from the scores that the samples keep."""
    for norm in ("sum", "token", "byte"):
        for of in ("letter", "text"):
            result = finished(config(model, choices, method="likelihood", likelihood_of=of, likelihood_norm=norm))
            for sample in result.tasks["custom"].samples:
                options = sample.options if of == "text" else ("A", "B", "C", "D")
                sizes = {
                    "sum": [1] * 4,
                    "token": [score.tokens for score in sample.option_scores],
                    "byte": [len(option) for option in options],
                }[norm]
                values = [score.logprob / size for score, size in zip(sample.option_scores, sizes, strict=True)]
                assert sample.prediction == "ABCD"[values.index(max(values))]
                assert sample.score == float(sample.prediction == "A")


def test_questions_of_yes_or_no_are_chosen_between_yes_and_no(model: str, data: str) -> None:
    result = finished(config(model, data, method="likelihood"))
    assert {sample.prediction for sample in result.tasks["custom"].samples} <= {"Yes", "No"}
    with pytest.raises(InputError, match="expected options, or an answer yes or no, to choose from by likelihood"):
        rows = [{"question": "what ?", "answer": "red"}]
        finished(config(model, write_rows(Path(data).parent / "odd.jsonl", rows), method="likelihood"))


def test_an_endpoint_answers_a_run_and_a_stop_keeps_what_it_said(
    server: Server,
    data: str,
    tmp_path: Path,
) -> None:
    server.reply = lambda number, body: completion("no") if number < 5 else (503, b"", {"Retry-After": "86400"})
    settings = config("m", data, tmp_path / "run", endpoint=server.url, concurrency=1)
    with pytest.raises(MachineError, match="asks to wait 24 hours"):
        run_eval(settings)
    assert len((tmp_path / "run" / "journal" / "0.jsonl").read_text().splitlines()) == 5
    asked = len(server.bodies)
    server.reply = lambda number, body: completion("no")
    result = finished(replace(settings, resume=True))
    assert len(server.bodies) - asked == 12 - 5
    assert result.tasks["custom"].scores.metrics[0].interval.value == 1.0


def test_what_stands_around_questions_reaches_the_server_and_is_recorded(
    server: Server, data: str, tmp_path: Path
) -> None:
    server.reply = lambda number, body: completion("no", "length" if number < 3 else "stop")
    settings = config(
        "m",
        data,
        tmp_path / "run",
        endpoint=server.url,
        system="be brief",
        enable_thinking=False,
        extra_body={"top_k": 1},
    )
    result = finished(settings)
    body = server.bodies[0]
    assert body["messages"][0] == {"role": "system", "content": "be brief"}
    assert (body["top_k"], body["chat_template_kwargs"]) == (1, {"enable_thinking": False})
    summary = json.loads((tmp_path / "run" / "results.json").read_text())
    assert summary["provenance"]["decoding"]["extra_body"]["top_k"] == 1
    reasons = summary["tasks"]["custom"]["finish_reasons"]
    assert reasons["length"] >= 3 and sum(reasons.values()) == 13
    cut = f"custom: {reasons['length']} of 13 answers were cut at 4 tokens: raise --max_new_tokens"
    assert cut in outcome_table(result).caption
    assert {sample.finish_reason for sample in read_samples(tmp_path / "run")} == {"length", "stop"}
    again = run_score(tmp_path / "run")
    assert again.tasks["custom"].endings == reasons
    with pytest.raises(RunFolderError, match=r"answers.decoding.extra_body.top_k 1, now 2"):
        run_eval(replace(settings, extra_body={"top_k": 2}, resume=True))
    other = replace(settings, output_dir=tmp_path / "other", asking=replace(settings.asking, system="be kind"))
    finished(replace(other, extra_body={"top_k": 2}))
    found = run_compare(tmp_path / "run", tmp_path / "other").reproduction
    told = {aspect.name: " ".join(aspect.differences) for aspect in found.aspects}
    assert "system be brief in A, be kind in B" in told["prompt"] and "top_k 1 in A, 2 in B" in told["decoding"]


def test_fields_that_a_server_refuses_are_in_the_results_of_a_resumed_run_too(
    server: Server, data: str, tmp_path: Path
) -> None:
    refused: Any = (400, {"error": {"message": "Unsupported value: 'temperature' does not support 0"}}, {})
    server.reply = lambda number, body: refused if "temperature" in body else completion("no")
    settings = config("m", data, tmp_path / "run", endpoint=server.url)
    for resume in (False, True):
        result = finished(replace(settings, resume=resume))
        assert result.provenance["request_changes"] == ["temperature left out"]
        assert "The server refuses fields of a request: temperature left out" in outcome_table(result).caption


def test_a_system_message_changes_what_a_model_here_is_asked(model: str, data: str, tmp_path: Path) -> None:
    results = [finished(config(model, data, system=system)) for system in ("", "describe the red square")]
    plain, framed = results
    assert plain.provenance == framed.provenance and framed.settings["system"] == "describe the red square"
    said = [[sample.prediction for sample in result.tasks["custom"].samples] for result in results]
    assert said[0] != said[1]
    with pytest.raises(InputError, match="--enable_thinking: the chat template of .* knows no enable_thinking"):
        finished(config(model, data, enable_thinking=True))


def test_no_answer_under_one_system_message_is_taken_for_another(model: str, data: str, tmp_path: Path) -> None:
    """The journal's keys hold the message, and --resume refuses another one, or none."""
    first = config(model, data, tmp_path / "run", system="be brief")
    finished(first)
    for other in ("", "be kind"):
        with pytest.raises(RunFolderError, match="system be brief, now"):
            run_eval(replace(first, asking=replace(first.asking, system=other), resume=True))
    begun = tmp_path / "run" / "begun.json"
    begun.write_text("{}")  # as of a run that did not record it
    journal = tmp_path / "run" / "journal" / "0.jsonl"
    before = len(journal.read_text().splitlines())
    finished(replace(first, asking=replace(first.asking, system=""), resume=True))
    assert len(journal.read_text().splitlines()) == 2 * before, "every question was asked again"


def test_a_system_message_shows_no_picture(model: str, data: str) -> None:
    with pytest.raises(ConfigError, match="--system: a system message shows no picture, got 'like <image 1>'"):
        run_eval(config(model, data, system="like <image 1>"))


def test_two_runs_in_one_folder_at_once_are_refused(server: Server, data: str, tmp_path: Path) -> None:
    settings = config("m", data, tmp_path / "run", endpoint=server.url)
    refused: list[str] = []

    def reply(number: int, body: dict[str, Any]) -> Any:
        if number == 0:
            for resume in (False, True):
                with pytest.raises(RunFolderError) as raised:
                    run_eval(replace(settings, resume=resume))
                refused.append(str(raised.value))
        return completion("no")

    server.reply = reply
    finished(settings)
    assert len(refused) == 2 and all("another run is at work there (process " in text for text in refused)
    finished(replace(settings, resume=True))


def test_a_judge_that_thinks_too_long_says_so(server: Server, choices: str, tmp_path: Path) -> None:
    file = tmp_path / "said.jsonl"
    write_rows(file, [{"id": str(number), "prediction": "the colour of blood"} for number in range(1, 14)])
    server.reply = lambda number, body: completion(None, "length", reasoning_content="Is it")
    settings = EvalConfig(
        choice=DataChoice(choices), predictions=file, judge=server.url, judge_model="judge", judge_max_new_tokens=32,
        judge_extra_body={"top_k": 1},
    )  # fmt: skip
    samples = finished(settings).tasks["custom"].samples
    assert samples[0].judge is not None
    assert (
        samples[0].judge.said == "no word within 32 tokens, as where a thought is longer: raise --judge_max_new_tokens"
    )
    assert (server.bodies[0]["max_tokens"], server.bodies[0]["top_k"]) == (32, 1)


def test_a_judge_is_asked_about_unparsed_answers_alone_and_recorded(
    server: Server,
    choices: str,
    tmp_path: Path,
) -> None:
    said = [{"id": str(number), "prediction": "A"} for number in range(1, 14)]
    said[1]["prediction"], said[2]["prediction"] = "the colour of blood", "the colour of grass"
    file = tmp_path / "said.jsonl"
    write_rows(file, said)
    server.reply = lambda number, body: completion(
        "Correct." if "blood" in text_of(body) else "<think>Correct?</think>incorrect"
    )
    settings = EvalConfig(
        choice=DataChoice(choices), predictions=file, judge=server.url, judge_model="judge", output_dir=tmp_path / "run"
    )
    unjudged = finished(replace(settings, judge=None, judge_model="", output_dir=None))
    assert unjudged.tasks["custom"].scores.unparsed == 2
    judged = finished(settings)
    assert len(server.bodies) == 2 and judged.tasks["custom"].scores.unparsed == 0
    samples = judged.tasks["custom"].samples
    assert [sample.score for sample in samples[:4]] == [1, 1, 0, 1]
    assert samples[1].judge is not None and samples[1].judge.said == "Correct."
    assert samples[1].judge.model.startswith("judge at") and "Response: the colour of blood" in samples[1].judge.prompt
    assert samples[0].judge is None
    assert read_samples(tmp_path / "run") == list(samples)


def test_stored_predictions_of_every_format_are_scored_alike(choices: str, tmp_path: Path) -> None:
    said = {str(number): "A" if number % 2 else "B" for number in range(1, 13)}
    (tmp_path / "a.json").write_text(json.dumps(said))
    write_rows(tmp_path / "b.jsonl", [{"question_id": key, "text": text} for key, text in said.items()])
    table = [("index", "answer", "prediction"), *((key, "A", text) for key, text in said.items())]
    (tmp_path / "c.tsv").write_text("".join("\t".join(row) + "\n" for row in table))
    (tmp_path / "d.csv").write_text("".join(",".join(row) + "\n" for row in table))
    write_xlsx(tmp_path / "e.xlsx", table)
    for name in ("a.json", "b.jsonl", "c.tsv", "d.csv", "e.xlsx"):
        result = finished(EvalConfig("theirs", choice=DataChoice(choices), predictions=tmp_path / name))
        scores = result.tasks["custom"].scores
        assert [one.verdict.score for one in scores.judged[:12]] == [1.0, 0.0] * 6
        assert scores.errors == 1 and scores.judged[12].error == f"{name} has no prediction"
    (tmp_path / "f.json").write_text(json.dumps({"q1": "A"}))
    with pytest.raises(DataError, match="f.json has predictions for q1, ..., but the task's items are 1, 2, 3"):
        run_eval(EvalConfig(choice=DataChoice(choices), predictions=tmp_path / "f.json"))


def write_xlsx(path: Path, table: Sequence[tuple[str, ...]]) -> None:
    """A workbook as Excel writes it: texts in a table of shared strings, numbers as they are."""
    texts = sorted({cell for row in table for cell in row if not cell.isdigit()})
    rows = []
    for number, row in enumerate(table, start=1):
        cells = [
            f'<c r="{chr(65 + column)}{number}"><v>{cell}</v></c>'
            if cell.isdigit()
            else f'<c r="{chr(65 + column)}{number}" t="s"><v>{texts.index(cell)}</v></c>'
            for column, cell in enumerate(row)
        ]
        rows.append(f'<row r="{number}">{"".join(cells)}</row>')
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    with ZipFile(path, "w") as book:
        shared = "".join(f"<si><t>{text}</t></si>" for text in texts)
        book.writestr("xl/sharedStrings.xml", f"<sst {space}>{shared}</sst>")
        sheet = f"<worksheet {space}><sheetData>{''.join(rows)}</sheetData></worksheet>"
        book.writestr("xl/worksheets/sheet1.xml", sheet)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "model: name what to evaluate"),
        ({"model": "m"}, "Name benchmarks by --tasks, or your rows by --data"),
        ({"model": "m", "tasks": ("pope",), "predictions": Path("x"), "endpoint": "http://a"}, "exclude each other"),
        ({"model": "m", "tasks": ("pope", "mme"), "predictions": Path("x")}, "a file belongs to one task"),
        (
            {"model": "m", "tasks": ("pope",), "endpoint": "http://a", "asking": Asking(method="likelihood")},
            "An endpoint gives no likelihood",
        ),
        ({"model": "m", "tasks": ("pope",), "asking": Asking(method="logprob")}, "method: expected one of generate, l"),
        ({"model": "m", "tasks": ("pope",), "judge": "http://a"}, "name the model to ask there by --judge_model"),
        ({"model": "m", "tasks": ("pope",), "resume": True}, "resume: name the run to go on with by --output_dir"),
        ({"model": "m", "tasks": ("pope",), "asking": Asking(max_new_tokens=0)}, "max_new_tokens: expected at least 1"),
    ],
)
def test_settings_that_exclude_each_other_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EvalConfig(**settings)


def test_an_unknown_prompt_or_profile_names_those_of_the_task(model: str, data: str) -> None:
    with pytest.raises(ConfigError, match="--prompt: custom has sightline, .*; got 'lmm-eval'. Did you mean"):
        run_eval(config(model, data, prompt="lmm-eval"))
    with pytest.raises(ConfigError, match="--profile: custom is scored by strict; got 'lenient'"):
        run_eval(config(model, data, profile="lenient"))
