"""The rows of a recipe: mixtures and streams are read, checked and named as single sources are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from sightline.cli.main import run
from sightline.errors import ConfigError, DataError
from sightline.training.arguments import read_settings
from sightline.training.encoding import encoding_of
from sightline.training.plan import SFT, plan_run
from sightline.training.sft import SFTConfig
from sightline.training.source import ModelSource
from tests.tiny import picture, tiny_folder, tiny_llava, tiny_processor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(4):
        picture(index).save(tmp_path / f"{index}.png")
    vqa = [{"image": f"{n % 4}.png", "question": "what is this ?", "answer": "red circle"} for n in range(8)]
    turns = [{"from": "human", "value": "<image>\nwhat colour ?"}, {"from": "gpt", "value": "blue"}]
    chats = [{"id": str(n), "image": f"{n}.png", "conversations": turns} for n in range(4)]
    write(tmp_path / "vqa.jsonl", vqa)
    (tmp_path / "llava.json").write_text(json.dumps(chats))
    return tmp_path


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(folder: Path, sources: list[dict[str, Any]] | None = None, **given: Any) -> tuple[Any, Any]:
    if sources is not None:
        given["datasets"] = [{**source, "path": str(folder / source["path"])} for source in sources]
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps({"output_dir": str(folder / "run"), "max_length": None, "bf16": False, **given}))
    settings = read_settings(["--config", str(recipe)], SFTConfig)
    plan = plan_run(settings, SFT, ModelSource(tiny_llava(), tiny_processor()))
    return plan.rows, None if plan.evaluation is None else plan.evaluation.dataset


def test_answers_alone_are_trained_of_conversations_and_refused_for_messages_by_source(folder: Path) -> None:
    train, _ = rows_of(folder, [{"path": "llava.json"}, {"path": "vqa.jsonl"}], completion_only_loss=True)
    assert [message["content"][0]["text"] for message in train["completion"][0]] == ["blue"]
    chats = [{"images": ["0.png"], "messages": [{"role": "user", "content": "what ?"}] * 2}]
    write(folder / "chats.jsonl", chats)
    for sources in ([{"path": "vqa.jsonl"}, {"path": "chats.jsonl"}], [{"path": "chats.jsonl"}]):
        with pytest.raises(
            ConfigError, match="completion_only_loss: expected rows .* got .*chats.jsonl with images, mess"
        ):
            rows_of(folder, sources, completion_only_loss=True)


def test_a_mixture_says_what_it_takes_of_each_source(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = [{"path": "vqa.jsonl", "fraction": 0.6}, {"path": "llava.json", "fraction": 0.4}]
    train, test = rows_of(folder, sources)
    assert (len(train), test) == (10, None)
    printed = capsys.readouterr().err
    assert "vqa.jsonl: question and answer, 6 of 8 rows taken." in printed
    assert "llava.json: LLaVA and ShareGPT conversations, 4 of 4 rows taken." in printed


def test_what_a_mixture_holds_out_is_evaluated(folder: Path) -> None:
    train, test = rows_of(folder, [{"path": "vqa.jsonl"}], test_split_size=0.25, eval_strategy="steps", eval_steps=1)
    assert (len(train), len(test)) == (6, 2)
    with pytest.raises(ConfigError, match="datasets: expected test_split_size, the share of rows to evaluate on"):
        rows_of(folder, [{"path": "vqa.jsonl"}], eval_strategy="steps", eval_steps=1)


EVALUATES: dict[str, Any] = {"eval_strategy": "steps", "eval_steps": 1}


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
@pytest.mark.parametrize("given", [{}, {"load_best_model_at_end": True, "save_steps": 1}])
def test_a_file_without_a_test_split_is_not_evaluated_on_its_own_rows(folder: Path, suffix: str, given: Any) -> None:
    rows = Dataset.from_list([{"image": f"{n % 4}.png", "question": "what ?", "answer": "red"} for n in range(8)])
    path = folder / f"rows{suffix}"
    if suffix == ".parquet":
        rows.to_parquet(path)
    elif suffix == ".csv":
        rows.to_csv(path, index=False)
    else:
        path.write_text(("\n" if suffix == ".jsonl" else "").join(map(json.dumps, rows)))
        if suffix == ".json":
            path.write_text(json.dumps(list(rows)))
    with pytest.raises((ConfigError, DataError), match=f"rows{suffix} has no split 'test'"):
        rows_of(folder, dataset_name=str(path), **EVALUATES, **given)
    train, test = rows_of(folder, dataset_name=str(path), test_split_size=0.25, **EVALUATES, **given)
    assert (len(train), len(test)) == (6, 2)
    assert rows_of(folder, dataset_name=str(path))[1] is None


def test_a_streamed_file_without_a_test_split_is_not_evaluated_on_its_own_rows(folder: Path) -> None:
    given: dict[str, Any] = {"dataset_name": str(folder / "vqa.jsonl"), "streaming": True, "max_steps": 1, **EVALUATES}
    with pytest.raises(ConfigError, match="vqa.jsonl has no split 'test' to evaluate on, and eval_strategy is steps"):
        rows_of(folder, **given)
    _, test = rows_of(folder, **given, eval_dataset_name=str(folder / "llava.json"))
    assert len(test) == 4


def test_a_share_of_one_file_is_held_out_as_of_a_mixture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "many.jsonl", [{"image": "0.png", "question": f"what {n} ?", "answer": "red"} for n in range(20)])
    given: dict[str, Any] = {"test_split_size": 0.25, "seed": 7, **EVALUATES}
    train, test = rows_of(folder, dataset_name=str(folder / "many.jsonl"), **given)
    mixed_train, mixed_test = rows_of(folder, [{"path": "many.jsonl"}], **given)
    assert "many.jsonl: question and answer, 15 of 20 rows taken, 5 held out." in capsys.readouterr().err
    assert (train[:]["prompt"], test[:]["prompt"]) == (mixed_train[:]["prompt"], mixed_test[:]["prompt"])
    told = [row["prompt"][0]["content"] for row in [*train, *test]]
    assert sorted(map(str, told)) == sorted({str(content) for content in told}) and len(told) == 20
    for share, said in ((0.01, "holds none out"), (1.5, "between 0 and 1"), (0, "between 0 and 1")):
        with pytest.raises(ConfigError, match=f"test_split_size: .*{said}"):
            rows_of(folder, dataset_name=str(folder / "many.jsonl"), **{**given, "test_split_size": share})


@pytest.mark.parametrize("training", [{"dataset_name": "vqa.jsonl"}, {"datasets": [{"path": "vqa.jsonl"}]}])
def test_rows_to_evaluate_on_are_those_that_are_named(folder: Path, training: dict[str, Any], monkeypatch) -> None:
    monkeypatch.chdir(folder)
    train, test = rows_of(folder, **training, eval_dataset_name="llava.json", **EVALUATES)
    assert (len(train), len(test)) == (8, 4)
    write(folder / "more.jsonl", [{"image": "0.png", "question": "what ?", "answer": "blue"}])
    both = [{"path": "llava.json"}, {"path": "more.jsonl"}]
    assert len(rows_of(folder, **training, eval_datasets=both, **EVALUATES)[1]) == 5
    assert rows_of(folder, **training, eval_dataset_name="llava.json")[1] is None
    refused: tuple[tuple[dict[str, Any], str], ...] = (
        ({"eval_dataset_name": "./vqa.jsonl"}, "vqa.jsonl holds the rows that train"),
        ({"eval_dataset_name": "more.jsonl", "test_split_size": 0.5}, "named already"),
        ({"eval_dataset_name": "more.jsonl", "eval_datasets": both}, "expected this or eval_datasets, got both"),
        ({"eval_datasets": [{"path": "more.jsonl", "split": "test"}]}, "more.jsonl has no split 'test'"),
    )
    for given, said in refused:
        with pytest.raises((ConfigError, DataError), match=said):
            rows_of(folder, **training, **given, **EVALUATES)


def test_a_folder_of_splits_is_evaluated_on_its_test_split(folder: Path) -> None:
    splits = folder / "splits"
    splits.mkdir()
    for name, count in (("train", 3), ("validation", 2), ("test", 1)):
        write(splits / f"{name}.jsonl", [{"image": "../0.png", "question": "what ?", "answer": "red"}] * count)
    vqa = str(folder / "vqa.jsonl")
    assert [len(rows) for rows in rows_of(folder, dataset_name=str(splits), **EVALUATES)] == [3, 1]
    given: dict[str, Any] = {"dataset_name": str(splits), "dataset_test_split": "validation", **EVALUATES}
    assert [len(rows) for rows in rows_of(folder, **given)] == [3, 2]
    given = {"dataset_name": vqa, "eval_dataset_name": str(splits), **EVALUATES}
    assert [len(rows) for rows in rows_of(folder, **given)] == [8, 1]
    given = {"dataset_name": str(splits), "eval_dataset_name": str(splits), **EVALUATES}
    assert [len(rows) for rows in rows_of(folder, **given)] == [3, 1]
    given = {"dataset_name": str(splits / "train.jsonl"), "eval_dataset_name": str(splits / "validation.jsonl")}
    assert [len(rows) for rows in rows_of(folder, **given, **EVALUATES)] == [3, 2]


def test_the_split_that_trains_is_no_split_to_evaluate_on(folder: Path) -> None:
    with pytest.raises(ConfigError, match="dataset_test_split: expected other rows than those that train, got 'train'"):
        rows_of(folder, dataset_name=str(folder / "vqa.jsonl"), dataset_test_split="train", **EVALUATES)


def test_a_bad_row_of_a_mixture_is_named_by_its_own_source(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "vqa.jsonl").read_text().splitlines()]
    rows[5]["answer"] = " "
    write(folder / "bad.jsonl", rows)
    with pytest.raises(DataError, match=r"^bad.jsonl row 6: the answer \(completion\) is empty"):
        rows_of(folder, [{"path": "vqa.jsonl", "rows": 2}, {"path": "bad.jsonl"}])


def test_a_bad_caption_is_named_by_the_row_it_stands_in(folder: Path) -> None:
    path = write(
        folder / "captions.jsonl", [{"image": "0.png", "captions": ["a", "b"]}, {"image": "1.png", "captions": [" "]}]
    )
    with pytest.raises(DataError, match=r"^captions.jsonl row 2: expected at least one caption"):
        rows_of(folder, dataset_name=str(path))


def test_assistant_turns_of_a_template_without_marks_are_refused_by_the_setting(folder: Path) -> None:
    processor = tiny_processor()
    processor.chat_template = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    settings = read_settings(["--dataset_name", "x", "--assistant_only_loss", "true", "--use_cpu"], SFTConfig)
    with pytest.raises(
        ConfigError, match=r"assistant_only_loss: expected a chat template with \{% generation %\} marks"
    ):
        encoding_of(settings.training, processor, preferences=False)


def test_what_cannot_be_streamed_is_refused(folder: Path) -> None:
    name = str(folder / "vqa.jsonl")
    with pytest.raises(ConfigError, match="streaming: expected max_steps"):
        rows_of(folder, dataset_name=name, streaming=True)
    streamed = {"streaming": True, "max_steps": 1}
    for shares in ({}, {"rows": 2}, {"fraction": 0}, {"fraction": -1}):
        with pytest.raises(ConfigError, match="streaming: expected a fraction of at least 0 for each source"):
            rows_of(folder, [{"path": "vqa.jsonl", **shares}], **streamed)
    for held_out in ({"test_split_size": 0.1}, {"eval_strategy": "steps", "eval_steps": 1}):
        with pytest.raises(ConfigError, match="streaming: expected no test_split_size, and eval_strategy only with"):
            rows_of(folder, [{"path": "vqa.jsonl", "fraction": 1}], **streamed, **held_out)
    write(folder / "text.jsonl", [{"text": "plain"}])
    sources = [{"path": "vqa.jsonl", "fraction": 0.5}, {"path": "text.jsonl", "fraction": 0.5}]
    with pytest.raises(DataError, match="streaming: expected conversations in each source of the mixture"):
        rows_of(folder, sources, **streamed)


def test_a_streamed_mixture_draws_rows_by_their_shares(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chats = json.loads((folder / "llava.json").read_text())
    more = [{"from": "human", "value": "and now ?"}, {"from": "gpt", "value": "red"}]
    write(folder / "llava.jsonl", [{**row, "conversations": [*row["conversations"], *more]} for row in chats])
    sources = [{"path": "vqa.jsonl", "fraction": 3}, {"path": "llava.jsonl", "fraction": 1}]
    train, test = rows_of(folder, sources, streaming=True, max_steps=1)
    rows = list(train)
    assert test is None and rows == list(train), "the same draws again"
    asked = [row for row in rows if row["prompt"] is not None]
    talks = [row for row in rows if row["messages"] is not None]
    assert len(asked) + len(talks) == len(rows) and len(asked) > len(talks) >= 4
    assert {Path(row["images"][0]["path"]).name for row in asked} == {f"{index}.png" for index in range(4)}
    placed = [{"type": "image", "text": None}, {"type": "text", "text": "what is this ?"}]
    assert asked[0]["prompt"][0]["content"] == placed
    assert "vqa.jsonl: question and answer, 75% of the rows, streamed" in capsys.readouterr().err


@pytest.mark.slow
def test_streamed_preferences_and_mixtures_train(folder: Path) -> None:
    model = folder / "model"
    tiny_folder(model, 1)
    pair = {"question": "what is this ?", "chosen": "red circle", "rejected": "blue square"}
    path = write(folder / "pairs.jsonl", [{"image": f"{n % 4}.png", **pair} for n in range(8)])
    mixed = [{"path": str(folder / "vqa.jsonl"), "fraction": 1}, {"path": str(folder / "more.jsonl"), "fraction": 1}]
    write(folder / "more.jsonl", [json.loads(line) for line in (folder / "vqa.jsonl").read_text().splitlines()])
    (folder / "mixture.yaml").write_text(json.dumps({"datasets": mixed}))
    settings = (
        f"--model_name_or_path {model} --max_length null --gradient_checkpointing false --bf16 false "
        "--per_device_train_batch_size 4 --max_steps 3 --logging_steps 1 --seed 3 --save_strategy no"
    ).split()
    for method, given, streamed in (
        ("dpo", ["--dataset_name", str(path)], "false"),
        ("dpo", ["--dataset_name", str(path)], "true"),
        ("sft", ["--config", str(folder / "mixture.yaml")], "true"),
    ):
        output = ["--output_dir", str(folder / f"{method}-{streamed}"), "--streaming", streamed]
        order = ["--train_sampling_strategy", "sequential"]
        assert run([method, *given, *settings, *output, *order]) == 0
    whole, stream, mixture = (
        [json.loads(line) for line in (folder / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("dpo-false", "dpo-true", "sft-true")
    )
    assert [row["loss"] for row in stream if "loss" in row] == pytest.approx(
        [row["loss"] for row in whole if "loss" in row]
    )
    assert len([row for row in mixture if "loss" in row]) == 3


@pytest.mark.slow
def test_one_source_trains_the_same_in_every_format_streamed_or_not(folder: Path) -> None:
    model = folder / "model"
    tiny_folder(model, 1)
    source = folder / "vqa.jsonl"
    for to, name in (("llava", "v.json"), ("parquet", "v.parquet"), ("trl-sft", "v_trl.jsonl")):
        assert run(["data", "convert", str(source), str(folder / "out" / name), "--to", to]) == 0
    settings = (
        "--max_length null --gradient_checkpointing false --bf16 false --per_device_train_batch_size 4 --max_steps 3 "
        "--logging_steps 1 --seed 3 --save_strategy no --train_sampling_strategy sequential --completion_only_loss true"
    ).split()
    losses = []
    places = [source, *sorted((folder / "out").glob("v*.*"))]
    for number, (place, streamed) in enumerate(
        [*((one, "false") for one in places), (source, "true"), (folder / "out" / "v.parquet", "true")]
    ):
        output = folder / f"run{number}"
        given = ["--model_name_or_path", str(model), "--dataset_name", str(place), "--output_dir", str(output)]
        assert run(["sft", *given, *settings, "--streaming", streamed]) == 0
        logged = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        losses.append([row["loss"] for row in logged if "loss" in row])
    assert len(losses[0]) == 3
    assert losses == [losses[0]] * len(losses)
