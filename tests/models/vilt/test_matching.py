"""Pairs scored together score as transformers scores each alone; the shortlist finds what training taught it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ViltForImageAndTextRetrieval, ViltForQuestionAnswering

from sightline.data.pictures.images import opened
from sightline.models.vilt.alignment import align
from sightline.models.vilt.answers import ViltAnswerer
from sightline.models.vilt.heads import build_answering, build_pretraining, build_ranking
from sightline.models.vilt.matching import PairScorer, shortlist_loss
from sightline.types import Question
from tests.models.vilt.tiny_vilt import TEXTS, tiny_start

SIZES = [(32, 32), (64, 40), (40, 64), (33, 32), (48, 48)]


def pictures():
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)) for width, height in SIZES]


@pytest.fixture(scope="module")
def start():
    return tiny_start()


def plain_inputs(start, picture, text):
    """What a user of transformers makes by hand, with transformers' own PIL processor."""
    from transformers.models.vilt.image_processing_pil_vilt import ViltImageProcessorPil

    config = start.processor.image_processor
    processor = ViltImageProcessorPil(size=dict(config.size), size_divisor=config.size_divisor)
    return {**start.processor.tokenizer(text, return_tensors="pt"), **processor([picture], return_tensors="pt")}


@pytest.mark.parametrize("batch_tokens", [1, 100, 4096])
def test_scores_equal_transformers_pair_by_pair(start, batch_tokens):
    model = build_ranking(start).eval()
    scorer = PairScorer(model, start.processor, batch_tokens)
    names = [f"picture {index}" for index in range(len(SIZES))]
    scores = scorer.score_all(scorer.embed_pictures(pictures(), names), scorer.embed_texts(TEXTS))
    for row, picture in enumerate(pictures()):
        for column, text in enumerate(TEXTS):
            with torch.no_grad():
                expected = model(**plain_inputs(start, picture, text)).logits.item()
            assert scores[row, column] == pytest.approx(expected, abs=2e-5)


def test_only_wanted_pairs_are_scored(start):
    scorer = PairScorer(build_ranking(start), start.processor)
    embedded = scorer.embed_pictures(pictures(), [""] * 5), scorer.embed_texts(TEXTS)
    wanted = np.random.default_rng(0).random((5, len(TEXTS))) < 0.4
    some, every = scorer.score(*embedded, wanted), scorer.score_all(*embedded)
    assert np.array_equal(np.isfinite(some), wanted)
    np.testing.assert_allclose(some[wanted], every[wanted], atol=1e-5)


def test_a_shortlist_names_so_many_pictures_of_each_text_in_the_order_given(start):
    scorer = PairScorer(build_ranking(start), start.processor)
    texts = scorer.embed_texts(TEXTS)
    forward = scorer.shortlist(scorer.embed_pictures(pictures(), [""] * 5), texts, 2)
    backward = scorer.shortlist(scorer.embed_pictures(pictures()[::-1], [""] * 5), texts, 2)
    assert forward.sum(axis=0).tolist() == [2] * len(TEXTS)
    assert np.array_equal(forward, backward[::-1])
    assert scorer.shortlist(scorer.embed_pictures(pictures(), [""] * 5), texts, 99).all()


def test_the_shortlists_loss_excuses_other_rows_of_the_same_picture():
    """Two rows of one picture, perfectly alike, and a third far away: nothing to learn."""
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    same = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    assert shortlist_loss(vectors, vectors, same).item() == pytest.approx(0, abs=1e-5)
    assert shortlist_loss(vectors, vectors, torch.eye(3).bool()).item() > 0.4


def test_answers_are_those_of_transformers_with_its_probabilities(start):
    model = build_answering(start, ["red", "blue", "two"]).eval()
    assert type(model) is ViltForQuestionAnswering
    answerer = ViltAnswerer(model, start.processor, "tiny")
    asked = [Question(text, (opened(picture),)) for picture in pictures() for text in TEXTS]
    for question, guesses in zip(asked, answerer.guess(asked, 3), strict=True):
        with torch.no_grad():
            expected = model(**plain_inputs(start, question.pictures[0].open(), question.text)).logits[0].sigmoid()
        found = {guess.answer: guess.probability for guess in guesses}
        assert found == pytest.approx(dict(zip(answerer.answers, expected.tolist(), strict=True)), abs=1e-5)
        assert [guess.probability for guess in guesses] == sorted(found.values(), reverse=True)


def test_a_question_without_a_picture_gets_no_answer_and_the_others_theirs(start):
    answerer = ViltAnswerer(build_answering(start, ["red", "blue"]), start.processor, "tiny")
    first, second = answerer.answer([Question("what?"), Question("what?", (opened(pictures()[0]),))])
    assert first.error and second.text in ("red", "blue")


def test_a_picture_without_a_patch_is_an_error_of_its_questions_alone(start):
    answerer = ViltAnswerer(build_answering(start, ["red", "blue"]), start.processor, "tiny")
    shown = [pictures()[0], Image.new("RGB", (1, 400)), pictures()[1]]
    answers = list(answerer.answer([Question("what?", (opened(picture),)) for picture in shown]))
    assert [bool(answer.error) for answer in answers] == [False, True, False]
    assert "what?" in answers[1].error and answers[0].text and answers[2].text


def test_an_alignment_carries_all_words_to_patches_of_the_picture(start):
    found = align(build_pretraining(start).eval(), start.processor, pictures()[1], "a red circle", "picture")
    assert found.words == ("a", "red", "circle")
    assert all(weights.shape == (4, 6) for weights in found.maps)
    assert sum(weights.sum() for weights in found.maps) == pytest.approx(1, abs=1e-3)


def test_a_ranking_model_is_transformers_own_class(start):
    assert type(build_ranking(start)) is ViltForImageAndTextRetrieval
