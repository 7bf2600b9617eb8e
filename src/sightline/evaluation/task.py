"""The record of a benchmark: sources, prompts, scorers by profile, metrics. No code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sightline.data.sources.stored import Row
from sightline.scoring.records import Item, Judged, Scorer
from sightline.types import Picture as Picture

if TYPE_CHECKING:
    import numpy as np


Prompt = Callable[[Item], str]


@dataclass(frozen=True)
class Metric:
    """One number of a task.

    Attributes:
        name: "accuracy", "f1", "anls", "cider".
        value: the number from all judged items (or those of one category).
        mean: whether it is the mean of the items' scores; other metrics get their interval by cluster bootstrap.
        over: with `mean`, the items that it is the mean of; all by default.
        sums: what each item adds to the sums that the metric is a function of, (items, K); None where there are none.
        combine: the metric from sums, (..., K) to (...), so that resampling takes one matrix product.
        per_category: what the table of categories shows in its place, where it says nothing of a single category.
        scale: what full marks are: 1 for shares (shown in percent), 1000 for OCRBench, 2000 for MME's perception.
    """

    name: str
    value: Callable[[Sequence[Judged]], float]
    mean: bool = False
    scale: float = 1.0
    sums: Callable[[Sequence[Judged]], np.ndarray] | None = None
    combine: Callable[[np.ndarray], np.ndarray] | None = None
    over: Callable[[Item], bool] | None = None
    per_category: Metric | None = None


@dataclass(frozen=True)
class Source:
    """Where a task's rows lie; the first that can be reached is used.

    Attributes:
        kind: "hub" (a dataset id), "tsv" (VLMEvalKit's), "file" (the publisher's own, or JSONL or Parquet).
        place: Hub id, or file name.
        config: configuration of a Hub dataset; "*" for all of them.
        revision: the pinned commit of a Hub dataset; empty where none was recorded.
        md5: of a TSV file, where its publisher names one.
        address: where a file can be downloaded.
        columns: names given to the rows' own, `question=q,answer=a`.
        image_folder: where paths of pictures count from, where that is not the file's folder.
    """

    kind: str
    place: str
    config: str = ""
    split: str = ""
    revision: str = ""
    md5: str = ""
    address: str = ""
    columns: str = ""
    image_folder: str = ""


@dataclass(frozen=True)
class Task:
    """A benchmark. `sightline eval --tasks NAME` runs it.

    Attributes:
        read: items of a source's rows, in order; `kind` of the source comes first because schemas differ by kind.
        prompts: prompt text by origin ("lmms-eval", "vlmevalkit", "official", "model-card:NAME", "sightline").
        scorers: scorers by profile ("strict", "official", "lmms-eval", "vlmevalkit").
        metrics: metrics by profile; the first of a profile is the headline.
        max_new_tokens: how long an answer may get.
        categories: the only categories that an item may have, where the metrics know no others.
        golds: the only gold answers that an item may have, where the scorers know no others.
        rows: how many items the publisher's data have; 0 where that is not known.
        licence: of the data, with what is not known said so.
        paper: citation or address.
        note: what someone must know who compares a score with another.
        example: a made item, to show what the prompts look like.
    """

    name: str
    title: str
    sources: tuple[Source, ...]
    read: Callable[[str, Iterable[Row]], Iterator[Item]]
    prompts: Mapping[str, Prompt]
    scorers: Mapping[str, Scorer]
    metrics: Mapping[str, tuple[Metric, ...]]
    max_new_tokens: int
    default_prompt: str
    default_profile: str = "strict"
    licence: str = ""
    paper: str = ""
    golds: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    rows: int = 0
    note: str = ""
    example: Item = Item("example", "example", "What is shown?")


@dataclass(frozen=True)
class JudgeNote:
    """What a judge was asked about an item and what it said, as it said it."""

    model: str
    prompt: str
    said: str


def as_asked(item: Item) -> str:
    """The question alone."""
    return item.question
