"""`sightline ask`: ask a model one question about one image."""

from __future__ import annotations

import sys
from json import dumps
from typing import TYPE_CHECKING

import typer

from sightline.cli.loading_options import loads_model
from sightline.errors import ConfigError
from sightline.settings.loading import AT_SERVER, OF_VILT, LoadingOptions

if TYPE_CHECKING:
    from sightline.types import Answerer, Question


@loads_model
def ask_command(
    model: str = typer.Argument(help="Model folder or Hub id, a folder with an adapter, or a name at --endpoint."),
    image: str = typer.Argument(help="Picture file."),
    question: str = typer.Argument(help="Question about the picture."),
    adapter: str | None = typer.Option(None, "--adapter", help="PEFT adapter folder to put on top of the model."),
    max_new_tokens: int = typer.Option(128, "--max_new_tokens", help="Longest answer, in tokens."),
    top: int = typer.Option(5, "--top", help="With a ViLT: how many answers to show with their probabilities."),
    endpoint: str = typer.Option("", "--endpoint", help="OpenAI-compatible server: http://127.0.0.1:8000/v1."),
    api_key_env: str = typer.Option("OPENAI_API_KEY", "--api_key_env", help="Variable with the server's key."),
    system: str = typer.Option("", "--system", help="System message before the question."),
    enable_thinking: str = typer.Option("", "--enable_thinking", help="true or false: may the model think first?"),
    extra_body: str = typer.Option("", "--extra_body", help="More request fields, JSON or YAML: {top_k: 20}."),
    timeout_s: float = typer.Option(300.0, "--timeout_s", help="Seconds to wait for the reply."),
    json: bool = typer.Option(False, "--json", help="Print model, image, question and answer as JSON."),
    loading: LoadingOptions = LoadingOptions(),
) -> None:
    """Ask a model about a picture: sightline ask MODEL photo.jpg "What is on the table?".

    A ViLT that was trained on questions chooses among its answers, and shows the best with their probabilities.
    """
    from sightline.answering.ask import about, is_bare, single_answerer
    from sightline.answering.requests import framed, read_thinking
    from sightline.data.pictures.images import open_image, opened
    from sightline.models.endpoint import Endpoint, read_extra_body, with_thinking

    thinking, fields = read_thinking(enable_thinking), read_extra_body(extra_body)
    if fields and not endpoint:
        raise ConfigError("extra_body: only a server takes it. Name one by --endpoint.")
    if endpoint and adapter:
        raise ConfigError("adapter: only a model on this machine takes one. Leave it out.")
    if endpoint:
        loading.refuse(AT_SERVER)
    picture = opened(open_image(image, "ask"))
    bare = not endpoint and is_bare(model, system, thinking)
    asked = framed(about(picture, question, max_new_tokens, bare), system)
    if endpoint:
        from sightline.models.remote import EndpointAnswerer

        body = with_thinking(fields, thinking, "--extra_body")
        answerer: Answerer = EndpointAnswerer(
            Endpoint(endpoint, model, api_key_env, timeout_s=timeout_s, extra_body=body)
        )
    elif bare:
        loading.refuse(OF_VILT, but=("device",))
        _ask_vilt(model, image, asked, top, json, loading.device)
        return
    else:
        from sightline.models.load import load_vlm

        answerer = single_answerer(load_vlm(model, adapter=adapter, options=loading), system, thinking)
    _show(answerer, image, question, asked, json)


def _show(answerer: Answerer, image: str, asked: str, question: Question, json: bool) -> None:
    """Print the answer, and on stderr whether its end is missing."""

    from sightline.answering.ask import single_answer
    from sightline.types import CUT

    answer = single_answer(answerer, question)
    if answer.finish_reason == CUT:
        print(f"The answer was cut at {question.max_new_tokens} tokens: raise --max_new_tokens.", file=sys.stderr)
    record = {"model": answerer.name, "image": image, "question": asked, "answer": answer.text}
    print(dumps(record, ensure_ascii=False) if json else answer.text)


def _ask_vilt(model: str, image: str, question: Question, top: int, json: bool, device: str | None) -> None:
    """Print the most probable answers, the best first; with a single one, the answer alone."""

    from sightline.models.devices import chosen_device
    from sightline.models.vilt.answers import load_answerer
    from sightline.runs import plain_data

    if top < 1:
        raise ConfigError(f"top: expected at least 1, got {top}.")
    (guesses,) = load_answerer(model, chosen_device(device)).guess([question], top)
    if json:
        asked = {"model": model, "image": image, "question": question.text, "answer": guesses[0].answer}
        print(dumps({**asked, "answers": plain_data(guesses)}, ensure_ascii=False))
    elif top == 1:
        print(guesses[0].answer)
    else:
        print("Each answer has a probability of its own: they need not add up to 100%.", file=sys.stderr)
        for guess in guesses:
            print(f"{100 * guess.probability:5.1f}%  {guess.answer}")
