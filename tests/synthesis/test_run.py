"""A synthesis through an endpoint: what is asked, what comes out, and what happens when something goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, Image

from sightline.cli.main import run
from sightline.data.sources.bad_rows import BadRows
from sightline.data.sources.datasets import read_dataset
from sightline.errors import DataError, InputError, MachineError, RunFolderError
from sightline.synthesis.instructions import read_units
from sightline.synthesis.replies import read_prompt
from sightline.synthesis.run import run_synthesis
from sightline.synthesis.settings import SynthesisConfig
from sightline.synthesis.units import read_questions
from tests.endpoint import Reply, Server, completion, shows_picture, text_of
from tests.tiny import WORDS, picture


@pytest.fixture(autouse=True)
def answering(server: Server) -> None:
    server.reply = talk


def line(question: str, answer: str) -> str:
    return json.dumps({"question": question, "answer": answer})


def talk(number: int, body: dict[str, Any]) -> Reply:
    """Two questions about what is shown, and the first once more."""
    shown = text_of(body).splitlines()[0]
    return completion("\n".join([line("what is it ?", shown), line("is it red ?", "no"), line("What is it?", "yes")]))


def captions(folder: Path, count: int = 6) -> Path:
    rows = []
    for index in range(count):
        picture(index).save(folder / f"{index}.png")
        rows.append(json.dumps({"image": f"{index}.png", "captions": [f"a {WORDS[index]} square", "a picture"]}))
    file = folder / "captions.jsonl"
    file.write_text("\n".join(rows) + "\n")
    return file


def configured(folder: Path, server: Server, kind: str = "conversation", **given: Any) -> SynthesisConfig:
    source = str(given.pop("source", None) or captions(folder))
    return SynthesisConfig(source, kind, folder / "out" / f"{kind}.jsonl", server.url, "fake", **given)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()]


def test_each_picture_becomes_a_conversation_that_trains_with_its_provenance(server: Server, tmp_path: Path) -> None:
    result = run_synthesis(configured(tmp_path, server))
    rows = rows_of(result.output_path)
    assert len(rows) == len(server.bodies) == 6
    assert [message["role"] for message in rows[0]["messages"]] == ["user", "assistant"] * 2
    assert rows[0]["messages"][1]["content"] == "a what square"
    assert rows[0]["provenance"].items() >= {
        "kind": "conversation", "model": "fake", "endpoint": server.url, "row": "captions.jsonl row 1", "seed": 42,
    }.items()  # fmt: skip
    assert result.record["counts"] == {
        "asked": 6, "rows written": 6, "questions": 12, "duplicate questions left out": 6, "rejected replies": 0,
    }  # fmt: skip
    assert json.loads((result.run_folder / "results.json").read_text())["prompt"] == rows[0]["provenance"]["prompt"]
    read = read_dataset(result.output_path)
    assert read.features["image"] == Image() and read[0]["image"].tobytes() == picture(0).tobytes()


def test_the_model_is_told_what_to_do_and_shown_words_alone_unless_it_sees(server: Server, tmp_path: Path) -> None:
    run_synthesis(configured(tmp_path, server, limit=1))
    body = server.bodies[0]
    assert body["messages"][0]["role"] == "system" and body["messages"][1]["role"] == "user"
    assert text_of(body) == "a what square\na picture" and not shows_picture(body)
    assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.7, 42, 1024)
    run_synthesis(replace(configured(tmp_path, server, limit=1), output_path=tmp_path / "seen.jsonl", show_image=True))
    assert shows_picture(server.bodies[1])


def test_a_reply_that_cannot_be_read_is_kept_and_counted_and_makes_no_row(server: Server, tmp_path: Path) -> None:
    def reply(number: int, body: dict[str, Any]) -> Reply:
        words = text_of(body)
        if "is square" in words:
            return completion("Sorry, I cannot see it.")
        return (400, b"too long", {}) if "the square" in words else talk(number, body)

    server.reply = reply
    result = run_synthesis(configured(tmp_path, server))
    rejects = rows_of(result.run_folder / "rejects.jsonl")
    assert len(rows_of(result.output_path)) == 4 and result.record["counts"]["rejected replies"] == 2
    assert rejects[0]["row"] == "captions.jsonl row 2" and rejects[0]["reply"] == "Sorry, I cannot see it."
    assert rejects[1]["reason"] == "no reply came: ValueError: the endpoint answered 400: too long"


def test_busy_failing_and_slow_servers_change_nothing(server: Server, tmp_path: Path) -> None:
    def reply(number: int, body: dict[str, Any]) -> Reply:
        if number in (0, 3):
            return 429 if number else 500, b"busy", {}
        time.sleep(0.03 if number % 3 == 1 else 0)
        return talk(number, body)

    expected = rows_of(run_synthesis(configured(tmp_path, server)).output_path)
    server.reply = reply
    again = replace(configured(tmp_path, server), output_path=tmp_path / "again.jsonl", concurrency=3)
    found = rows_of(run_synthesis(again).output_path)
    assert [row["messages"] for row in found] == [row["messages"] for row in expected]


def test_replies_that_are_cut_say_so(server: Server, tmp_path: Path) -> None:
    def reply(number: int, body: dict[str, Any]) -> Reply:
        if "the square" in text_of(body):
            return completion(None, "length", reasoning_content="Let me see")
        return completion('{"question": "what', "length") if number == 0 else talk(number, body)

    server.reply = reply
    result = run_synthesis(configured(tmp_path, server, concurrency=1, max_new_tokens=70))
    reasons = " ".join(row["reason"] for row in rows_of(result.run_folder / "rejects.jsonl"))
    assert ", cut at 70 tokens: raise --max_new_tokens" in reasons
    assert "no reply came: no word within 70 tokens, as where a thought is longer: raise --max_new_tokens" in reasons


def test_a_separator_of_lines_inside_a_reply_is_text(server: Server, tmp_path: Path) -> None:
    spoken = json.dumps({"question": "what is\u2028it ?", "answer": "a\x85square\x0b\x1c"}, ensure_ascii=False)
    server.reply = lambda number, body: completion(f"{spoken}\r\n{line('is it red ?', 'no')}")
    config = configured(tmp_path, server, limit=1)
    run_synthesis(config)
    (text,) = config.output_path.read_text().split("\n")[:-1]
    assert json.loads(text)["messages"][0]["content"] == "what is\u2028it ?"


def test_a_run_at_work_is_not_joined_by_another(server: Server, tmp_path: Path) -> None:
    config = configured(tmp_path, server, limit=1)

    def reply(number: int, body: dict[str, Any]) -> Reply:
        with pytest.raises(RunFolderError, match="another run is at work there"):
            run_synthesis(config)
        return talk(number, body)

    server.reply = reply
    run_synthesis(config)
    assert len(server.bodies) == 1


def test_what_was_answered_is_not_asked_again(server: Server, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    config = configured(tmp_path, server, concurrency=1)
    with pytest.raises(KeyboardInterrupt):
        run_synthesis(config, stop)
    assert not config.output_path.exists()
    first = {text_of(body) for body in server.bodies[:3]}
    server.bodies.clear()
    run_synthesis(config)
    assert first.isdisjoint(text_of(body) for body in server.bodies) and len(rows_of(config.output_path)) == 6
    server.bodies.clear()
    before = config.output_path.read_bytes()
    run_synthesis(config)
    assert server.bodies == [] and config.output_path.read_bytes() == before


def test_a_run_that_has_other_settings_or_files_is_not_written_over(server: Server, tmp_path: Path) -> None:
    config = configured(tmp_path, server, limit=2)
    run_synthesis(config)
    with pytest.raises(RunFolderError, match=r"holds a run with seed 42; got seed 7\. Choose another --output_path"):
        run_synthesis(replace(config, seed=7))
    run_synthesis(replace(config, limit=4, concurrency=2))
    assert len(rows_of(config.output_path)) == 4
    mine = tmp_path / "mine.jsonl"
    mine.write_text("{}\n")
    with pytest.raises(RunFolderError, match="is there already, and no mine.run tells how it was made"):
        run_synthesis(replace(config, output_path=mine))
    assert mine.read_text() == "{}\n"


def test_a_run_whose_source_changed_does_not_go_on(server: Server, tmp_path: Path) -> None:
    """Under the same name, size and settings."""
    config = configured(tmp_path, server, limit=2)
    run_synthesis(config)
    source = Path(config.source)
    source.write_text(source.read_text().replace("a picture", "a drawing"))
    with pytest.raises(RunFolderError, match="began with source rows 6 of content .*, now 6 of content"):
        run_synthesis(config)
    captions(tmp_path)
    run_synthesis(replace(config, limit=4))
    picture(9, 50).save(tmp_path / "3.png")
    with pytest.raises(RunFolderError, match="began with source rows 6 of content"):
        run_synthesis(config)


def test_a_bad_source_leaves_no_trace(server: Server, tmp_path: Path) -> None:
    config = configured(tmp_path, server, source=tmp_path / "missing.jsonl")
    with pytest.raises(DataError, match="There is no file or folder"):
        run_synthesis(config)
    assert not config.output_path.parent.exists()


def test_a_model_that_never_does_as_told_ends_the_run_without_a_file(server: Server, tmp_path: Path) -> None:
    server.reply = lambda number, body: completion("no")
    config = configured(tmp_path, server)
    with pytest.raises(MachineError, match=r"got none \(6 asked, 0 rows .*The first: expected a JSON object.*rejects"):
        run_synthesis(config)
    assert not config.output_path.exists() and len(rows_of(config.run_folder / "rejects.jsonl")) == 6
    server.reply = lambda number, body: (401, b"who?", {})
    with pytest.raises(InputError, match="Check --endpoint, --model"):
        run_synthesis(replace(config, output_path=tmp_path / "locked.jsonl"))


def test_descriptions_answer_questions_that_the_seed_draws(server: Server, tmp_path: Path) -> None:
    server.reply = lambda number, body: completion(json.dumps({"description": text_of(body).splitlines()[0]}))
    rows = rows_of(run_synthesis(configured(tmp_path, server, "description")).output_path)
    again = configured(tmp_path, server, "description", seed=1)
    others = rows_of(run_synthesis(replace(again, output_path=tmp_path / "others.jsonl")).output_path)
    asked, differently = ([row["messages"][0]["content"] for row in made] for made in (rows, others))
    assert len(set(asked)) > 1 and asked != differently
    assert rows[2]["messages"][1]["content"] == "a the square"


def test_paraphrases_stand_behind_their_originals_unless_they_repeat_one(server: Server, tmp_path: Path) -> None:
    picture(0).save(tmp_path / "0.png")
    asked = [("what is it ?", "a dog"), ("is it red ?", "no")]
    source = tmp_path / "questions.jsonl"
    source.write_text(
        "".join(json.dumps({"image": "0.png", "question": q, "answer": a}) + "\n" for q, a in asked), encoding="utf-8"
    )

    def reply(number: int, body: dict[str, Any]) -> Reply:
        return completion(line("is it red", "no") if "red" in text_of(body) else line("what do you see ?", "a dog"))

    server.reply = reply
    rows = rows_of(run_synthesis(configured(tmp_path, server, "paraphrase", source=source)).output_path)
    assert [row["messages"][0]["content"] for row in rows] == ["what is it ?", "what do you see ?", "is it red ?"]
    assert [bool(row["provenance"]) for row in rows] == [False, True, False]
    server.reply = lambda number, body: completion("no" if "red" in text_of(body) else line("say what", "a dog"))
    again = replace(configured(tmp_path, server, "paraphrase", source=source), output_path=tmp_path / "again.jsonl")
    assert len(rows_of(run_synthesis(again).output_path)) == 3, "a rejected reply costs no original"


def test_pictures_that_lie_in_a_table_are_written_beside_the_rows(server: Server, tmp_path: Path) -> None:
    table = Dataset.from_dict({"image": [picture(0), picture(1)], "caption": ["a dog", "a cat"]})
    table.cast_column("image", Image()).to_parquet(tmp_path / "rows.parquet")
    result = run_synthesis(configured(tmp_path, server, source=tmp_path / "rows.parquet"))
    assert len(list((tmp_path / "out" / "conversation_images").iterdir())) == 2
    assert read_dataset(result.output_path)[1]["image"].tobytes() == picture(1).tobytes()


def test_the_command_prints_counts_or_its_record(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--endpoint", server.url, "--model", "fake", "--output_path", str(tmp_path / "a.jsonl"), "--limit", "2"]
    arguments = ["data", "synthesize", str(captions(tmp_path)), "--kind", "conversation", *given]
    assert run(arguments) == 0
    assert "duplicate questions left out" in capsys.readouterr().out
    assert run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["rows written"] == 2
    assert run([*arguments, "--kind", "poem"]) == 2
    assert "--kind: expected one of conversation, description" in capsys.readouterr().err


KILLED = """
import os, signal, sys
from sightline.cli.main import run
from sightline.data.sources.bad_rows import BadRows
from sightline.answering.asking import Journal
append, left = Journal.append, [3]
def dies(self, answers):
    append(self, answers)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
Journal.append = dies
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_killed_run_loses_nothing(server: Server, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    given = ["--endpoint", server.url, "--model", "fake", "--output_path", str(output), "--concurrency", "1"]
    arguments = ["data", "synthesize", str(captions(tmp_path)), "--kind", "conversation", *given]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], env=os.environ, timeout=120)
    assert killed.returncode == -signal.SIGKILL and not output.exists()
    server.bodies.clear()
    assert run(arguments) == 0
    assert len(server.bodies) == 3 and len(rows_of(output)) == 6


@pytest.mark.slow
def test_rows_made_of_real_captions_train_a_model(server: Server, tmp_path: Path, shared: Path) -> None:
    """In a process of its own, as a user starts it: nothing is loaded beforehand."""
    output = tmp_path / "talks.jsonl"
    source = shared / "data" / "coco_cc_captions" / "captions.jsonl"
    given = ["--endpoint", server.url, "--model", "fake", "--output_path", str(output), "--limit", "8"]
    synthesize = ["data", "synthesize", str(source), "--kind", "conversation", *given]
    train = (
        f"sft --preset nano --dataset_name {output} --output_dir {tmp_path / 'run'} --max_steps 2 --max_length null "
        "--bf16 false --per_device_train_batch_size 4 --augmentation document --report_to none"
    ).split()
    for arguments in (synthesize, train):
        command = [sys.executable, "-m", "sightline.cli.main", *arguments]
        subprocess.run(command, env=os.environ, check=True, timeout=240)
    assert (tmp_path / "run" / "model.safetensors").is_file()


def read_units_of(config: SynthesisConfig, bad: BadRows) -> Any:
    return read_units(config, read_prompt(config.kind, None), bad)


def read_pairs_of(config: SynthesisConfig, bad: BadRows) -> Any:
    return read_questions(config, bad).rows


def with_bad_rows(folder: Path) -> Path:
    """Six good rows, and three of a picture that is gone, one that is cut, and no caption."""
    file = captions(folder)
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:60])
    bad = ({"image": "gone.png", "captions": ["x"]}, {"image": "cut.png", "captions": ["x"]}, {"image": "1.png"})
    for row in bad:
        file.write_text(file.read_text() + json.dumps(row) + "\n")
    return file


def test_bad_rows_are_refused_together_or_left_out_and_counted(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path, server, source=with_bad_rows(tmp_path))
    with pytest.raises(DataError, match=r"(?s)jsonl row 7: .*jsonl row 8: .*jsonl row 9: .* by --skip_bad_rows"):
        run_synthesis(config)
    assert not server.bodies
    result = run_synthesis(replace(config, skip_bad_rows=True))
    assert (result.record["counts"]["asked"], result.record["counts"]["bad rows left out"]) == (6, 3)
    assert "captions.jsonl: 3 of 9 rows cannot be used and are left out:" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "read"), [("paraphrase", read_units_of), ("preferences", read_pairs_of)])
def test_bad_rows_of_questions_are_left_out(
    kind: str, read: Callable[[SynthesisConfig, BadRows], Any], server: Server, tmp_path: Path
) -> None:
    with_bad_rows(tmp_path)
    source = tmp_path / "questions.jsonl"
    names = ("0.png", "gone.png", "cut.png", "1.png")
    source.write_text(
        "".join(json.dumps({"image": n, "question": f"is {n} red?", "answer": "no"}) + "\n" for n in names)
    )
    bad = BadRows(skip=True)
    assert len(read(configured(tmp_path, server, kind, source=source), bad)) == 2
    assert [problem.split(":")[0] for problem in bad.problems] == ["questions.jsonl row 2", "questions.jsonl row 3"]
