"""Beyond `seq_length` evaluation reads a row by its length: such rows are read alone, the others share as before."""

from __future__ import annotations

import pytest
from datasets import Dataset

from sightline import SFTConfig, SFTTrainer
from sightline.answering.local import LocalAnswerer
from sightline.data.pictures.images import opened
from sightline.models.load import load_vlm
from sightline.types import Question
from tests.models.ports.qwen_vl.tiny import published
from tests.tiny import SHORT_RUN, picture

LONG = "Which of these is it, the red one or what is behind the other things that nobody has named so far here? "


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A prompt with a short question has about 110 tokens, with the long one 200."""
    return published(tmp_path_factory.mktemp("long") / "model", seq_length=150)


@pytest.mark.parametrize("options", [(), ("red", "the blue one")])
def test_long_questions_among_short_ones_are_answered_as_alone(folder, options):
    shown = (opened(picture(0)),)
    questions = [
        Question(text, shown, 12, options=options) for text in ("red?", LONG, "What is it?", f"{LONG} Say it.")
    ]
    loaded = load_vlm(folder, device="cpu")
    answerer = LocalAnswerer(loaded, say=lambda text: None)
    answers = list(answerer.answer(questions))
    assert answerer.route is not None and answerer.route.route == "mask", answerer.route
    alone = list(LocalAnswerer(loaded, share=False, say=lambda text: None).answer(questions))
    assert [answer.error for answer in answers] == [""] * 4
    assert [answer.text for answer in answers] == [answer.text for answer in alone]
    for ours, theirs in zip(answers, alone, strict=True):
        expected = [option.logprob for option in theirs.options]
        assert [option.logprob for option in ours.options] == pytest.approx(expected, abs=1e-4)


def rows(*questions: str) -> Dataset:
    shown = picture(0)
    return Dataset.from_list(
        [
            {
                "images": [shown],
                "prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}],
                "completion": [{"role": "assistant", "content": [{"type": "text", "text": "red"}]}],
            }
            for question in questions
        ]
    )


@pytest.mark.slow
def test_the_loss_of_long_rows_in_evaluation_is_that_of_plain_rows(folder, tmp_path):
    losses = {}
    for share in ("auto", "plain"):
        settings = {**SHORT_RUN, "output_dir": str(tmp_path / share), "share": share, "max_steps": 1}
        trainer = SFTTrainer(
            str(folder),
            SFTConfig(**settings, per_device_eval_batch_size=4, per_device_train_batch_size=2),
            train_dataset=rows("red?", "What is it?"),
            eval_dataset=rows("red?", "red", LONG, f"{LONG} Say it."),
        )
        assert trainer.route.route == ("mask" if share == "auto" else "plain"), trainer.route
        losses[share] = trainer.evaluate()["eval_loss"]
    assert losses["auto"] == pytest.approx(losses["plain"], abs=1e-5)
