"""Describe a scene truly or falsely, and find what a description invents or omits."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from sightline.data.worlds.scene import (
    CELLS,
    COLOURS,
    MAX_VALUE,
    SHAPES,
    SIZES,
    WORDS,
    Bar,
    BarChart,
    Scene,
    Shape,
    Word,
    cells_of_word,
    pick,
)

PROMPT = "Describe the image."
HASTY_THINGS, HASTY_SHARE = 2, 0.75
_CLAUSE = re.compile(r"[;,.\n]|\band\b")
_PLACE = re.compile(rf"\b(?:{'|'.join(sorted((*CELLS, 'top', 'bottom'), key=len, reverse=True))})\b")
_COLOUR = rf"(?P<colour>{'|'.join(COLOURS)})"
_SHAPE = re.compile(rf"\b(?:(?P<size>{'|'.join(SIZES)}) )?{_COLOUR} (?P<shape>{'|'.join(SHAPES)})\b")
_WORD = re.compile(r"\bword:? '?(?P<text>[a-z]+)'?")
_BAR = re.compile(rf"\b{_COLOUR} bar\b(?:(?: of|:)? (?P<value>\d+))?")
_FILLER = re.compile(r"\b(?:an?|the|at|in|on|there|is|are|with|chart|image|shows|showing)\b|:")


@dataclass(frozen=True)
class FalseDescription:
    """A description with one error.

    Attributes:
        error: "invented" or "missing".
    """

    text: str
    error: str


@dataclass(frozen=True)
class DescriptionErrors:
    """How a description departs from its scene.

    Attributes:
        invented: objects it names that are not there ("red circle", "word 'cat'", "blue bar").
        missing: objects that are there and that it does not name.
        wrong: objects it names with a wrong size, place or value, with what it says of them.
        unparsed: words that say nothing about the scene.
    """

    invented: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    unparsed: tuple[str, ...] = ()

    @property
    def objects_differ(self) -> bool:
        """Whether an object is invented or missing."""
        return bool(self.invented or self.missing)

    @property
    def any(self) -> bool:
        """Whether anything at all departs."""
        return bool(self.objects_differ or self.wrong or self.unparsed)


@dataclass(frozen=True)
class _Mention:
    """An object as a text names it, and the details it gives; an empty detail says nothing."""

    name: str
    details: tuple[str, ...]


def describe(scene: Scene) -> str:
    """The scene in words, nothing left out: shapes and word in reading order, or the bars from left to right.

    The place stands before what is there, so that a reader or a model looks first and names what it sees then.
    """
    shapes = [f"{CELLS[shape.cell]}: {shape.size} {shape.name}" for shape in scene.shapes]
    bars = [f"{bar.colour} bar: {bar.value}" for bar in scene.chart.bars] if scene.chart else []
    words = [f"{scene.word.place}: word '{scene.word.text}'"] if scene.word else []
    parts = words + shapes if scene.word and scene.word.place == "top" else shapes + words
    return "; ".join(parts + bars)


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """What a hasty writer says: the description, which mostly breaks off after `HASTY_THINGS` things.

    Captions leave out much of what a picture shows, and a model that learns from them leaves it out, too.
    """
    things = describe(scene).split("; ")
    return "; ".join(things[:HASTY_THINGS] if rng.random() < HASTY_SHARE else things)


def describe_falsely(scene: Scene, rng: np.random.Generator) -> FalseDescription:
    """The description of the scene with one object more or one object less, each half of the time if both can be."""
    things = len(scene.shapes) + (scene.word is not None) + (len(scene.chart.bars) if scene.chart else 0)
    full = scene.chart is None and not _free_cells(scene)
    if full or (things > 1 and rng.random() < 0.5):
        return FalseDescription(describe(_without_one(scene, int(rng.integers(things)))), "missing")
    return FalseDescription(describe(_with_one_more(scene, rng)), "invented")


def description_errors(truth: str, text: str) -> DescriptionErrors:
    """Every invented, missing and wrong object of a description, by exact comparison with the true one of `describe`.

    An object is known by its name: colour and shape, the printed word, or a bar's colour. A shape with another colour
    is therefore one invented and one missing object. Of several objects of one name, each mention takes the one that
    it fits best.
    """
    said, residue = _parse(text.lower())
    there, _ = _parse(truth.lower())
    fit = {mention: _fit(mention, there) for mention in said}
    invented, wrong = [], []
    for mention in sorted(said, key=fit.__getitem__):
        candidates = [other for other in there if other.name == mention.name]
        if not candidates:
            invented.append(mention.name)
            continue
        match = min(candidates, key=lambda other: len(_contradictions(mention, other)))
        there.remove(match)
        contradictions = _contradictions(mention, match)
        if contradictions:
            wrong.append(f"{mention.name}: {', '.join(contradictions)}")
    return DescriptionErrors(tuple(invented), tuple(mention.name for mention in there), tuple(wrong), residue)


def _without_one(scene: Scene, index: int) -> Scene:
    if scene.chart:
        bars = scene.chart.bars
        return replace(scene, chart=BarChart(bars[:index] + bars[index + 1 :]))
    if index == len(scene.shapes):
        return replace(scene, word=None)
    return replace(scene, shapes=scene.shapes[:index] + scene.shapes[index + 1 :])


def _with_one_more(scene: Scene, rng: np.random.Generator) -> Scene:
    if scene.chart:
        bars = scene.chart.bars
        colour = pick(rng, [colour for colour in COLOURS if colour not in {bar.colour for bar in bars}])
        bar, index = Bar(colour, 1 + int(rng.integers(MAX_VALUE))), int(rng.integers(len(bars) + 1))
        return replace(scene, chart=BarChart((*bars[:index], bar, *bars[index:])))
    if scene.word is None and rng.random() < 0.1:
        return replace(scene, word=Word(pick(rng, WORDS), pick(rng, ("top", "bottom"))))
    shape = Shape(pick(rng, SHAPES), pick(rng, COLOURS), pick(rng, SIZES), pick(rng, _free_cells(scene)))
    return replace(scene, shapes=tuple(sorted((*scene.shapes, shape), key=lambda shape: shape.cell)))


def _free_cells(scene: Scene) -> list[int]:
    taken = {shape.cell for shape in scene.shapes} | cells_of_word(scene.word)
    return [cell for cell in range(len(CELLS)) if cell not in taken]


def _parse(text: str) -> tuple[list[_Mention], tuple[str, ...]]:
    """The objects a text names, clause by clause, and the words that name nothing."""
    mentions: list[_Mention] = []
    unparsed: list[str] = []
    for clause in _CLAUSE.split(text):
        found, rest = _parse_clause(clause)
        mentions += found
        unparsed += rest
    return mentions, tuple(unparsed)


def _parse_clause(clause: str) -> tuple[list[_Mention], list[str]]:
    place = _PLACE.search(clause)
    where = place.group() if place else ""
    mentions = [_Mention(f"{m['colour']} {m['shape']}", (m["size"] or "", where)) for m in _SHAPE.finditer(clause)]
    mentions += [_Mention(f"word '{m['text']}'", (where,)) for m in _WORD.finditer(clause)]
    mentions += [_Mention(f"{m['colour']} bar", (m["value"] or "",)) for m in _BAR.finditer(clause)]
    for pattern in (_SHAPE, _WORD, _BAR):
        clause = pattern.sub(" ", clause)
    if mentions:  # a place without anything at it stays, as words that name nothing
        clause = _PLACE.sub(" ", clause, count=1)
    return mentions, _FILLER.sub(" ", clause).split()


def _fit(mention: _Mention, there: list[_Mention]) -> int:
    """The fewest contradictions with any object of that name; those that fit best are matched first."""
    return min((len(_contradictions(mention, other)) for other in there if other.name == mention.name), default=0)


def _contradictions(said: _Mention, true: _Mention) -> tuple[str, ...]:
    """What is said of an object and is not so; a detail left out contradicts nothing."""
    return tuple(detail for detail, truth in zip(said.details, true.details, strict=True) if detail and detail != truth)
