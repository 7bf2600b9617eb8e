"""Training: batches as the paper draws them, resumed runs equal to whole ones, heads at their rate, plain folders."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ViltForQuestionAnswering, ViltProcessor

from sightline.data.vilt.words import NOT_MASKED
from sightline.errors import ConfigError, DataError, RunFolderError
from sightline.training.vilt.rows import DrawnRows
from sightline.training.vilt.run import run_vilt
from sightline.training.vilt.settings import read_vilt_settings
from sightline.training.vilt.tasks import draw_matches
from sightline.training.vilt.trainer import ViltTrainer

COLOURS = ("red", "green", "blue", "white")
SMALL = (
    "--hidden_size 32 --num_hidden_layers 1 --num_attention_heads 2 --intermediate_size 64 --image_size 32 "
    "--patch_size 16 --max_text_length 12 --dropout 0.1 --per_device_train_batch_size 4 --save_strategy no "
    "--logging_steps 1 --learning_rate 1e-3 --use_cpu true --max_steps 4"
).split()


@pytest.fixture
def folder(tmp_path):
    """Four pictures of one colour each, with captions, questions, and sentences about one and about two of them."""
    for colour in COLOURS:
        Image.new("RGB", (40, 32), colour).save(tmp_path / f"{colour}.png")
    captions = [{"image": f"{c}.png", "captions": [f"a {c} picture", f"it is {c}"]} for c in COLOURS]
    questions = [{"image": f"{c}.png", "question": "what color is it", "answer": c} for c in COLOURS] * 3
    one = [{"image": f"{c}.png", "sentence": "it is red", "label": c == "red"} for c in COLOURS] * 2
    two = [{"images": ["red.png", f"{c}.png"], "sentence": "both are red", "label": c == "red"} for c in COLOURS]
    for name, rows in (("captions", captions), ("questions", questions), ("one", one), ("two", two)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def train(folder, task, data, *flags, out="run"):
    argv = ["--train_data", str(folder / data), "--output_dir", str(folder / out), *SMALL, *flags]
    return run_vilt(task, read_vilt_settings(argv))


@pytest.mark.slow
def test_a_picture_cut_in_its_pixels_is_an_error_of_its_row_or_left_out_of_its_batch(folder, capsys):
    Image.effect_noise((200, 160), 80).convert("RGB").save(folder / "blue.png", "JPEG")
    (folder / "blue.png").write_bytes((folder / "blue.png").read_bytes()[:-2000])  # its head is whole
    with pytest.raises(DataError, match=r"questions\.jsonl row 3: image '.*blue\.png' is damaged"):
        train(folder, "vqa", "questions.jsonl", "--per_device_train_batch_size", "12")
    train(folder, "vqa", "questions.jsonl", "--per_device_train_batch_size", "12", "--skip_bad_rows", "true", out="two")
    assert "Left out: questions.jsonl row 3: image" in capsys.readouterr().err
    assert [line["step"] for line in metrics(folder, "two") if "loss" in line] == [1, 2, 3, 4]


def metrics(folder, out="run"):
    return [json.loads(line) for line in (folder / out / "metrics.jsonl").read_text().splitlines()]


def weights(folder, out):
    from safetensors.torch import load_file

    return load_file(folder / out / "model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "data", "parts"),
    [
        (
            "pretrain",
            "captions.jsonl",
            {"itm_loss", "mlm_loss", "wpa_loss", "mpp_loss", "itm_accuracy", "mlm_accuracy"},
        ),
        ("vqa", "questions.jsonl", {"vqa_score"}),
        ("retrieval", "captions.jsonl", {"rank_loss", "shortlist_loss", "true_text_first"}),
        ("nlvr2", "one.jsonl", {"accuracy"}),
        ("nlvr2", "two.jsonl", {"accuracy"}),
    ],
)
def test_each_task_trains_logs_its_parts_and_leaves_a_folder(task, data, parts, folder):
    held_out = str(shutil.copy(folder / data, folder / f"held_out_{data}"))  # rows that train are refused
    flags = ["--objectives", "itm", "mlm", "mpp", "--draw_false_texts", "3", "--eval_data", held_out]
    result = train(folder, task, data, *flags, "--eval_strategy", "steps", "--eval_steps", "4")
    assert result.trained.steps == 4
    rows = metrics(folder)
    assert parts <= set(rows[0]) and {f"eval_{part}" for part in parts} <= set().union(*rows)
    assert "sightline vilt" in (folder / "run" / "README.md").read_text()
    ViltProcessor.from_pretrained(folder / "run")


def test_the_logged_parts_make_the_logged_loss(folder):
    train(folder, "pretrain", "captions.jsonl", "--wpa_weight", "0.3")
    for row in metrics(folder)[:4]:
        assert row["loss"] == pytest.approx(row["itm_loss"] + row["mlm_loss"] + 0.3 * row["wpa_loss"], abs=1e-4)


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_weights_of_a_whole_one(folder):
    """Texts hidden, pictures swapped and augmented, dropout: all draws go on where they stopped."""
    flags = ["--rand_augment", "true", "--max_steps", "6", "--save_strategy", "steps", "--save_steps", "3"]
    train(folder, "pretrain", "captions.jsonl", *flags, out="whole")
    train(folder, "pretrain", "captions.jsonl", *flags, out="cut")
    shutil.rmtree(folder / "cut" / "checkpoint-6")
    (folder / "cut" / "model.safetensors").unlink()
    train(folder, "pretrain", "captions.jsonl", *flags, "--resume_from_checkpoint", "true", out="cut")
    whole, cut = weights(folder, "whole"), weights(folder, "cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


@pytest.mark.slow
def test_a_run_is_not_resumed_with_another_vocabulary(folder):
    flags = ["--save_strategy", "steps", "--save_steps", "2"]
    train(folder, "pretrain", "captions.jsonl", *flags)
    rows = [{"image": "red.png", "caption": "something else"}, {"image": "blue.png", "caption": "quite another thing"}]
    (folder / "other.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RunFolderError, match="began with training rows 8 of content .*, now 2 of content"):
        train(folder, "pretrain", "other.jsonl", *flags, "--resume_from_checkpoint", "true")
    (folder / "run" / "begun.json").unlink()
    with pytest.raises(ConfigError, match=r"checkpoint-4 holds a model with \d+ words in the vocabulary \(now \d+\)"):
        train(folder, "pretrain", "other.jsonl", *flags, "--resume_from_checkpoint", "true")


@pytest.mark.slow
def test_a_start_keeps_its_sizes_and_takes_the_dropout_and_the_range_given(folder):
    train(folder, "pretrain", "captions.jsonl")
    start = ["--model_name_or_path", str(folder / "run")]
    with pytest.raises(ConfigError, match="hidden_size: .* has 32, but the settings say 64"):
        train(folder, "vqa", "questions.jsonl", *start, "--hidden_size", "64", out="wider")
    train(folder, "vqa", "questions.jsonl", *start, "--dropout", "0.3", "--initializer_range", "0.5", out="answers")
    config = ViltForQuestionAnswering.from_pretrained(folder / "answers").config
    assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == 0.3
    assert config.initializer_range == 0.5


@pytest.mark.slow
def test_accumulated_batches_learn_as_one_large_batch(folder):
    """Without draws and dropout, 2 batches of 4 rows step as one of 8."""
    plain = ["--rand_augment", "false", "--dropout", "0", "--max_steps", "2"]
    train(folder, "nlvr2", "one.jsonl", *plain, "--per_device_train_batch_size", "8", out="large")
    train(folder, "nlvr2", "one.jsonl", *plain, "--gradient_accumulation_steps", "2", out="small")
    large, small = weights(folder, "large"), weights(folder, "small")
    for name, value in large.items():
        torch.testing.assert_close(small[name], value, atol=2e-5, rtol=1e-4)


@pytest.mark.slow
def test_pretraining_leads_to_answers_that_transformers_loads(folder):
    train(folder, "pretrain", "captions.jsonl", out="first")
    train(folder, "vqa", "questions.jsonl", "--model_name_or_path", str(folder / "first"), out="second")
    model = ViltForQuestionAnswering.from_pretrained(folder / "second")
    assert sorted(model.config.label2id) == sorted(COLOURS)


@pytest.mark.slow
def test_a_small_model_learns_colours(folder):
    flags = ["--max_steps", "60", "--rand_augment", "false", "--dropout", "0", "--logging_steps", "10"]
    train(folder, "vqa", "questions.jsonl", *flags)
    assert metrics(folder)[-2]["vqa_score"] == 1.0


def test_the_papers_settings_are_the_defaults_and_heads_learn_ten_times_faster(folder, monkeypatch):
    seen: dict[str, dict[str, Any]] = {}
    original = ViltTrainer.train

    def train_and_look(trainer, *arguments, **named):
        outcome = original(trainer, *arguments, **named)
        groups = {id(parameter): group for group in trainer.optimizer.param_groups for parameter in group["params"]}
        seen.update({name: groups[id(parameter)] for name, parameter in trainer.model.named_parameters()})
        return outcome

    monkeypatch.setattr(ViltTrainer, "train", train_and_look)
    argv = [flag for flag in SMALL if flag not in ("--learning_rate", "1e-3")]
    argv += ["--train_data", str(folder / "questions.jsonl"), "--output_dir", str(folder / "run")]
    run_vilt("vqa", read_vilt_settings(argv))
    body, head = seen["vilt.pooler.dense.weight"], seen["classifier.3.weight"]
    assert body["initial_lr"] == pytest.approx(1e-4) and head["initial_lr"] == pytest.approx(1e-3)
    assert body["weight_decay"] == 0.01 and body["betas"] == (0.9, 0.98) and body["eps"] == 1e-8
    for name in ("vilt.pooler.dense.bias", "vilt.layernorm.weight", "classifier.1.weight", "classifier.3.bias"):
        assert seen[name]["weight_decay"] == 0.0
    settings = read_vilt_settings(argv).training
    assert (settings.warmup_steps, str(settings.lr_scheduler_type.value), settings.seed) == (0.1, "linear", 0)


@pytest.mark.parametrize("seed", range(10))
def test_half_of_the_texts_are_shown_another_texts_picture(seed):
    keys = ["a", "a", "b", "c", "d", "d"]
    shown, labels = draw_matches(keys, np.random.default_rng(seed))
    assert labels.sum() == 3
    assert [keys[index] == key for key, index in zip(keys, shown, strict=True)] == labels.astype(bool).tolist()


def test_a_text_whose_picture_stands_alone_keeps_it():
    shown, labels = draw_matches(["a", "a"], np.random.default_rng(0))
    assert shown.tolist() == [0, 1] and labels.tolist() == [1, 1]


def test_rows_draw_anew_in_each_epoch_and_alike_in_each_run():
    first, second = DrawnRows("ab", 7), DrawnRows("ab", 7)
    assert first[1] == second[1]
    second.set_epoch(1)
    assert first[1].row == second[1].row and first[1].seed != second[1].seed


def test_hidden_words_reach_the_model_with_their_labels(folder):
    from sightline.data.vilt.pictures import PictureReader, PictureShape
    from sightline.data.vilt.sources import PictureCheck
    from sightline.training.vilt.rows import PictureLoader
    from sightline.training.vilt.tasks import Pretraining
    from tests.models.vilt.tiny_vilt import tiny_start

    settings = read_vilt_settings(["--train_data", str(folder / "captions.jsonl"), "--patch_size", "16"])
    task = Pretraining(settings)
    rows = DrawnRows(task.read(str(folder / "captions.jsonl"), True, PictureCheck()), 0)
    loader = PictureLoader(PictureReader(PictureShape(32, 16)))
    batch = task.collate([rows[index] for index in range(8)], tiny_start().processor.tokenizer, loader)
    hidden = batch["mlm_labels"] != NOT_MASKED
    assert hidden.any(dim=1).all() and batch["itm_labels"].sum() == 4
    assert torch.equal(batch["input_ids"][hidden], batch["mlm_labels"][hidden])


@pytest.mark.parametrize(
    ("flags", "error", "message"),
    [
        (["--objectives", "itm", "mim"], ConfigError, "objectives: expected some of itm, mlm, mpp; got mim"),
        (["--initializer_range", "0"], ConfigError, "initializer_range: expected a number above 0, got 0"),
        (["--mlm_probability", "1.5"], ConfigError, "mlm_probability: expected a share between 0 and 1, got 1.5"),
        (["--hiden_size", "3"], ConfigError, "Did you mean 'hidden_size'"),
        (["--vit", "a", "--model_name_or_path", "b"], ConfigError, "a ViLT brings everything"),
        (["--eval_strategy", "steps"], ConfigError, "needs rows to evaluate on. Set --eval_data"),
        (["--eval_columns", "question=q"], ConfigError, "eval_columns: of what data\\? Set --eval_data"),
        (["--eval_split", "val"], ConfigError, "eval_split: of what data\\? Set --eval_data"),
        (
            ["--eval_data", "FOLDER/captions.jsonl", "--eval_columns", "question=q"],
            DataError,
            "captions.jsonl: --eval_columns question=q: there is no column 'q'",
        ),
        (["--image_size", "40"], ConfigError, "image_size 40 is no multiple of patch_size 16"),
        (["--min_answer_count", "9"], ConfigError, "no answer of .* is the best of 9 questions"),
        (["--image_folder", "nowhere"], DataError, "image_folder: there is no folder nowhere"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_written(flags, error, message, folder):
    with pytest.raises(error, match=message):
        train(folder, "vqa", "questions.jsonl", *(flag.replace("FOLDER", str(folder)) for flag in flags))
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    "named, rows",
    [
        (["--eval_columns", "{}"], {"image": "red.png", "question": "what color is it", "answer": "red"}),
        (["--eval_columns", "question=f,answer=a,image=i"], {"i": "red.png", "f": "what color is it", "a": "red"}),
    ],
)
def test_the_evaluation_file_may_have_names_of_its_own(named, rows, folder):
    training = [{"p": f"{c}.png", "q": "what color is it", "w": c} for c in COLOURS]
    for name, lines in (("mine", training), ("held", [rows])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    flags = ["--columns", "question=q,answer=w,image=p", "--eval_data", str(folder / "held.jsonl"), *named]
    assert train(folder, "vqa", "mine.jsonl", *flags, "--max_steps", "1", "--eval_strategy", "epoch") is not None


def test_a_run_never_overwrites_another(folder):
    (folder / "run").mkdir()
    (folder / "run" / "config.json").write_text("{}")
    with pytest.raises(RunFolderError, match="holds another run"):
        train(folder, "vqa", "questions.jsonl")


def test_answers_outside_a_given_vocabulary_are_counted_not_fatal(folder, capsys):
    (folder / "answers.txt").write_text("red\ngreen\n")
    train(folder, "vqa", "questions.jsonl", "--answers", str(folder / "answers.txt"))
    assert "2 answers; 6 of 12 questions have none of them." in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_learn_as_one_with_twice_the_batch(folder):
    """Without draws and dropout; the true run of a launcher, whose first process alone owns the folder."""
    plain = ["--rand_augment", "false", "--dropout", "0", "--max_steps", "2"]
    train(folder, "nlvr2", "one.jsonl", *plain, "--per_device_train_batch_size", "8", out="one")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    data = ["--train_data", str(folder / "one.jsonl"), "--output_dir", str(folder / "two")]
    argv = [*launcher, "-m", "sightline.cli.main", "vilt", "nlvr2", *data, *SMALL, *plain]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder / "two")
    one, two = weights(folder, "one"), weights(folder, "two")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=2e-5, rtol=1e-4)
    assert len(metrics(folder, "two")) == len(metrics(folder, "one"))
