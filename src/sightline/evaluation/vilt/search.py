"""Use a ViLT that ranks: pictures by a text, captions by a picture, and drawings of where words are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sightline.data.pictures.images import open_image
from sightline.data.sources.bad_rows import BadRows
from sightline.errors import InputError
from sightline.models.vilt.alignment import Alignment
from sightline.models.vilt.matching import PairScorer
from sightline.pages.report import Card, Gallery, Report, Section, Verdict, render_report

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class Found:
    """A picture or a caption with its score; scores of one query compare, those of two do not."""

    name: str
    score: float


@dataclass(frozen=True)
class SearchResult:
    """Pictures, the best first, and those that could not be read, with the reason."""

    text: str
    found: tuple[Found, ...]
    unreadable: tuple[str, ...]


def search(
    scorer: PairScorer, folder: Path, text: str, candidates: int | None = None, skip_bad_rows: bool = False
) -> SearchResult:
    """The pictures of a folder and its subfolders, ranked by how well they fit the text.

    Args:
        candidates: score in full only so many, those that the shortlist names; all by default.
        skip_bad_rows: leave out pictures that cannot be read.

    Raises:
        InputError: there is no such folder, no picture in it, some cannot be read, or there is no text.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Name one with pictures.")
    if not text.strip():
        raise InputError("Expected a text to search for, got an empty one.")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise InputError(f"{folder}: expected pictures ({', '.join(SUFFIXES)}), found none.")
    bad = BadRows(skip_bad_rows)
    readable = []
    for path in paths:
        with bad.of_row(path):
            scorer.reader.read(str(path), str(path))
            readable.append(str(path))
    bad.settle(len(readable))
    pictures, texts = scorer.embed_pictures(readable, readable), scorer.embed_texts([text])
    wanted = np.ones((len(readable), 1), dtype=bool)
    if candidates is not None:
        wanted = scorer.shortlist(pictures, texts, candidates)
    scores = scorer.score(pictures, texts, wanted)[:, 0]
    order = [index for index in np.argsort(-scores, kind="stable") if np.isfinite(scores[index])]
    return SearchResult(text, tuple(Found(readable[i], float(scores[i])) for i in order), tuple(bad.problems))


def contact_sheet(result: SearchResult, model: str, count: int) -> str:
    """An HTML page that needs no other file: the best `count` pictures with rank and score."""
    cards = tuple(
        Card(open_image(found.name, found.name), Path(found.name).name, "", (Verdict("score", f"{found.score:.3f}"),))
        for found in result.found[:count]
    )
    caption = f"{len(result.unreadable)} files could not be read." if result.unreadable else ""
    return render_report(
        Report(
            title=result.text,
            subtitle=f"The best {len(cards)} of {len(result.found)} pictures, ranked by {model}.",
            sections=(Section("Pictures", (Gallery("Best first", cards, caption),)),),
            facts=(("model", model), ("text", result.text)),
        )
    )


def rank_captions(scorer: PairScorer, image: Image.Image, captions: Sequence[str]) -> list[Found]:
    """Candidate captions of a picture, the best first. Raises InputError where there are none."""
    if not captions:
        raise InputError("Expected at least one caption to choose from, got none.")
    scores = scorer.score_all(scorer.embed_pictures([image], ["picture"]), scorer.embed_texts(captions))[0]
    return [Found(captions[index], float(scores[index])) for index in np.argsort(-scores, kind="stable")]


COLUMNS = 4
INCHES = 2.4


def draw_alignment(alignment: Alignment, path: Path) -> None:
    """Writes a PNG; each word's brightest patch is fully bright, whatever its weight."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [("", None), *zip(alignment.words, alignment.maps, strict=True)]
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    height, width = alignment.picture.shape[:2]
    figure = Figure(figsize=(columns * INCHES, rows * (INCHES * height / width + 0.35)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (word, weights) in zip(axes, panels, strict=False):
        axis.imshow(alignment.picture)
        if weights is not None:
            shares = weights / weights.max()
            axis.imshow(_enlarged(shares, height, width), cmap="inferno", alpha=0.65, vmin=0, vmax=1)
        axis.set_title(word or f"cost {alignment.cost:.2f}", fontsize=10)
    for axis in axes:
        axis.set_axis_off()
    figure.savefig(path, format="png", dpi=120)


def _enlarged(map_hw: np.ndarray, height: int, width: int) -> np.ndarray:
    """The map with each patch as large as in the picture."""
    rows = np.arange(height) * map_hw.shape[0] // height
    columns = np.arange(width) * map_hw.shape[1] // width
    return map_hw[np.ix_(rows, columns)]
