"""`sightline ask`: one picture, one question, one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from sightline.types import Question


def ask_command(
    model: str = typer.Argument(help="Model folder or Hub id, or a folder with an adapter."),
    image: str = typer.Argument(help="Picture file."),
    question: str = typer.Argument(help="What to ask about it."),
    adapter: str | None = typer.Option(None, "--adapter", help="PEFT adapter folder to put on top of the model."),
    max_new_tokens: int = typer.Option(128, "--max_new_tokens", help="Longest answer, in tokens."),
    top: int = typer.Option(5, "--top", help="With a ViLT: how many answers to show with their probabilities."),
    json: bool = typer.Option(False, "--json", help="Print model, image, question and answer as JSON."),
) -> None:
    """Ask a model about a picture: sightline ask MODEL photo.jpg "What is on the table?".

    A ViLT that was trained on questions chooses among its answers, and shows the best with their probabilities.
    """
    from json import dumps

    from sightline.data.images import open_image, opened
    from sightline.data.marks import numbered, without_marks
    from sightline.errors import ConfigError, MachineError
    from sightline.evaluation.local import LocalAnswerer
    from sightline.models.load import load_vlm
    from sightline.models.vilt.heads import is_vilt
    from sightline.types import Question

    if max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens: expected at least 1, got {max_new_tokens}.")
    picture = opened(open_image(image, "ask"))
    if is_vilt(model):
        _ask_vilt(model, image, Question(without_marks(question), (picture,)), top, json)
        return
    (marked,) = numbered((question,), 1, "question")
    answerer = LocalAnswerer(load_vlm(model, adapter=adapter), share=False)
    (answer,) = answerer.answer([Question(marked, (picture,), max_new_tokens)])
    if answer.error:
        raise MachineError(f"{answerer.name} could not answer: {answer.error}")
    asked = {"model": answerer.name, "image": image, "question": question, "answer": answer.text}
    print(dumps(asked, ensure_ascii=False) if json else answer.text)


def _ask_vilt(model: str, image: str, question: Question, top: int, json: bool) -> None:
    """Print the most probable answers, the best first; with a single one, the answer alone."""
    from json import dumps

    from sightline.errors import ConfigError
    from sightline.models.vilt.answers import load_answerer
    from sightline.runs import plain_data

    if top < 1:
        raise ConfigError(f"top: expected at least 1, got {top}.")
    (guesses,) = load_answerer(model).guess([question], top)
    if json:
        asked = {"model": model, "image": image, "question": question.text, "answer": guesses[0].answer}
        print(dumps({**asked, "answers": plain_data(guesses)}, ensure_ascii=False))
    elif top == 1:
        print(guesses[0].answer)
    else:
        for guess in guesses:
            print(f"{100 * guess.probability:5.1f}%  {guess.answer}")
