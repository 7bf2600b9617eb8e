"""Rows of every form are those that TRL makes with the processor; answers are those of the formulas."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from sightline.answering.local import LocalAnswerer
from sightline.data.encoding.prompts import render_prompt
from sightline.data.encoding.sequences import EncodingSettings, SequenceEncoder
from sightline.data.pictures.images import opened
from sightline.engine.forest import build_forest
from sightline.engine.routes import forest_positions, score_sequences
from sightline.errors import DataError
from sightline.models.families import FAMILIES
from sightline.models.load import load_vlm
from sightline.training.collators import PreferenceCollator, SFTCollator
from sightline.training.sharing import training_facts
from sightline.types import SYSTEM, Question, Turn
from tests.models.ports.cogvlm.formulas import logits
from tests.models.ports.cogvlm.tiny_cogvlm import SETTINGS, published_folder, tiny_model
from tests.tiny import picture


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return load_vlm(published_folder(tmp_path_factory.mktemp("rows") / "cogvlm", tiny_model()))


def said(*texts: str, image: bool) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = [
        {"role": ("user", "assistant")[at % 2], "content": [{"type": "text", "text": text}]}
        for at, text in enumerate(texts)
    ]
    if image:
        turns[0]["content"].insert(0, {"type": "image"})
    return turns


TURNS = ("What is this?", "a dog", "How many?", "two ☃")


def row(form: str, image: bool) -> dict[str, Any]:
    turns = said(*TURNS, image=image)
    columns: dict[str, dict[str, Any]] = {
        "messages": {"messages": turns},
        "completion": {"prompt": turns[:3], "completion": turns[3:]},
        "plain": {"prompt": "What is this?" if image else "<s>What is this?", "completion": " a dog</s>"},
        "chosen": {"prompt": turns[:3], "chosen": turns[3:], "rejected": said("", "one", image=False)[1:]},
    }
    return {"images": [picture(3, 40)] if image else [], **columns[form]}


@pytest.mark.parametrize("image", [True, False], ids=["image", "text"])
@pytest.mark.parametrize(
    ("form", "given"),
    [
        ("messages", {}),
        ("messages", {"assistant_only_loss": True}),
        ("completion", {"completion_only_loss": True}),
        ("completion", {"completion_only_loss": False}),
        ("plain", {"completion_only_loss": True}),
        ("chosen", {}),
    ],
    ids=["messages", "messages, answers only", "completion", "completion, all", "plain", "chosen"],
)
def test_rows_are_those_of_trl(loaded, form, given, image):
    processor, facts = loaded.processor, training_facts(loaded.model, loaded.processor)
    encoder, pad = SequenceEncoder(processor, EncodingSettings(**given)), processor.tokenizer.pad_token_id
    if form == "chosen":
        ours: Any = PreferenceCollator(encoder, pad, share=False, facts=facts)
        theirs: Any = DataCollatorForVisionPreference(processor)
    else:
        ours = SFTCollator(encoder, pad, share=False, facts=facts)
        theirs = DataCollatorForVisionLanguageModeling(processor, **given)
    found, expected = dict(ours([row(form, image)])), dict(theirs([row(form, image)]))
    assert found.keys() == expected.keys()
    seen = expected["attention_mask"].bool()
    for name, value in expected.items():
        same_shape = value.shape == seen.shape
        torch.testing.assert_close(
            found[name] * seen if same_shape else found[name], value * seen if same_shape else value
        )
    assert int(found["token_type_ids"].sum()) == 18 * image * len(seen)
    assert (found["input_ids"][:, 0] == 1).all()


def test_an_image_and_its_question_are_one_row_whatever_its_form(loaded):
    encoder = SequenceEncoder(loaded.processor, EncodingSettings())
    (whole,) = encoder.encode_sft([row("messages", True)]).sequences
    (apart,) = encoder.encode_sft([row("completion", True)]).sequences
    assert whole.ids_L.tolist() == apart.ids_L.tolist()


@pytest.mark.parametrize("text", ["what <unk> this", "<s>what"])
def test_words_that_stand_for_an_image_are_refused_and_a_start_token_is_not_written_twice(loaded, text):
    encoder = SequenceEncoder(loaded.processor, EncodingSettings())
    written = {**row("plain", True), "prompt": text}
    if "<unk>" in text:
        with pytest.raises(DataError, match="'<unk>', which stands for a part of an image"):
            encoder.encode_sft([written])
    else:
        (found,) = encoder.encode_sft([written]).sequences
        assert found.ids_L.tolist().count(1) == 1


def test_in_a_packed_row_each_tree_has_its_own_positions_and_types(loaded):
    rows = [row("completion", True), row("completion", False), {**row("plain", True), "images": [picture(5, 30)]}]
    batch = SequenceEncoder(loaded.processor, EncodingSettings()).encode_sft(rows)
    facts = FAMILIES["cogvlm"]
    forest = build_forest(batch.sequences, 0, max_row=4096)
    assert len(forest.ids_RL) == 1
    positions = forest_positions(loaded.model, facts, forest, {}).flatten()
    for sequence, path in zip(batch.sequences, forest.path_NL, strict=True):
        image, words = [1, *[2] * 16, 3], len(sequence.ids_L) - 1 - 18 * bool(sequence.images)
        first = 4 if sequence.images else 1
        expected = [0, *(image if sequence.images else []), *range(first, first + words)]
        assert positions[path[path >= 0]].tolist() == expected
    scores = score_sequences(loaded.model, facts, forest, batch.image_inputs)
    for sequence, score, given in zip(batch.sequences, scores, rows, strict=True):
        ids = [1, *sequence.ids_L[1 + 18 * bool(sequence.images) :].tolist()]
        pixels = None
        if given["images"]:
            pixels = loaded.processor.image_processor(given["images"][0], return_tensors="pt")["pixel_values"][0]
        expected_LV = logits(loaded.model.state_dict(), SETTINGS, ids, pixels).log_softmax(-1)
        scored = torch.from_numpy(sequence.scored_L).nonzero().flatten()
        torch.testing.assert_close(
            score, expected_LV[scored - 1, torch.tensor(sequence.ids_L)[scored]], rtol=0, atol=1e-4
        )


def test_answers_with_an_image_and_without_one_are_those_of_the_formulas(loaded):
    shown = [opened(picture(seed, 30 + seed)) for seed in range(2)]
    turns = (Turn("user", "<image 1>What is this?"), Turn("assistant", "a dog"))
    questions = [
        Question("What is this?", (shown[0],), 5),
        Question("How many?", (shown[0],), 5),
        Question("How many?", (shown[1],), 5),
        Question("How many?", (shown[0],), 5, turns=turns),
        Question("How many?", (), 5),
        Question("What is this?", (), 5),
    ]
    answerer = LocalAnswerer(loaded, say=lambda text: None)
    answers = list(answerer.answer(questions))
    assert answerer.route is not None and answerer.route.route == "mask", answerer.route
    for question, answer in zip(questions, answers, strict=True):
        prompt = render_prompt(loaded.processor, question)
        words = [1, *loaded.processor.tokenizer(prompt.text.removeprefix("<s>"), add_special_tokens=False)["input_ids"]]
        pixels = None
        if question.pictures:
            image = question.pictures[0].open()
            pixels = loaded.processor.image_processor(image, return_tensors="pt")["pixel_values"][0]
        start = len(words)
        while len(words) < start + 5 and words[-1] != 2:
            words.append(int(logits(loaded.model.state_dict(), SETTINGS, words, pixels)[-1].argmax()))
        assert answer.error == ""
        assert answer.text == loaded.processor.tokenizer.decode(words[start:], skip_special_tokens=True).strip()


def test_a_system_message_has_no_place(loaded):
    with pytest.raises(DataError, match="no place for a message of the role system"):
        render_prompt(loaded.processor, Question("What?", turns=(Turn(SYSTEM, "Be brief."),)))
