"""The verbs take a published folder by name: what they say is what the formulas say."""

from __future__ import annotations

import json

import pytest

from sightline.cli.main import run
from sightline.models.load import load_vlm
from tests.models.ports.cogvlm.formulas import logits
from tests.models.ports.cogvlm.tiny_cogvlm import SETTINGS, published_folder, tiny_model, write_vocabulary
from tests.tiny import picture

QUESTIONS = ("What is this?", "How many?", "Where is it?", "Describe the picture .")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return published_folder(tmp_path_factory.mktemp("verbs") / "cogvlm", tiny_model(), pickled=True)


@pytest.fixture
def rows(tmp_path):
    for seed in range(2):
        picture(seed, 40).save(tmp_path / f"{seed}.png")
    lines = [
        {"image": str(tmp_path / f"{at % 2}.png"), "question": question, "answer": "a dog"}
        for at, question in enumerate(QUESTIONS)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def by_formulas(folder, question: str, seed: int, version: str = "chat", length: int = 6) -> str:
    loaded = load_vlm(folder)
    text = f"Question: {question} Answer:" if version == "chat" else question
    words = [1, *loaded.processor.tokenizer(text, add_special_tokens=False)["input_ids"]]
    pixels = loaded.processor.image_processor(picture(seed, 40), return_tensors="pt")["pixel_values"][0]
    start = len(words)
    while len(words) < start + length and words[-1] != 2:
        words.append(int(logits(loaded.model.state_dict(), SETTINGS, words, pixels)[-1].argmax()))
    return loaded.processor.tokenizer.decode(words[start:], skip_special_tokens=True).strip()


def test_ask_says_what_the_formulas_say_in_chat_and_base(folder, rows, tmp_path, capsys):
    base = published_folder(tmp_path / "base", tiny_model(1), version="base", tokenizer=False)
    brought = tmp_path / "vicuna"
    brought.mkdir()
    write_vocabulary(brought / "tokenizer.model")
    image = str(rows.parent / "0.png")
    for name, version, more in ((folder, "chat", []), (base, "base", ["--tokenizer", str(brought)])):
        assert run(["ask", str(name), image, QUESTIONS[0], "--max_new_tokens", "6", "--json", *more]) == 0
        answer = json.loads(capsys.readouterr().out)["answer"]
        if more:
            write_vocabulary(base / "tokenizer.model")
        assert answer == by_formulas(name, QUESTIONS[0], 0, version)


def test_eval_answers_its_questions(folder, rows, tmp_path):
    out = tmp_path / "out"
    asked = [
        "eval",
        str(folder),
        "--data",
        str(rows),
        "--limit",
        "4",
        "--max_new_tokens",
        "6",
        "--output_dir",
        str(out),
    ]
    assert run(asked) == 0
    samples = [json.loads(line) for line in next(out.rglob("samples.jsonl")).read_text().splitlines()]
    assert len(samples) == 4
    assert samples[1]["prediction"] == by_formulas(folder, QUESTIONS[1], 1)


def test_training_takes_a_tokenizer_that_is_brought_and_keeps_it(rows, tmp_path, capsys):
    bare = published_folder(tmp_path / "bare", tiny_model(), tokenizer=False)
    brought = tmp_path / "vicuna"
    brought.mkdir()
    write_vocabulary(brought / "tokenizer.model")
    out = tmp_path / "out"
    trained = ["sft", str(bare), str(rows), "--max_steps", "1", "--output_dir", str(out)]
    assert run(trained) == 2
    assert "Bring that of lmsys/vicuna-7b-v1.5" in capsys.readouterr().err
    assert run([*trained, "--tokenizer", str(brought)]) == 0
    asked = ["ask", str(out), str(rows.parent / "0.png"), QUESTIONS[0], "--max_new_tokens", "4", "--json"]
    assert run(asked) == 0
    assert run([*asked, "--tokenizer", str(tmp_path / "nowhere")]) == 2
    assert f"{tmp_path / 'nowhere'} has no tokenizer" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--use_peft", "--lora_r", "2"]], ids=["full", "lora"])
def test_what_sft_trains_answers(folder, rows, tmp_path, more, capsys):
    out = tmp_path / "out"
    trained = [
        "sft",
        str(folder),
        str(rows),
        "--max_steps",
        "2",
        "--learning_rate",
        "1e-3",
        "--output_dir",
        str(out),
        *more,
    ]
    assert run(trained) == 0
    assert "mask" in json.dumps(json.loads((out / "environment.json").read_text())) + capsys.readouterr().err
    name = out
    if more:
        name = tmp_path / "merged"
        assert run(["merge", str(out), str(name)]) == 0
    capsys.readouterr()
    assert run(["ask", str(name), str(rows.parent / "1.png"), QUESTIONS[1], "--max_new_tokens", "6", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == by_formulas(name, QUESTIONS[1], 1)
    moved = load_vlm(name).model.state_dict()
    before = load_vlm(folder).model.state_dict()
    changed = {key for key, tensor in moved.items() if not tensor.equal(before[key])}
    experts = {key for key in changed if "vision_expert" in key or "vision_mlp" in key}
    assert experts and not any(key.endswith("inv_freq") for key in changed)
    assert bool(more) == (not any(key.startswith("model.vision.") for key in changed))
