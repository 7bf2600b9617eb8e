"""Records and protocols that every layer may use; no torch here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence as Many
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Sequence:
    """One templated example, as the model would read it alone; L tokens.

    Attributes:
        ids_L: token ids.
        feature_L: for an image placeholder the row of its feature in the batch's feature table (the features of all
            distinct images, one image after another), else -1.
        scored_L: whether the token is trained or scored. The first token has nothing to be predicted from.
        images: indices of the distinct images of the batch that the sequence shows, in order.
        name: where the example came from, for messages ("train.jsonl row 12").
    """

    ids_L: np.ndarray
    feature_L: np.ndarray
    scored_L: np.ndarray
    images: tuple[int, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class FamilyFacts:
    """What the engine must know of a model family; data, no code.

    Attributes:
        name: transformers' model type.
        image_inputs: processor outputs that `get_image_features` takes.
        features_listed: the model joins a list of features itself, and takes no tensor.
        deepstack: features also enter deeper layers, as `deepstack_features`.
        first_position: the position id of a sequence's first token.
        grid_input: with M-RoPE the image input from which `get_rope_index` makes positions; empty where a position is
            a depth.
        type_input: the processor's per-token input that is 1 at placeholders and 0 elsewhere; empty without one.
        image_blocks: tokens of one image look at each other in both directions.
        routes: routes that can be right for the family, fastest first.
    """

    name: str
    image_inputs: tuple[str, ...]
    features_listed: bool = True
    deepstack: bool = False
    first_position: int = 0
    grid_input: str = ""
    type_input: str = ""
    image_blocks: bool = False
    routes: tuple[str, ...] = ("mask", "plain")


class Picture(Protocol):
    """A picture that is opened when it is needed."""

    @property
    def key(self) -> str:
        """Content key: equal pictures have equal keys; the cluster of intervals."""
        ...

    def open(self) -> Image:
        """The picture, upright, in RGB."""
        ...


@dataclass(frozen=True)
class VqaRow:
    """One question about one image (or none), with its gold answers.

    Attributes:
        name: where the row came from ("test.jsonl row 3"), for messages.
        image: the picture; None asks the question blind.
        image_key: content key of the picture, the cluster of intervals.
        kind: question kind for the per-kind table; empty when the data has none.
    """

    name: str
    question: str
    answers: tuple[str, ...]
    image: Image | None = None
    image_key: str = ""
    kind: str = ""
    options: tuple[str, ...] = ()
    id: str = ""


@dataclass(frozen=True)
class Question:
    """What an Answerer is asked: a text with pictures in place.

    Attributes:
        text: "<image 1>" marks where the first picture stands; pictures without a mark come before the text.
        options: where there are some, the answer is the log-probability of each instead of a text.
    """

    text: str
    pictures: tuple[Picture, ...] = ()
    max_new_tokens: int = 32
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class OptionScore:
    """How likely a model finds one option: the log-probability of its tokens, and how many these are."""

    logprob: float
    tokens: int


@dataclass(frozen=True)
class Answer:
    """What an Answerer says; `error` is set, and the rest empty, when it could not answer.

    Attributes:
        options: one score per option of the question.
    """

    text: str = ""
    error: str = ""
    options: tuple[OptionScore, ...] = ()


class Answerer(Protocol):
    """The one seam between models and whatever asks them: local model, endpoint, stored answers."""

    name: str

    def answer(self, questions: Many[Question]) -> Iterable[Answer]:
        """One answer per question, in order, yielded as soon as it is known."""
        ...


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95% confidence interval, all in the unit of `value`.

    Attributes:
        n: items that entered.
        clusters: independent clusters (images) that entered; equals `n` when each item is its own.
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int = 0


@dataclass(frozen=True)
class ItemResult:
    """One evaluated item: question, answer, verdict."""

    id: str
    name: str
    question: str
    answers: tuple[str, ...]
    prediction: str
    score: float
    image_key: str = ""
    kind: str = ""
    error: str = ""


@dataclass(frozen=True)
class Table:
    """A titled table for terminals and reports: header, rows of text, a caption.

    Attributes:
        has_total: the last row sums up those above it.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = field(default_factory=tuple)
    caption: str = ""
    has_total: bool = True
