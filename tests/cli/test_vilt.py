"""`sightline vilt` and `sightline ask` with a ViLT, end to end on four coloured pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from sightline.cli.main import run

COLOURS = ("red", "green", "blue", "white")
SMALL = (
    "--hidden_size 32 --num_hidden_layers 1 --num_attention_heads 2 --intermediate_size 64 --image_size 32 "
    "--patch_size 16 --max_text_length 12 --dropout 0 --rand_augment false --per_device_train_batch_size 8 "
    "--save_strategy no --learning_rate 3e-3 --use_cpu true --head_lr_multiplier 1"
).split()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "pictures").mkdir()
    for colour in COLOURS:
        Image.new("RGB", (32, 32), colour).save(folder / "pictures" / f"{colour}.png")
    captions = [{"image": f"pictures/{c}.png", "captions": [f"a {c} picture", f"it is {c}"]} for c in COLOURS]
    questions = [{"image": f"pictures/{c}.png", "question": "what color", "answer": c} for c in COLOURS] * 4
    for name, rows in (("captions", captions), ("questions", questions)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def train(folder: Path, task: str, data: str, steps: int, *flags: str) -> Path:
    out = folder / task
    argv = ["vilt", task, "--train_data", str(folder / data), "--output_dir", str(out), *SMALL]
    assert run([*argv, "--max_steps", str(steps), *flags]) == 0
    return out


@pytest.fixture(scope="module")
def answering(data: Path) -> Path:
    return train(data, "vqa", "questions.jsonl", 60)


@pytest.fixture(scope="module")
def ranking(data: Path) -> Path:
    return train(data, "retrieval", "captions.jsonl", 60, "--draw_false_texts", "3")


def test_training_prints_its_folder_and_says_the_rest_on_stderr(data, capsys):
    out = train(data, "pretrain", "captions.jsonl", 2)
    printed = capsys.readouterr()
    assert printed.out.strip() == str(out)
    assert "8 rows, 4 distinct pictures" in printed.err and "2 steps in" in printed.err
    page = (out / "report.html").read_text()
    for said in ("ViLT pretrain", "Finished: step 2 of 2", "Mlm loss", "8 rows, 4 distinct pictures", "it is red"):
        assert said in page


def test_ask_shows_the_best_answers_with_their_probabilities(answering, data, capsys):
    picture = str(data / "pictures" / "blue.png")
    assert run(["ask", str(answering), picture, "what color", "--top", "2"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("%  blue") and second.split()[1] in COLOURS
    assert run(["ask", str(answering), picture, "what color", "--json"]) == 0
    asked = json.loads(capsys.readouterr().out)
    assert asked["answer"] == "blue" and asked["answers"][0]["probability"] > 0.5


def test_evaluate_and_eval_score_answers_alike_and_leave_the_same_files(answering, data, tmp_path, capsys):
    rows, results = str(data / "questions.jsonl"), []
    for name, argv in {
        "soft_answers": ["vilt", "evaluate", str(answering), rows],
        "custom": ["eval", "--model", str(answering), "--data", rows],
    }.items():
        out = tmp_path / name
        assert run([*argv, "--json", "--output_dir", str(out)]) == 0
        (found,) = [json.loads(capsys.readouterr().out)["tasks"][name]]
        metric = next(iter(found["metrics"].values()))
        results.append((metric["value"], metric["n"], metric["clusters"], found["prompt"]))
        samples = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
        assert [sample["prompt"] for sample in samples] == ["what color"] * 16
        assert {"results.json", "report.html", "config.yaml"} <= {path.name for path in out.iterdir()}
    assert results == [(1.0, 16, 4, "question alone")] * 2
    assert run(["score", str(tmp_path / "soft_answers"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"]["soft_answers"]["metrics"]["soft_accuracy"]["value"] == 1.0


def test_answers_outside_the_vocabulary_are_counted_and_wrong(answering, data, tmp_path, capsys):
    rows = [{"image": "pictures/red.png", "question": "what color", "answer": answer} for answer in ("red", "crimson")]
    (data / "outside.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(["vilt", "evaluate", str(answering), str(data / "outside.jsonl"), "--json"]) == 0
    printed = capsys.readouterr()
    assert "1 of 2 questions have no answer in the model's vocabulary" in printed.err
    assert json.loads(printed.out)["tasks"]["soft_answers"]["metrics"]["soft_accuracy"]["value"] == 0.5


def test_rows_behind_the_limit_are_not_counted(answering, data, capsys):
    rows = [{"image": f"pictures/{name}.png", "question": "what color", "answer": "red"} for name in ("red", "gone")]
    (data / "behind.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(["vilt", "evaluate", str(answering), str(data / "behind.jsonl"), "--limit", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"]["soft_answers"]["data"]["bad_rows"] == []


def test_a_vilt_that_judges_is_evaluated_by_both_commands(data, capsys):
    rows = [
        {
            "image": f"pictures/{c}.png",
            "question": "it is red",
            "choices": ["true", "false"],
            "answer": str(c == "red").lower(),
        }
        for c in COLOURS
    ] * 4
    (data / "sentences.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = str(train(data, "nlvr2", "sentences.jsonl", 40))
    capsys.readouterr()
    values = []
    for argv in (
        ["vilt", "evaluate", model, str(data / "sentences.jsonl")],
        ["eval", "--model", model, "--data", str(data / "sentences.jsonl")],
    ):
        assert run([*argv, "--json"]) == 0
        values.append(json.loads(capsys.readouterr().out)["tasks"]["custom"]["metrics"]["accuracy"]["value"])
    assert values == [1.0, 1.0]


def test_eval_refuses_what_a_vilt_cannot_do(answering, ranking, data, capsys):
    rows = str(data / "questions.jsonl")
    assert run(["eval", "--model", str(answering), "--data", rows, "--prompt", "lmms-eval"]) == 2
    assert "It reads the question alone" in capsys.readouterr().err
    assert run(["eval", "--model", str(ranking), "--data", rows]) == 2
    assert "this needs ViltForQuestionAnswering" in capsys.readouterr().err


def test_evaluate_finds_what_it_learned_and_shows_the_shortlists_loss(ranking, data, tmp_path, capsys):
    argv = ["vilt", "evaluate", str(ranking), str(data / "captions.jsonl"), "--candidates", "2", "--compare", "--json"]
    assert run([*argv, "--output_dir", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "text to pictures @10" in page and "The right picture is number 1." in page
    result = json.loads(capsys.readouterr().out)
    first = next(row for row in result["recalls"] if row["direction"] == "text to pictures" and row["depth"] == 1)
    assert first["exact"] >= 0.75 and first["chance"] == 0.25 and first["value"] >= 0.5


def test_search_ranks_pictures_and_writes_a_sheet(ranking, data, tmp_path, capsys):
    sheet = tmp_path / "sheet.html"
    argv = [
        "vilt",
        "search",
        str(ranking),
        str(data / "pictures"),
        "it is green",
        "--output_path",
        str(sheet),
        "--json",
    ]
    assert run(argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 4 and found[0]["name"].endswith("green.png")
    assert sheet.read_text().count("data:image/png") == 4


def test_caption_chooses_among_candidates(ranking, data, tmp_path, capsys):
    candidates = tmp_path / "captions.txt"
    candidates.write_text("".join(f"it is {colour}\n" for colour in COLOURS))
    assert (
        run(["vilt", "caption", str(ranking), str(data / "pictures" / "red.png"), str(candidates), "--top", "1"]) == 0
    )
    assert capsys.readouterr().out.split(maxsplit=1)[1].strip() == "it is red"


def test_align_draws_a_map(ranking, data, tmp_path, capsys):
    picture = tmp_path / "map.png"
    argv = [
        "vilt",
        "align",
        str(ranking),
        str(data / "pictures" / "red.png"),
        "it is red",
        "--output_path",
        str(picture),
    ]
    assert run(argv) == 0
    assert capsys.readouterr().out.strip() == str(picture)
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["vilt", "pretrain"], "train_data: expected a file, got nothing"),
        (["vilt", "vqa", "--train_data", "none.jsonl"], "There is no file or folder none.jsonl"),
        (["vilt", "search", "nowhere", ".", "a"], "nowhere could not be loaded"),
        (["vilt", "evaluate", "nowhere", "README.md"], "nowhere could not be loaded"),
    ],
)
def test_faults_are_one_message_and_exit_code_2(argv, message, capsys, tmp_path):
    if argv[1] in ("pretrain", "vqa"):
        argv = [*argv, "--output_dir", str(tmp_path / "out")]
    assert run(argv) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error and message in error


def test_a_ranking_model_does_not_answer_questions(ranking, data, capsys):
    argv = ["vilt", "search", str(data / "vqa"), str(data / "pictures"), "a"]
    (data / "vqa").is_dir() or train(data, "vqa", "questions.jsonl", 1)
    assert run(argv) == 2
    assert "this needs ViltForImageAndTextRetrieval" in capsys.readouterr().err
