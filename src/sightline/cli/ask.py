"""`sightline ask`: one picture, one question, one answer."""

from __future__ import annotations

import typer


def ask_command(
    model: str = typer.Argument(help="Model folder or Hub id, or a folder with an adapter."),
    image: str = typer.Argument(help="Picture file."),
    question: str = typer.Argument(help="What to ask about it."),
    adapter: str | None = typer.Option(None, "--adapter", help="PEFT adapter folder to put on top of the model."),
    max_new_tokens: int = typer.Option(128, "--max_new_tokens", help="Longest answer, in tokens."),
    json: bool = typer.Option(False, "--json", help="Print model, image, question and answer as JSON."),
) -> None:
    """Ask a model about a picture: sightline ask MODEL photo.jpg "What is on the table?"."""
    from json import dumps

    from sightline.data.images import open_image, opened
    from sightline.errors import ConfigError, MachineError
    from sightline.evaluation.local import LocalAnswerer
    from sightline.models.load import load_vlm
    from sightline.types import Question

    if max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens: expected at least 1, got {max_new_tokens}.")
    picture = opened(open_image(image, "ask"))
    answerer = LocalAnswerer(load_vlm(model, adapter=adapter), share=False)
    (answer,) = answerer.answer([Question(question, (picture,), max_new_tokens)])
    if answer.error:
        raise MachineError(f"{answerer.name} could not answer: {answer.error}")
    asked = {"model": answerer.name, "image": image, "question": question, "answer": answer.text}
    print(dumps(asked, ensure_ascii=False) if json else answer.text)
