"""Records and protocols that every layer may use; no torch here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class TokenSequence:
    """One templated example, as the model would read it alone; L tokens.

    Attributes:
        ids_L: token ids.
        feature_L: for an image placeholder the row of its feature in the batch's feature table (the features of all
            distinct images, one image after another), else -1.
        scored_L: whether the token is trained or scored. The first token has nothing to be predicted from.
        images: indices of the distinct images of the batch that the sequence shows, in order.
        name: where the example came from, for messages ("train.jsonl row 12").
        image_L: whether the processor counts the token as part of an image; None where that is so of exactly the
            placeholders.
    """

    ids_L: np.ndarray
    feature_L: np.ndarray
    scored_L: np.ndarray
    images: tuple[int, ...] = ()
    name: str = ""
    image_L: np.ndarray | None = None

    def both_ways_L(self, both_ways: str) -> np.ndarray:
        """Whether the token looks at others in both directions, (L,), where `FamilyFacts.both_ways` is `both_ways`."""
        if both_ways == PROMPT:
            return ~np.logical_or.accumulate(self.scored_L)
        if both_ways == FRONT:
            shown = np.flatnonzero(self.feature_L >= 0)
            return np.arange(len(self.ids_L)) <= (shown[-1] if shown.size else -1)
        return self.feature_L >= 0 if self.image_L is None else self.image_L


# Values of FamilyFacts.features_enter and FamilyFacts.both_ways.
THROUGH_MODEL, REPLACED, ADDED = "model", "replaced", "added"
IMAGE, IMAGES, FRONT, PROMPT = "image", "images", "front", "prompt"
LLAMA_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class FamilyFacts:
    """What the engine must know of a model family; data, no code.

    Attributes:
        name: transformers' model type.
        image_inputs: processor outputs that `get_image_features` takes, pixels first.
        placeholder: the token that stands for one feature.
        features_enter: `model`, the model puts them behind placeholders; `replaced`, they are the decoder's embeddings
            of placeholders; `added`, they are added to those.
        features_listed: the model joins a list of features itself, and takes no tensor.
        deepstack: features also enter deeper layers, as `deepstack_features`.
        first_position: the position id of a sequence's first token.
        grid_input: with M-RoPE the image input from which `get_rope_index` makes positions; empty where a position is
            a depth.
        type_input: the processor's per-token input that is 1 for tokens of images (with `both_ways` of `prompt`, for
            those behind the prompt) and 0 elsewhere; empty without one.
        typed: the decoder itself reads `type_input`, beside any mask: tokens of images have weights of their own, and
            positions that `get_rope_index` tells.
        both_ways: tokens that look at each other in both directions: those of one `image`, those of all `images` of
            a sequence, its `front`, all up to its last image, or the `prompt`, all in front of the first scored token;
            empty for none.
        row_input: the input with the number of images of each row, where an image that shares its row is processed
            in another way; empty where it makes no difference.
        crop_input: the image input with each image's number of entries in the first one; empty where entries are one
            an image, or in proportion to placeholders.
        shape_input: the image input with height and width of each tile, where tiles differ in size; empty otherwise.
        index_input: the image input whose entries point into the patches of all images; empty without one.
        decoder: path of the text decoder in the model.
        linear_layers: names of the decoder's linear layers, for adapters.
        length_setting: the text config's number of tokens beyond which evaluation reads every token of a row by the
            row's length, so that longer rows share nothing; empty without one.
        routes: routes that can be right for the family, fastest first.
        end_word: a word that ends an answer and is no part of it, where that is no special token.
        note: what the route leaves out, and why, for the documentation.
    """

    name: str
    image_inputs: tuple[str, ...]
    placeholder: str = "<image>"
    features_enter: str = THROUGH_MODEL
    features_listed: bool = True
    deepstack: bool = False
    first_position: int = 0
    grid_input: str = ""
    type_input: str = ""
    typed: bool = False
    both_ways: str = ""
    row_input: str = ""
    crop_input: str = ""
    shape_input: str = ""
    index_input: str = ""
    decoder: str = "model.language_model"
    linear_layers: tuple[str, ...] = LLAMA_LAYERS
    length_setting: str = ""
    routes: tuple[str, ...] = ("mask", "plain")
    end_word: str = ""
    note: str = ""

    @property
    def known_inputs(self) -> frozenset[str]:
        """Names of the processor's outputs about images that the facts speak of."""
        others = (self.row_input, self.crop_input, self.shape_input, self.index_input, self.grid_input)
        return frozenset((*self.image_inputs, *others))


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
class Sampling:
    """How to draw an answer where the likeliest one is not wanted: tokens at a temperature above 0, from a seed."""

    temperature: float
    seed: int


SYSTEM = "system"


@dataclass(frozen=True)
class Turn:
    """What was said before a question: by SYSTEM, "user" or "assistant"; pictures are marked as in a question."""

    role: str
    text: str


@dataclass(frozen=True)
class Question:
    """What an Answerer is asked: a text with pictures in place.

    Attributes:
        text: "<image 1>" marks where the first picture stands; pictures without a mark come before the first text of
            the user.
        turns: what was said before, in order, a system message first; pictures are numbered over all texts.
        options: where there are some, the answer is the log-probability of each instead of a text.
        sampling: None for the likeliest answer; several samples are so many questions, each with its seed.
    """

    text: str
    pictures: tuple[Picture, ...] = ()
    max_new_tokens: int = 32
    options: tuple[str, ...] = ()
    sampling: Sampling | None = None
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class OptionScore:
    """How likely a model finds one option: the log-probability of its tokens, and how many these are."""

    logprob: float
    tokens: int


ENDED, CUT = "stop", "length"  # values of Answer.finish_reason


@dataclass(frozen=True)
class Answer:
    """What an Answerer says; `error` is set, and the rest empty, when it could not answer.

    Attributes:
        options: one score per option of the question.
        finish_reason: why the text ended, as OpenAI's API has it: "stop", "length" at its longest, "content_filter";
            empty where it is not known.
        changes: what an endpoint was asked otherwise than it was meant, as it refuses fields of a request.
    """

    text: str = ""
    error: str = ""
    options: tuple[OptionScore, ...] = ()
    finish_reason: str = field(default="", compare=False)  # the same words are the same answer
    changes: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Placed:
    """An answer and the place of its question among those asked."""

    place: int
    answer: Answer


class Answerer(Protocol):
    """The one seam between models and whatever asks them: local model, endpoint, stored answers."""

    name: str

    def answer(self, questions: Sequence[Question]) -> Iterable[Answer]:
        """One answer per question, in order, yielded as soon as it is known."""
        ...


@runtime_checkable
class ConcurrentAnswerer(Answerer, Protocol):
    """An answerer that works at several questions at once, and may know a later one's answer first.

    Attributes:
        patience: questions in a row that may fail before it is not asked any more; infinite where it may even answer
            none of them.
    """

    patience: float

    def answer_as_ready(self, questions: Sequence[Question]) -> Iterable[Placed]:
        """One answer per question, in any order, yielded as soon as it is known."""
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
class Table:
    """A titled table for terminals and reports: header, rows of text, a caption.

    Attributes:
        is_summed: the last row sums up those above it.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = field(default_factory=tuple)
    caption: str = ""
    is_summed: bool = True
