"""Turn items into questions, each with the key of its answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sightline.answering.answerers import BY_ID, QUESTION_ALONE
from sightline.answering.requests import Request, framed, request_of
from sightline.errors import InputError
from sightline.evaluation.task import Prompt, Task, as_asked
from sightline.scoring.records import Item
from sightline.types import SYSTEM, Answer, Question

METHODS = ("generate", "likelihood")
LIKELIHOOD_OF = ("letter", "text")
LIKELIHOOD_NORMS = ("sum", "token", "byte")
YES_NO = ("Yes", "No")


@dataclass(frozen=True)
class Asking:
    """How to ask, named like the flags of `sightline eval`.

    Attributes:
        prompt: whose prompt to use (`lmms-eval`, ...); each task's default where empty.
        max_new_tokens: the longest answer in tokens; each task's default where None.
        method: `generate` a text, or choose the option of highest `likelihood`.
        likelihood_of: score an option's `letter`, or its `text`.
        likelihood_norm: compare the `sum` of log-probabilities, the mean per `token`, or the mean per `byte` of UTF-8.
        system: a system message before every question; none where empty.
        enable_thinking: whether the model may think first; the chat template's default where None.
    """

    prompt: str = ""
    max_new_tokens: int | None = None
    method: str = "generate"
    likelihood_of: str = "letter"
    likelihood_norm: str = "sum"
    system: str = ""
    enable_thinking: bool | None = None


_OF_ANY_TASK: dict[str, Prompt] = {QUESTION_ALONE: as_asked, BY_ID: lambda item: item.id}


def requests_of(task: Task, items: Iterable[Item], asking: Asking, model: str, blind: bool = False) -> list[Request]:
    """One request per item, in order; `model` is the fingerprint of whoever answers, `blind` leaves out pictures."""
    alone = asking.prompt == QUESTION_ALONE
    render = _OF_ANY_TASK.get(asking.prompt) or task.prompts[asking.prompt or task.default_prompt]
    requests = []
    for item in items:
        _require_place(item, asking, alone)
        question = Question(
            text=render(item),
            pictures=() if blind else item.pictures,
            max_new_tokens=asking.max_new_tokens or task.max_new_tokens,
            options=scored_options(item, asking.likelihood_of) if asking.method == "likelihood" else (),
            turns=item.turns,
        )
        requests.append(request_of(framed(question, asking.system), model))
    return requests


def _require_place(item: Item, asking: Asking, alone: bool) -> None:
    """Raises InputError where what was said before a question cannot be shown as it was said."""
    if item.turns and alone:
        raise InputError(
            f"{item.name}: this model reads a question alone, and there are turns before it. Leave out such rows."
        )
    if asking.system.strip() and any(turn.role == SYSTEM for turn in item.turns):
        raise InputError(
            f"--system: {item.name} has a system message of its own. Leave --system out, or take that out."
        )


def scored_options(item: Item, likelihood_of: str) -> tuple[str, ...]:
    """What is scored of an item: letters or texts of its options, or Yes and No where the answer is one of them.

    Raises:
        InputError: the item has neither.
    """
    if item.options:
        letters = tuple(chr(65 + index) for index in range(len(item.options)))
        return letters if likelihood_of == "letter" else item.options
    if item.answers and item.answers[0].lower() in ("yes", "no"):
        return YES_NO
    raise InputError(
        f"{item.name}: expected options, or an answer yes or no, to choose from by likelihood; the item has answers "
        f"{', '.join(item.answers[:3])}. Use --method generate."
    )


def best_option(answer: Answer, options: tuple[str, ...], norm: str) -> int:
    """The index of the likeliest option, the first of several."""

    def score(index: int) -> float:
        option = answer.options[index]
        size = {"sum": 1, "token": option.tokens, "byte": len(options[index].encode())}[norm]
        return option.logprob / max(1, size)

    return max(range(len(options)), key=score)
