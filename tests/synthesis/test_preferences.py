"""Preference pairs: own answers scored against gold or by a judge, gold over a mistake, true over spoilt pictures."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.cli.main import run
from sightline.data.pictures.augmentation import Blank, Blur, Noise
from sightline.data.pictures.images import opened
from sightline.errors import DataError, MachineError
from sightline.synthesis.preferences import SpoiltPicture
from sightline.synthesis.run import run_synthesis
from sightline.synthesis.settings import PairChoice, SynthesisConfig
from tests.endpoint import Reply, Server, completion, text_of
from tests.tiny import picture, tiny_folder

COLOURS = ("red", "blue", "green", "no")


@pytest.fixture(autouse=True)
def answering(server: Server) -> None:
    server.reply = samples


def samples(number: int, body: dict[str, Any]) -> Reply:
    """Red when nothing is drawn, else a colour by the seed."""
    return completion(COLOURS[body["seed"] % 4] if body["temperature"] else "red")


def questions(folder: Path, golds: tuple[str, ...] = ("red", "blue", "two"), **more: Any) -> str:
    rows = []
    for index, gold in enumerate(golds):
        picture(index).save(folder / f"{index}.png")
        row = {"image": f"{index}.png", "question": "what colour ?", **({"answer": gold} if gold else {}), **more}
        rows.append(json.dumps(row))
    (folder / "questions.jsonl").write_text("\n".join(rows) + "\n")
    return str(folder / "questions.jsonl")


def made(config: SynthesisConfig) -> tuple[list[dict[str, Any]], dict[str, int]]:
    result = run_synthesis(config)
    rows = [json.loads(text) for text in result.output_path.read_text().splitlines()]
    return rows, dict(result.record["counts"])


def configured(folder: Path, server: Server | None, source: str, **pairs: Any) -> SynthesisConfig:
    url, model = (server.url, "fake") if server is not None else ("", "")
    output = folder / "pairs.jsonl"
    return SynthesisConfig(source, "preferences", output, url, model, pairs=PairChoice(**{"samples": 8, **pairs}))


def said(row: dict[str, Any], side: str) -> str:
    return row[side][0]["content"]


def test_the_best_of_the_models_own_answers_stands_over_the_worst(server: Server, tmp_path: Path) -> None:
    """Of 8 samples one is red; "two" is never said, so that no answer to the last question is better than another."""
    rows, counts = made(configured(tmp_path, server, questions(tmp_path)))
    assert [said(row, "chosen") for row in rows] == ["red", "blue"]
    assert all(said(row, "rejected") in set(COLOURS) - {said(row, "chosen")} for row in rows)
    assert rows[0]["scores"] == {"chosen": 1.0, "rejected": 0.0}
    assert rows[0]["provenance"]["chosen_from"] == "sample 1" and rows[0]["provenance"]["model"] == "fake"
    assert rows[0]["prompt"] == [{"role": "user", "content": "what colour ?"}] and rows[0]["image"] == "0.png"
    assert (counts["questions"], counts["pairs written"], counts["left out: none is better"]) == (3, 2, 1)
    assert len(server.bodies) == 24 and sum("seed" not in body for body in server.bodies) == 3


def test_gold_stands_over_a_mistake(server: Server, tmp_path: Path) -> None:
    rows, counts = made(configured(tmp_path, server, questions(tmp_path), chosen_from="gold", samples=1))
    assert [(said(row, "chosen"), said(row, "rejected")) for row in rows] == [("blue", "red"), ("two", "red")]
    assert counts["left out: none is better"] == 1, "the model says red, which is right of the first picture"


def test_captions_are_scored_by_how_much_they_share_with_the_references(server: Server, tmp_path: Path) -> None:
    """ROUGE-L of "a red dog" is 1; the model's own words share less."""
    picture(0).save(tmp_path / "0.png")
    source = tmp_path / "captions.jsonl"
    source.write_text(json.dumps({"image": "0.png", "captions": ["a red dog", "a dog that is red"]}) + "\n")
    (row,), _ = made(configured(tmp_path, server, str(source), chosen_from="gold"))
    assert said(row, "chosen") == "a red dog" and row["scores"]["chosen"] == 1.0
    assert row["prompt"][0]["content"] == "Provide a one-sentence caption for the provided image."
    assert said(row, "rejected") in COLOURS[1:] and row["scores"]["rejected"] == 0.0


def shown_colours(body: dict[str, Any]) -> int:
    """How many colours the picture of a request has."""
    data = body["messages"][-1]["content"][0]["image_url"]["url"].partition(",")[2]
    return len(Image.open(BytesIO(base64.b64decode(data))).getcolors(10**6) or ())


def test_what_a_model_says_of_a_spoilt_picture_is_rejected(server: Server, tmp_path: Path) -> None:
    """Without gold answers nothing is scored: a pair needs two answers that differ, and its picture has its colours."""
    server.reply = lambda number, body: completion("grey" if shown_colours(body) == 1 else "red")
    source = questions(tmp_path, ("", ""))
    spoilt = configured(tmp_path, server, source, rejected_from="corruption", samples=1, corruption="blank")
    rows, counts = made(spoilt)
    assert len(server.bodies) == 4 and counts["pairs written"] == 2
    for row in rows:
        assert (said(row, "chosen"), said(row, "rejected")) == ("red", "grey")
        assert row["scores"] == {"chosen": None, "rejected": None} and row["provenance"]["rejected_from"] == "blank"
    blurred = configured(tmp_path, server, source, rejected_from="corruption", samples=1, corruption="blur")
    with pytest.raises(MachineError, match="0 pairs written, 2 left out: answers alike"):
        made(replace(blurred, output_path=tmp_path / "blurred.jsonl"))


def test_a_judge_scores_each_answer_and_its_words_are_kept(server: Server, tmp_path: Path) -> None:
    def reply(number: int, body: dict[str, Any]) -> Reply:
        if body["messages"][0]["role"] != "system":
            return samples(number, body)
        answer = text_of(body).rpartition("Answer: ")[2]
        if answer == "green":
            return completion("Great answer!")
        return completion(json.dumps({"score": {"red": 2, "blue": 9, "no": 1}[answer], "reason": f"it is {answer}"}))

    server.reply = reply
    source = questions(tmp_path, ("", ""))
    rows, counts = made(configured(tmp_path, server, source, judge=server.url, judge_model="critic"))
    assert {(said(row, "chosen"), said(row, "rejected")) for row in rows} <= {("blue", "red"), ("blue", "no")}
    assert json.loads(rows[0]["verdicts"]["chosen"]) == {"score": 9, "reason": "it is blue"}
    assert rows[0]["scores"]["chosen"] == 9.0 and rows[0]["provenance"]["judge"] == "critic"
    assert rows[0]["provenance"]["judge_prompt"] and counts["rejected replies"] in (1, 2)
    rejects = (tmp_path / "pairs.run" / "rejects.jsonl").read_text()
    assert "Great answer!" in rejects and "expected a JSON object with score and reason" in rejects


def test_a_judge_that_thinks_too_long_and_answers_that_are_cut_are_told(server: Server, tmp_path: Path) -> None:
    def reply(number: int, body: dict[str, Any]) -> Reply:
        if body["messages"][0]["role"] == "system":
            assert body["max_tokens"] == 99 and body["top_k"] == 1
            return completion(None, "length", reasoning="Is it")
        return completion(samples(number, body)[1]["choices"][0]["message"]["content"], "length")

    server.reply = reply
    pairs = {"judge_max_new_tokens": 99, "judge_extra_body": {"top_k": 1}, "judge": server.url, "judge_model": "critic"}
    with pytest.raises(MachineError, match="answers cut at their longest .raise --max_new_tokens"):
        run_synthesis(configured(tmp_path, server, questions(tmp_path), **pairs))
    reject = json.loads((tmp_path / "pairs.run" / "rejects.jsonl").read_text().splitlines()[0])
    assert (
        reject["reason"]
        == "judge: no word within 99 tokens, as where a thought is longer: raise --judge_max_new_tokens"
    )


def test_a_system_message_is_sent_and_stands_in_the_rows(server: Server, tmp_path: Path) -> None:
    system = {"role": "system", "content": "be brief"}
    config = replace(configured(tmp_path, server, questions(tmp_path)), system="be brief", extra_body={"top_k": 1})
    rows, _ = made(config)
    assert all(body["messages"][0] == system and body["top_k"] == 1 for body in server.bodies)
    assert rows[0]["prompt"] == [system, {"role": "user", "content": "what colour ?"}]


def test_an_answer_that_does_not_come_is_kept_with_its_reason(server: Server, tmp_path: Path) -> None:
    server.reply = lambda number, body: samples(number, body) if body["temperature"] else (400, b"no", {})
    rows, counts = made(configured(tmp_path, server, questions(tmp_path)))
    assert counts["rejected replies"] == 3 and all(said(row, "chosen") in COLOURS for row in rows)
    reject = json.loads((tmp_path / "pairs.run" / "rejects.jsonl").read_text().splitlines()[0])
    assert reject["reason"] == "sample 1: ValueError: the endpoint answered 400: no"
    assert (reject["row"], reject["shown"]) == ("questions.jsonl row 1", "what colour ?")


def test_a_row_without_gold_needs_another_judgement(server: Server, tmp_path: Path) -> None:
    source = questions(tmp_path, ("red", ""))
    with pytest.raises(DataError, match="row 2: expected a gold answer .* found none. Add it, or .* --judge, or"):
        run_synthesis(configured(tmp_path, server, source))
    assert server.bodies == []


def test_a_model_here_draws_the_same_answers_twice(tmp_path: Path) -> None:
    tiny_folder(tmp_path / "model", 1)
    config = configured(tmp_path, None, questions(tmp_path), policy=str(tmp_path / "model"), chosen_from="gold")
    config = replace(config, max_new_tokens=4, temperature=1.0)
    rows, _ = made(config)
    again, _ = made(replace(config, output_path=tmp_path / "again.jsonl"))
    assert rows == again and len(rows) == 3
    assert rows[0]["provenance"]["model"] == str(tmp_path / "model")


def test_spoilt_pictures_keep_their_size_and_are_told_apart() -> None:
    shown = opened(picture(0))
    spoilt = [SpoiltPicture(shown, change) for change in (Noise(0.1, 1), Noise(0.1, 2), Blur(0.1), Blank())]
    assert len({one.key for one in spoilt} | {shown.key}) == 5
    assert len({one.open().tobytes() for one in spoilt} | {shown.image.tobytes()}) == 5
    assert {one.open().size for one in spoilt} == {shown.image.size}
    assert spoilt[0].open().tobytes() == spoilt[0].open().tobytes()


@pytest.mark.slow
def test_pairs_of_a_models_own_mistakes_align_it(tmp_path: Path, shared: Path) -> None:
    source = shared / "data" / "easy_vqa" / "test.jsonl"
    assert run(["build", str(tmp_path / "nano"), "--preset", "nano"]) == 0
    policy = ["--policy", str(tmp_path / "nano"), "--chosen_from", "gold", "--max_new_tokens", "6", "--limit", "12"]
    output = str(tmp_path / "pairs.jsonl")
    assert run(["data", "synthesize", str(source), "--kind", "preferences", "--output_path", output, *policy]) == 0
    train = (
        f"dpo --model_name_or_path {tmp_path / 'nano'} --dataset_name {output} --output_dir {tmp_path / 'run'} "
        "--max_steps 2 --max_length null --bf16 false --per_device_train_batch_size 4 --report_to none"
    ).split()
    assert run(train) == 0
