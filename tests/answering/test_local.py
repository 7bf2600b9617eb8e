"""Answers of a local model equal those of plain transformers, one question at a time, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sightline.answering.local import LocalAnswerer
from sightline.answering.requests import framed
from sightline.data.encoding.prompts import render_prompt
from sightline.data.pictures.images import opened
from sightline.engine.decode import NextTokens
from sightline.errors import ConfigError, InputError
from sightline.models.generate import plain_logits, plain_option_scores
from sightline.models.load import LoadedVlm
from sightline.types import Answer, Picture, Question, Sampling
from tests.tiny import SPECIALS, picture, tiny_llava, tiny_processor

TEXTS = ["what is the colour ?", "how many red circle are there ?", "describe it", "is this a square yes no ?"]
IMAGE_TOKEN = SPECIALS.index("<image>")
STOPS = [2, 7, 11, 19]
OPTIONS = ("red", "a large blue circle", "there is no triangle", "two")


@pytest.fixture(scope="module")
def loaded() -> LoadedVlm:
    return LoadedVlm(tiny_llava().eval(), tiny_processor(), "tiny")


def shown(number: int) -> tuple[Picture, ...]:
    return (opened(picture(number)),)


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    """17 questions about three pictures and none; two ask about two pictures, one has its picture inside the text."""
    several = [
        Question(TEXTS[index % 4], () if index % 5 == 4 else shown(index % 3), 4 + 4 * (index % 2))
        for index in range(14)
    ]
    return [
        *several,
        Question("is <image 2> red or is <image 1> ?", (*shown(0), *shown(1)), 6),
        Question("what is this ?", (*shown(0), *shown(1)), 6),
        Question("there is <image 1> what is this ?", shown(2), 6),
    ]


def silent(text: str) -> None:
    """Where messages of a test go."""


def answered_by_transformers(loaded: LoadedVlm, question: Question) -> str:
    prompt = render_prompt(loaded.processor, question)
    images = [picture.open() for picture in prompt.pictures] or None
    inputs = loaded.processor(images=images, text=prompt.text, return_tensors="pt", add_special_tokens=False)
    ids = loaded.model.generate(**inputs, do_sample=False, max_new_tokens=question.max_new_tokens)
    return loaded.processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()


@pytest.mark.parametrize("batch_tokens", [64, 150, 4096])
@pytest.mark.parametrize("share", [True, False])
def test_answers_equal_those_of_transformers_at_every_batch_size(
    loaded: LoadedVlm, questions: list[Question], batch_tokens: int, share: bool
) -> None:
    answerer = LocalAnswerer(loaded, batch_tokens, share, silent)
    answers = [answer.text for answer in answerer.answer(questions)]
    assert answerer.route is not None and answerer.route.route == ("mask" if share else "plain")
    assert answers == [answered_by_transformers(loaded, question) for question in questions]
    assert len(set(answers)) > 4, "the answers must differ for this to prove anything"


def test_answers_do_not_depend_on_the_order_of_the_questions(loaded: LoadedVlm, questions: list[Question]) -> None:
    forward = list(LocalAnswerer(loaded, say=silent).answer(questions))
    backward = list(LocalAnswerer(loaded, say=silent).answer(questions[::-1]))
    assert backward == forward[::-1]


def test_logits_of_every_decoded_token_equal_those_of_the_models_own_forward(
    loaded: LoadedVlm, questions: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 12 tokens per answer, in rows that hold several branches, are left by some and dropped when all are done."""
    logits: dict[int, list[torch.Tensor]] = {}
    greedy = NextTokens.__call__

    def watch(self: Any, active_A: torch.Tensor, logits_AV: torch.Tensor) -> torch.Tensor:
        for number, row in zip(active_A.tolist(), logits_AV, strict=True):
            logits.setdefault(number, []).append(row.clone())
        logits_AV[:, IMAGE_TOKEN] = -torch.inf  # said again to the plain forward, it would want a picture
        return greedy(self, active_A, logits_AV)

    monkeypatch.setattr(NextTokens, "__call__", watch)
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", STOPS)
    asked = [Question(question.text, question.pictures, 12) for question in questions]
    answerer = LocalAnswerer(loaded, say=silent)
    list(answerer.answer(asked[:1]))  # the self-test and what it decodes is behind us
    grouped = [question for question in asked if question.pictures]
    logits.clear()
    answerer.batch_tokens = 10**6
    list(answerer.answer(grouped))
    order = answerer._render(sorted(grouped, key=lambda q: _first_place(q, grouped)), {})
    assert len(logits) == len(grouped)
    lengths = set()
    for number, one in enumerate(order):
        ids = [int(row.index_fill(0, torch.tensor(IMAGE_TOKEN), -torch.inf).argmax()) for row in logits[number]]
        lengths.add(len(ids))
        alone = plain_logits(loaded, one.prompt, ids)
        assert float((torch.stack(logits[number]) - alone).abs().max()) < 1e-4
    assert len(lengths) > 1, "branches must end at different times for this to prove anything"


def _first_place(question: Question, among: list[Question]) -> int:
    """Where the first question about the same pictures, in reading order, stands."""

    def keys(one: Question) -> list[str]:
        return [picture.key for picture in render_prompt(tiny_processor(), one).pictures]

    return next(place for place, one in enumerate(among) if keys(one) == keys(question))


def test_each_distinct_picture_goes_through_the_tower_once_and_its_tokens_through_the_decoder(
    loaded: LoadedVlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six questions about each of two pictures: 2 pictures of 16 tokens, not 12, however small the batches."""
    answerer = LocalAnswerer(loaded, 100, say=silent)
    list(answerer.answer([Question("what ?", shown(7), 2)]))
    pictures, tokens = _count(loaded, monkeypatch)
    list(
        answerer.answer(
            [
                Question(f"{text} {word}", shown(index), 1)
                for index in range(2)
                for text in TEXTS[:3]
                for word in ("red", "blue")
            ]
        )
    )
    assert sum(pictures) == 2
    assert sum(tokens) < 12 * 16, "reading every prompt alone takes at least 12 times 16 tokens of pictures"


def _count(loaded: LoadedVlm, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[int]]:
    pictures: list[int] = []
    tokens: list[int] = []
    for module, name, counts in (
        (loaded.model.model.vision_tower, "pixel_values", pictures),
        (loaded.model.model, "input_ids", tokens),
    ):
        forward = module.forward

        def count(*args: Any, _forward: Callable = forward, _name: str = name, _counts: list[int] = counts, **kw: Any):
            value = args[0] if args else kw[_name]
            _counts.append(len(value) if _name == "pixel_values" else value.numel())
            return _forward(*args, **kw)

        monkeypatch.setattr(module, "forward", count)
    return pictures, tokens


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("batch_tokens", [64, 4096])
def test_likelihoods_of_options_equal_those_of_each_option_in_its_own_row(
    loaded: LoadedVlm, questions: list[Question], share: bool, batch_tokens: int
) -> None:
    asked = [Question(question.text, question.pictures, options=OPTIONS) for question in questions]
    answers = list(LocalAnswerer(loaded, batch_tokens, share, silent).answer(asked))
    for question, answer in zip(asked, answers, strict=True):
        expected = plain_option_scores(loaded, render_prompt(loaded.processor, question), OPTIONS)
        assert [score.tokens for score in answer.options] == [1, 4, 4, 1]
        assert [score.logprob for score in answer.options] == pytest.approx(
            [score.logprob for score in expected], abs=1e-4
        )
    assert len({max(range(4), key=lambda i: answer.options[i].logprob) for answer in answers}) > 1


def test_an_option_without_tokens_is_an_error_of_its_question(loaded: LoadedVlm) -> None:
    asked = [Question("what ?", shown(0), options=("red", "")), Question("what ?", shown(0), options=("red", "two"))]
    answers = list(LocalAnswerer(loaded, say=silent).answer(asked))
    assert "The option '' has no tokens in the model's vocabulary" in answers[0].error
    assert len(answers[1].options) == 2


@pytest.mark.parametrize("share", [True, False])
def test_a_repetition_penalty_and_several_stop_tokens_are_those_of_generate(
    loaded: LoadedVlm, questions: list[Question], share: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded.model.generation_config, "repetition_penalty", 1.3)
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", STOPS)
    answers = [answer.text for answer in LocalAnswerer(loaded, 4096 if share else 64, share, silent).answer(questions)]
    expected = [answered_by_transformers(loaded, question) for question in questions]
    if share:
        assert answers == expected
    monkeypatch.undo()
    assert expected != [answered_by_transformers(loaded, question) for question in questions]


def test_tokens_that_are_never_chosen_are_those_of_generate(
    loaded: LoadedVlm, questions: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [answered_by_transformers(loaded, question) for question in questions]
    words = loaded.processor.tokenizer(" ".join(before), add_special_tokens=False)["input_ids"]
    monkeypatch.setattr(loaded.model.generation_config, "suppress_tokens", sorted(set(words))[:3])
    answerer = LocalAnswerer(loaded, say=silent)
    answers = [answer.text for answer in answerer.answer(questions)]
    assert answerer.route is not None and answerer.route.route == "mask"
    assert answers == [answered_by_transformers(loaded, question) for question in questions] != before


def test_other_generation_settings_turn_sharing_off_with_a_reason(
    loaded: LoadedVlm, questions: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded.model.generation_config, "no_repeat_ngram_size", 1)
    said: list[str] = []
    answers = [answer.text for answer in LocalAnswerer(loaded, say=said.append).answer(questions)]
    assert said == ["One look per image: off, the model's generation settings have no_repeat_ngram_size."]
    assert answers == [answered_by_transformers(loaded, question) for question in questions]


def test_a_model_whose_masks_are_not_honoured_is_found_out_and_answered_in_plain_rows(
    loaded: LoadedVlm, questions: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sightline.engine import decode

    monkeypatch.setattr(decode, "step_masks", lambda allowed, *rest: decode_all(allowed))

    def decode_all(allowed: torch.Tensor) -> torch.Tensor:
        return torch.zeros(allowed.shape)[:, None]

    said: list[str] = []
    answers = [answer.text for answer in LocalAnswerer(loaded, say=said.append).answer(questions)]
    assert "One look per image: off, decoding on a forest does not match" in said[0]
    assert answers == [answered_by_transformers(loaded, question) for question in questions]


def test_one_question_that_cannot_be_answered_spoils_no_other(
    loaded: LoadedVlm, questions: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    answerer = LocalAnswerer(loaded, say=silent)
    expected = list(answerer.answer(questions))
    run = answerer._run

    def fail_on_six(batch: Any) -> Any:
        if any(one.place == 6 for one in batch):
            raise RuntimeError("device-side assert")
        return run(batch)

    monkeypatch.setattr(answerer, "_run", fail_on_six)
    answers = list(answerer.answer(questions))
    assert answers[6] == Answer(error="RuntimeError: device-side assert")
    assert answers[:6] + answers[7:] == expected[:6] + expected[7:]


def test_a_picture_that_cannot_be_opened_is_an_error_of_its_questions(
    loaded: LoadedVlm, questions: list[Question]
) -> None:
    class Broken:
        key = "broken"

        def open(self) -> Any:
            raise OSError("the file is gone")

    asked = [Question("what ?", (Broken(),), 2), questions[0], Question("where <image 3> ?", shown(0), 2)]
    answers = list(LocalAnswerer(loaded, say=silent).answer(asked))
    assert answers[0].error == "OSError: the file is gone"
    assert answers[1].text == answered_by_transformers(loaded, questions[0])
    assert "marks <image 3>, but the question has 1 pictures" in answers[2].error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_out_of_memory_halves_the_batch_and_says_so(
    loaded: LoadedVlm, questions: list[Question], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    answerer = LocalAnswerer(loaded, 1024, say=said.append)
    expected = list(answerer.answer(questions))
    run = answerer._run
    sizes: list[int] = []

    def small_machine(batch: Any) -> Any:
        if len(batch) > 4:
            raise error
        sizes.append(len(batch))
        return run(batch)

    monkeypatch.setattr(answerer, "_run", small_machine)
    said.clear()
    assert list(answerer.answer(questions)) == expected
    assert max(sizes) <= 4 and answerer.batch_tokens < 1024
    assert "Out of memory with" in said[0] and "--batch_tokens 512" in said[0]


def test_the_mode_of_the_model_is_given_back(loaded: LoadedVlm) -> None:
    loaded.model.train()
    list(LocalAnswerer(loaded, say=silent).answer([Question("what is it ?", shown(0), 2)]))
    assert loaded.model.training
    loaded.model.eval()


def test_a_processor_without_chat_template_is_refused(loaded: LoadedVlm) -> None:
    processor = tiny_processor()
    processor.chat_template = None
    with pytest.raises(InputError, match="tiny has no chat template"):
        LocalAnswerer(LoadedVlm(loaded.model, processor, "tiny"))


def test_a_budget_that_holds_no_question_is_refused(loaded: LoadedVlm) -> None:
    with pytest.raises(ConfigError, match="batch_tokens: expected at least 64, got 8"):
        LocalAnswerer(loaded, 8)


@pytest.mark.parametrize("share", [True, False])
def test_a_drawn_answer_depends_on_its_seed_and_not_on_the_questions_beside_it(loaded: LoadedVlm, share: bool) -> None:
    asked = [Question(TEXTS[0], shown(0), 8, sampling=Sampling(1.0, seed)) for seed in range(6)]
    together = list(LocalAnswerer(loaded, share=share, say=silent).answer([Question(TEXTS[1], shown(1), 8), *asked]))
    alone = [next(LocalAnswerer(loaded, share=share, say=silent).answer([one])) for one in asked]
    assert together[1:] == alone and len(set(alone)) >= 5
    (likeliest,) = LocalAnswerer(loaded, share=share, say=silent).answer([Question(TEXTS[0], shown(0), 8)])
    cold = Question(TEXTS[0], shown(0), 8, sampling=Sampling(1e-4, 0))
    assert list(LocalAnswerer(loaded, share=share, say=silent).answer([cold])) == [likeliest]


def test_tokens_are_drawn_by_their_shares(loaded: LoadedVlm) -> None:
    """Of shares 0.1, 0.2 and 0.7, each seed's first draw, 2,000 times; at temperature 0.5 their squares are the
    shares: 1, 4 and 49 of 54."""
    logits_AV = torch.tensor([[0.1, 0.2, 0.7]]).log()
    for temperature, expected in ((1.0, (0.1, 0.2, 0.7)), (0.5, (1 / 54, 4 / 54, 49 / 54))):
        drawn = [
            int(NextTokens(None, [Sampling(temperature, seed)])(torch.tensor([0]), logits_AV))  # type: ignore[arg-type]
            for seed in range(2000)
        ]
        shares = torch.bincount(torch.tensor(drawn), minlength=3) / 2000
        assert torch.allclose(shares, torch.tensor(expected), atol=0.03)


@pytest.mark.parametrize("stop", [False, True])
def test_a_model_that_was_edited_between_two_questions_answers_as_it_is_now(stop: bool) -> None:
    """Features, stop tokens and prompts of before are not kept, also where whoever asked left in the middle."""
    loaded = LoadedVlm(tiny_llava().eval(), tiny_processor(), "tiny")
    answerer = LocalAnswerer(loaded, say=silent)
    asked = [Question(TEXTS[index % 4], shown(0), 6) for index in range(8)]
    if stop:
        small = LocalAnswerer(loaded, batch_tokens=64, say=silent)
        answers = small.answer(asked)
        next(answers)
        answers.close()  # type: ignore[attr-defined]
        answerer = small
    else:
        before = list(answerer.answer(asked))
    with torch.no_grad():
        loaded.inner.model.multi_modal_projector.linear_1.weight.mul_(-3)
    loaded.inner.config.vision_feature_layer = -2
    loaded.model.generation_config.eos_token_id = [2, 7, 11]
    loaded.processor.chat_template = loaded.processor.chat_template.replace("' : '", "' ? '")
    now = list(answerer.answer(asked))
    assert now == list(LocalAnswerer(loaded, say=silent).answer(asked))
    assert stop or now != before


@pytest.mark.parametrize("share", [True, False])
def test_an_answer_says_whether_its_end_is_there(loaded: LoadedVlm, questions: list[Question], share: bool) -> None:
    """With more tokens that end answers some end by themselves; those that do not have all their tokens."""
    settings = loaded.model.generation_config
    before, settings.eos_token_id = settings.eos_token_id, STOPS
    try:
        answers = list(LocalAnswerer(loaded, share=share, say=silent).answer(questions))
    finally:
        settings.eos_token_id = before
    assert {answer.finish_reason for answer in answers} == {"stop", "length"}
    for question, answer in zip(questions, answers, strict=True):
        if answer.finish_reason == "length":
            assert (
                len(loaded.processor.tokenizer(answer.text, add_special_tokens=False)["input_ids"])
                <= question.max_new_tokens
            )


@pytest.mark.parametrize("share", [True, False])
def test_a_system_message_is_read_before_every_question(loaded: LoadedVlm, share: bool) -> None:
    asked = [Question(text, shown(0), 8) for text in TEXTS]
    behind = [framed(question, "describe the red square") for question in asked]
    plain = [answer.text for answer in LocalAnswerer(loaded, share=share, say=silent).answer(asked)]
    said = [answer.text for answer in LocalAnswerer(loaded, share=share, say=silent).answer(behind)]
    assert said != plain
    for question, text in zip(behind, said, strict=True):
        prompt = render_prompt(loaded.processor, question)
        inputs = loaded.processor(
            images=[prompt.pictures[0].open()], text=prompt.text, return_tensors="pt", add_special_tokens=False
        )
        ids = loaded.model.generate(**inputs, do_sample=False, max_new_tokens=8)
        assert text == loaded.processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
