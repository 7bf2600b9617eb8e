"""lmms-eval asks our runner through its plug-in: answers, order, stop words and likelihoods are those of the runner."""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sightline.answering.local import LocalAnswerer
from sightline.data.pictures.images import opened
from sightline.errors import InputError, MachineError
from sightline.models.load import load_vlm
from sightline.types import Question
from tests.tiny import picture, tiny_folder

MODULE = "sightline.evaluation.exchange.lmms_eval_model"
GREEDY = {"max_new_tokens": 5, "temperature": 0, "do_sample": False, "until": ["\n\n"]}
TEXTS = ["what is the colour ?", "how many red circle are there ?", "describe it"]


@dataclass(frozen=True)
class Request:
    """lmms-eval's `Instance`, as far as a model sees it."""

    args: tuple[Any, ...]


@dataclass(frozen=True)
class Manifest:
    """lmms-eval's `ModelManifest`."""

    model_id: str
    simple_class_path: str | None = None
    chat_class_path: str | None = None


class StubModel:
    """What lmms-eval 0.7.3's base class has."""

    is_simple = True

    def __init__(self) -> None:
        self._rank, self._world_size = 0, 1
        self.task_dict: dict[str, Any] = {}

    @classmethod
    def create_from_arg_string(cls, arguments: str, more: dict[str, Any]) -> Any:
        given = dict(part.split("=", 1) for part in arguments.split(","))
        return cls(**given, **{name: value for name, value in more.items() if value is not None})


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (
        "lmms_eval",
        "lmms_eval.api",
        "lmms_eval.api.model",
        "lmms_eval.models",
        "lmms_eval.models.registry_v2",
    ):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["lmms_eval.api.model"], "lmms", StubModel, raising=False)
    monkeypatch.setattr(sys.modules["lmms_eval.models.registry_v2"], "ModelManifest", Manifest, raising=False)
    yield
    sys.modules.pop(MODULE, None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_folder(tmp_path_factory.mktemp("model")))


def model(folder: str, root: Path, form: str) -> Any:
    """Made as lmms-eval does: entry point, manifest, class, arguments as text; then given its documents."""
    points = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]["lmms_eval.models"]
    module, _, name = points["sightline"].partition(":")
    manifest = getattr(importlib.import_module(module), name)()
    assert manifest.model_id == "sightline"
    path = manifest.simple_class_path if form == "simple" else manifest.chat_class_path
    kind = getattr(importlib.import_module(path.rpartition(".")[0]), path.rpartition(".")[2])
    assert issubclass(kind, StubModel) and kind.is_simple == (form == "simple")
    made = kind.create_from_arg_string(
        f"pretrained={folder}", {"batch_size": 7, "max_batch_size": None, "device": "cpu"}
    )
    documents = [{"text": text, "seen": [picture(9), picture(place % 2)]} for place, text in enumerate(TEXTS * 2)]
    made.task_dict = {"made": {"test": documents}}
    return made


def visuals(document: dict[str, Any]) -> list[Any]:
    return [document["seen"][1]]


def messages(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The text between two pictures, as interleaved tasks have it."""
    first, second = ({"type": "image", "url": image} for image in document["seen"])
    return [{"role": "user", "content": [first, {"type": "text", "text": document["text"]}, second]}]


def generations(form: str, count: int = 6, **settings: Any) -> list[Request]:
    given = {**GREEDY, **settings}
    if form == "simple":
        return [Request((TEXTS[place % 3], given, visuals, place, "made", "test")) for place in range(count)]
    return [Request(("", messages, given, place, "made", "test")) for place in range(count)]


def answered_alone(folder: str, form: str) -> list[str]:
    answerer = LocalAnswerer(load_vlm(folder, device="cpu"), say=lambda text: None)
    said = []
    for place in range(6):
        text, shown = TEXTS[place % 3], opened(picture(place % 2))
        question = Question(text, (shown,), 5)
        if form == "chat":
            question = Question(f"<image 1>{text}<image 2>", (opened(picture(9)), shown), 5)
        said += [answer.text for answer in answerer.answer([question])]
    return said


@pytest.mark.parametrize("form", ["simple", "chat"])
def test_answers_are_those_of_the_runner_in_the_order_of_the_requests(folder: str, root: Path, form: str) -> None:
    asked = model(folder, root, form)
    said = asked.generate_until(generations(form))
    assert said == answered_alone(folder, form)
    assert len(set(said)) > 2
    assert asked.generate_until(generations(form)[::-1]) == said[::-1]


def test_an_answer_ends_at_the_task_s_stop_words_but_not_at_those_that_lmms_eval_puts_in(
    folder: str, root: Path
) -> None:
    asked = model(folder, root, "simple")
    (whole,) = asked.generate_until(generations("simple", 1))
    word = whole.split()[1]
    assert asked.generate_until(generations("simple", 1, until=[word, "\n\n"])) == [whole.split(word)[0]]


def test_likelihoods_are_those_of_the_runner_and_greedy_is_what_it_says(folder: str, root: Path) -> None:
    """lmms-eval takes the least, so the numbers are negative log-probabilities, per token."""
    asked = model(folder, root, "simple")
    (said,) = asked.generate_until(generations("simple", 1))
    options = ["red", "a large blue circle", said.split()[0]]
    requests = [Request((TEXTS[0], f" {option}", visuals, 0, "made", "test")) for option in options]
    found = asked.loglikelihood(requests)
    answerer = LocalAnswerer(load_vlm(folder, device="cpu"), share=False, say=lambda text: None)
    (answer,) = answerer.answer([Question(TEXTS[0], (opened(picture(0)),), options=tuple(options))])
    assert [score for score, _ in found] == pytest.approx(
        [-score.logprob / score.tokens for score in answer.options], abs=1e-4
    )
    assert [greedy for _, greedy in found] == [False, False, True]
    by_function = asked.loglikelihood([Request((TEXTS[0], lambda document: "red", visuals, 0, "made", "test"))])
    assert by_function[0] == (pytest.approx(found[0][0], abs=1e-5), found[0][1])  # alone, not among others: rounding


@pytest.mark.parametrize("settings", [{"do_sample": True}, {"temperature": 0.7}, {"num_beams": 3}])
def test_sampling_and_beams_are_refused(folder: str, root: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"made: expected greedy decoding, got .* Set --gen_kwargs temperature=0"):
        model(folder, root, "simple").generate_until(generations("simple", 1, **settings))


def test_other_turns_and_media_are_refused(folder: str, root: Path) -> None:
    asked = model(folder, root, "chat")
    system = {"role": "system", "content": [{"type": "text", "text": "be short"}]}
    turns = Request(("", lambda document: [system, *messages(document)], GREEDY, 0, "made", "test"))
    with pytest.raises(InputError, match="made: expected one user turn, got system, user"):
        asked.generate_until([turns])
    film = {"role": "user", "content": [{"type": "video", "url": "film.mp4"}]}
    with pytest.raises(InputError, match="made: expected texts and pictures, got video"):
        asked.generate_until([Request(("", lambda document: [film], GREEDY, 0, "made", "test"))])


def test_a_question_without_an_answer_stops_the_run(folder: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = model(folder, root, "simple")
    run = type(asked.answerer)._run

    def fails_on_a_count(self: Any, batch: list[Any]) -> Any:
        if any("many" in one.question.text for one in batch):
            raise ValueError("no counting")
        return run(self, batch)

    monkeypatch.setattr(type(asked.answerer), "_run", fails_on_a_count)
    with pytest.raises(
        MachineError, match=r"2 of 6 questions were not answered. The first, '<image 1>how many .*no counting"
    ):
        asked.generate_until(generations("simple"))
