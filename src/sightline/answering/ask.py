"""Ask a model one question about one image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.answering.requests import framed, why_empty
from sightline.data.marks import numbered, without_marks
from sightline.data.pictures.images import open_image, opened
from sightline.errors import ConfigError, MachineError
from sightline.types import Answer, Answerer, Picture, Question

if TYPE_CHECKING:
    from PIL.Image import Image

    from sightline.models.load import LoadedVlm

MAX_NEW_TOKENS = 128


def ask(
    model: LoadedVlm | str | Path,
    image: str | Path | bytes | Image | Mapping[str, Any],
    question: str,
    max_new_tokens: int = MAX_NEW_TOKENS,
    system: str = "",
    enable_thinking: bool | None = None,
) -> str:
    """The model's answer to a question about an image.

    Args:
        model: what `load_vlm` returned, or a folder or Hub id. A name is loaded anew at each call, so load a model that
            you ask several times. A folder may also hold a ViLT that was trained on questions.
        image: a file, the bytes of a file, a PIL image, or the image of a dataset's row.
        question: plain text; `<image>` in it says where the image stands, before the text by default.
        max_new_tokens: the longest answer, in tokens.
        system: a system message before the question.
        enable_thinking: whether the model may think first, for chat templates that know this setting.

    Raises:
        InputError: the model, the image or a setting cannot be used.
        MachineError: the model gave no answer.

    Example:
        from sightline import ask, load_vlm

        vlm = load_vlm("demo/model")
        print(ask(vlm, "picture.png", "How many circles are there?"))
    """
    picture = opened(open_image(image, "ask"))
    bare = isinstance(model, str | Path) and is_bare(str(model), system, enable_thinking)
    asked = framed(about(picture, question, max_new_tokens, bare), system)
    answerer = _vilt(str(model)) if bare else single_answerer(_loaded(model), system, enable_thinking)
    return single_answer(answerer, asked).text


def about(picture: Picture, question: str, max_new_tokens: int, bare: bool) -> Question:
    """The question with its picture: where the mark stands, or beside the text for a model that reads it `bare`.

    Raises:
        InputError: there are several marks, or `max_new_tokens` leaves no room for an answer.
    """
    if max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens: expected at least 1, got {max_new_tokens}.")
    (marked,) = (without_marks(question),) if bare else numbered((question,), 1, "question")
    return Question(marked, (picture,), max_new_tokens)


def single_answerer(loaded: LoadedVlm, system: str, enable_thinking: bool | None) -> Answerer:
    """A loaded model that shares nothing, since a single question has nothing to share."""
    from sightline.answering.encoder_decoder import answerer_of
    from sightline.data.encoding.prompts import template_arguments

    arguments = template_arguments(loaded.processor, loaded.name, system, enable_thinking)
    return answerer_of(loaded, share=False, arguments=arguments)


def single_answer(answerer: Answerer, question: Question) -> Answer:
    """The answer to a question that is asked alone. Raises MachineError where there is none."""
    (answer,) = answerer.answer([question])
    missing = why_empty(answer, question.max_new_tokens)
    if missing:
        raise MachineError(f"{answerer.name} could not answer: {missing}")
    return answer


def is_bare(model: str, system: str, enable_thinking: bool | None) -> bool:
    """Whether the model is a ViLT, which reads the question alone.

    Raises:
        ConfigError: it is, and something else than a question was given.
    """
    from sightline.models.vilt.heads import is_vilt

    found = is_vilt(model)
    if found and (system or enable_thinking is not None):
        raise ConfigError(
            f"system, enable_thinking: {model} is a ViLT, which reads the question alone. Leave them out."
        )
    return found


def _loaded(model: LoadedVlm | str | Path) -> LoadedVlm:
    from sightline.models.load import load_vlm

    return load_vlm(model) if isinstance(model, str | Path) else model


def _vilt(model: str) -> Answerer:
    from sightline.models.vilt.answers import load_speaker

    return load_speaker(model)
