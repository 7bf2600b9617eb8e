"""Ask about a scene: eight kinds of questions, each with one right answer and options."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sightline.data.worlds.scene import (
    CELLS,
    COLOURS,
    MAX_VALUE,
    SHAPE_COUNT_SHARES,
    SHAPES,
    WORDS,
    Bar,
    Scene,
    Shape,
    pick,
)

KINDS = ("count", "colour", "shape", "position", "comparison", "existence", "reading", "chart value")
# Attempts per wanted question; a scene with one small shape offers few distinct ones.
ATTEMPTS = 6


@dataclass(frozen=True)
class SceneQuestion:
    """A question, its only right answer, and its kind."""

    text: str
    answer: str
    kind: str


Asker = Callable[[Scene, np.random.Generator], SceneQuestion | None]


def scene_questions(scene: Scene, rng: np.random.Generator, questions: int = 8) -> list[SceneQuestion]:
    """Up to `questions` different questions, the scene's kinds in turn; fewer where the scene offers no more."""
    askers = _askers(scene)
    asked: dict[str, SceneQuestion] = {}
    for attempt in range(ATTEMPTS * questions):
        question = askers[attempt % len(askers)](scene, rng)
        if question:
            asked.setdefault(question.text, question)
        if len(asked) == questions:
            break
    return list(asked.values())


def _askers(scene: Scene) -> tuple[Asker, ...]:
    if scene.chart:
        return (_bar_value, _bar_rank, _bar_existence, _bar_value, _bar_comparison, _bar_count, _bar_value, _bar_colour)
    shapes: tuple[Asker, ...] = (_shape_at, _count, _colour_of, _exists, _where, _compare, _shape_of, _colour_at)
    return (_read_word, _read_letter, *shapes) if scene.word else shapes


# --- shapes


def _count(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    """All shapes, those of a colour, or those of a shape; the number is drawn before what is counted."""
    subject = int(rng.integers(3))
    if subject == 0:
        return SceneQuestion("How many shapes are there?", str(len(scene.shapes)), "count")
    colours, shapes = [s.colour for s in scene.shapes], [s.shape for s in scene.shapes]
    counts = {name: colours.count(name) for name in COLOURS} if subject == 1 else {n: shapes.count(n) for n in SHAPES}
    number = pick(rng, sorted(set(counts.values())))
    name = pick(rng, [name for name, count in counts.items() if count == number])
    noun = f"{name} shapes" if subject == 1 else _plural(name)
    return SceneQuestion(f"How many {noun} are there?", str(number), "count")


def _colour_of(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    shape = _only_one(scene, rng, lambda shape: shape.shape)
    if shape is None:
        return None
    return SceneQuestion(f"What colour is the {shape.shape}?", shape.colour, "colour")


def _colour_at(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    shape = pick(rng, scene.shapes)
    return SceneQuestion(f"What colour is the shape at the {CELLS[shape.cell]}?", shape.colour, "colour")


def _shape_of(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    shape = _only_one(scene, rng, lambda shape: shape.colour)
    if shape is None:
        return None
    return SceneQuestion(f"Which shape is {shape.colour}?", shape.shape, "shape")


def _shape_at(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    shape = pick(rng, scene.shapes)
    return SceneQuestion(f"Which shape is at the {CELLS[shape.cell]}?", shape.shape, "shape")


def _where(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    if scene.word and rng.random() < 0.3:
        return SceneQuestion("Where is the word?", scene.word.place, "position")
    shape = _only_one(scene, rng, lambda shape: shape.name)
    if shape is None:
        return None
    return SceneQuestion(f"Where is {_short_name(shape, scene)}?", CELLS[shape.cell], "position")


def _exists(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    """Of a shape or of a colour; yes or no is drawn first."""
    of_shape = rng.random() < 0.5
    present = {shape.shape if of_shape else shape.colour for shape in scene.shapes}
    absent = [name for name in (SHAPES if of_shape else COLOURS) if name not in present]
    true = not absent or rng.random() < 0.5
    name = pick(rng, sorted(present) if true else absent)
    noun = name if of_shape else f"{name} shape"
    return SceneQuestion(f"Is there a {noun}?", _yes_no(true), "existence")


def _compare(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    return pick(rng, (_compare_places, _compare_sizes, _compare_counts))(scene, rng)


def _compare_places(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    pair = _two_unique(scene, rng)
    if pair is None:
        return None
    first, second = pair
    one, other = _short_name(first, scene), _short_name(second, scene)
    texts: list[tuple[str, bool]] = []
    if first.column != second.column:
        texts.append((f"Is {one} left of {other}?", first.column < second.column))
        texts.append((f"Is {one} right of {other}?", first.column > second.column))
    if first.row != second.row:
        texts.append((f"Is {one} above {other}?", first.row < second.row))
        texts.append((f"Is {one} below {other}?", first.row > second.row))
    text, true = pick(rng, texts)
    return SceneQuestion(text, _yes_no(true), "comparison")


def _compare_sizes(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    pair = _two_unique(scene, rng)
    if pair is None or pair[0].size == pair[1].size:
        return None
    first, second = pair
    larger, smaller = (first, second) if first.size == "large" else (second, first)
    word, answer = ("larger", larger) if rng.random() < 0.5 else ("smaller", smaller)
    text = f"Which is {word}, {_short_name(first, scene)} or {_short_name(second, scene)}?"
    return SceneQuestion(text, _short_name(answer, scene).removeprefix("the "), "comparison")


def _compare_counts(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    counts = Counter(shape.colour for shape in scene.shapes)
    first, second = (pick(rng, sorted(counts)), pick(rng, COLOURS))
    if counts[first] == counts[second]:
        return None
    if rng.random() < 0.5:
        first, second = second, first
    text = f"Are there more {first} shapes than {second} shapes?"
    return SceneQuestion(text, _yes_no(counts[first] > counts[second]), "comparison")


# --- words


def _read_word(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    if scene.word is None:
        return None
    return SceneQuestion("What word is printed?", scene.word.text, "reading")


def _read_letter(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    """The first letter, or whether a word is the one printed."""
    if scene.word is None:
        return None
    if rng.random() < 0.5:
        return SceneQuestion("Which letter does the word start with?", scene.word.text[0], "reading")
    other = pick(rng, [word for word in WORDS if word != scene.word.text])
    word, answer = (scene.word.text, "yes") if rng.random() < 0.5 else (other, "no")
    return SceneQuestion(f"Is the word '{word}' printed?", answer, "reading")


# --- charts


def _bars(scene: Scene) -> tuple[Bar, ...]:
    return scene.chart.bars if scene.chart else ()


def _bar_value(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    bar = pick(rng, _bars(scene))
    return SceneQuestion(f"How high is the {bar.colour} bar?", str(bar.value), "chart value")


def _bar_rank(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    """The colour of the highest or lowest bar, where one bar alone is."""
    word, extreme = pick(rng, (("highest", max), ("lowest", min)))
    bars = [bar for bar in _bars(scene) if bar.value == extreme(bar.value for bar in _bars(scene))]
    return SceneQuestion(f"Which bar is the {word}?", bars[0].colour, "comparison") if len(bars) == 1 else None


def _bar_comparison(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    first, second = (_bars(scene)[index] for index in rng.permutation(len(_bars(scene)))[:2])
    if first.value == second.value:
        return None
    text = f"Is the {first.colour} bar higher than the {second.colour} bar?"
    return SceneQuestion(text, _yes_no(first.value > second.value), "comparison")


def _bar_count(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    return SceneQuestion("How many bars are there?", str(len(_bars(scene))), "count")


def _bar_existence(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    present = [bar.colour for bar in _bars(scene)]
    absent = [colour for colour in COLOURS if colour not in present]
    colour, answer = (pick(rng, present), "yes") if rng.random() < 0.5 else (pick(rng, absent), "no")
    return SceneQuestion(f"Is there a {colour} bar?", answer, "existence")


def _bar_colour(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    word, bar = pick(rng, (("left", _bars(scene)[0]), ("right", _bars(scene)[-1])))
    return SceneQuestion(f"What colour is the bar at the {word}?", bar.colour, "colour")


# --- choices


def _only_one(scene: Scene, rng: np.random.Generator, key: Callable[[Shape], str]) -> Shape | None:
    """A shape that the key alone tells from all others, so that "the red one" means one thing."""
    counts = Counter(key(shape) for shape in scene.shapes)
    only = [shape for shape in scene.shapes if counts[key(shape)] == 1]
    return pick(rng, only) if only else None


def _two_unique(scene: Scene, rng: np.random.Generator) -> tuple[Shape, Shape] | None:
    counts = Counter(shape.name for shape in scene.shapes)
    only = [shape for shape in scene.shapes if counts[shape.name] == 1]
    if len(only) < 2:
        return None
    first, second = rng.permutation(len(only))[:2]
    return only[first], only[second]


def _short_name(shape: Shape, scene: Scene) -> str:
    """What a person calls a shape of the scene: its shape alone or its colour alone where that says which is meant."""
    if sum(other.shape == shape.shape for other in scene.shapes) == 1:
        return f"the {shape.shape}"
    if sum(other.colour == shape.colour for other in scene.shapes) == 1:
        return f"the {shape.colour} shape"
    return f"the {shape.name}"


def _plural(shape: str) -> str:
    return f"{shape}es" if shape.endswith("s") else f"{shape}s"


def _yes_no(true: bool) -> str:
    return "yes" if true else "no"


_PAIR = re.compile(r", the ([\w ]+) or the ([\w ]+)\?")


def answer_options(question: SceneQuestion, rng: np.random.Generator, options: int = 4) -> tuple[str, ...]:
    """Up to `options` different answers of one sort, the right one at a random place; two for yes or no."""
    others = [answer for answer in _answers_alike(question) if answer != question.answer]
    drawn = [others[index] for index in rng.permutation(len(others))[: options - 1]]
    drawn.insert(int(rng.integers(len(drawn) + 1)), question.answer)
    return tuple(drawn)


def _answers_alike(question: SceneQuestion) -> tuple[str, ...]:
    """All answers that a question of this sort can have."""
    pair = _PAIR.search(question.text)
    if pair:
        return pair.groups()
    if question.answer in ("yes", "no"):
        return ("yes", "no")
    if question.kind == "count":
        return tuple(str(number) for number in range(len(SHAPE_COUNT_SHARES) + 1))
    if question.kind == "chart value":
        return tuple(str(value) for value in range(1, MAX_VALUE + 1))
    if question.kind == "reading":
        return WORDS if question.answer in WORDS else tuple(sorted({word[0] for word in WORDS}))
    return {"shape": SHAPES, "position": CELLS}.get(question.kind, COLOURS)
