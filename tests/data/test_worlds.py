"""The world's ground truth: questions, descriptions and splits agree with the scene they speak of."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sightline.data.worlds.descriptions import caption, describe, describe_falsely, description_errors
from sightline.data.worlds.questions import KINDS, answer_options, scene_questions
from sightline.data.worlds.rows import write_world
from sightline.data.worlds.scene import (
    CELLS,
    RGB,
    SHAPES,
    Bar,
    BarChart,
    Scene,
    Shape,
    Word,
    content_key,
    draw_scene,
    split_of,
    world_scenes,
)
from sightline.errors import ConfigError

PAIR = Scene(
    shapes=(Shape("circle", "red", "large", 0), Shape("square", "blue", "small", 1)), word=Word("cat", "bottom")
)
CHART = Scene(chart=BarChart((Bar("red", 3), Bar("yellow", 6))))


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return world_scenes(0, 1500, "train")


def test_no_seed_puts_one_content_into_both_splits():
    train = {content_key(scene) for seed in range(3) for scene in world_scenes(seed, 400, "train")}
    heldout = {content_key(scene) for seed in range(3) for scene in world_scenes(seed, 400, "heldout")}
    assert not train & heldout


def test_content_ignores_jitter_and_background():
    moved = replace(PAIR, shapes=tuple(replace(s, shift=(0.1, 0.1), angle_degrees=5.0) for s in PAIR.shapes))
    moved = replace(moved, background=(230, 240, 250))
    assert content_key(moved) == content_key(PAIR)
    assert split_of(moved) == split_of(PAIR)


def test_a_scene_is_the_same_whatever_the_number_asked_for():
    assert world_scenes(7, 5, "heldout") == world_scenes(7, 20, "heldout")[:5]


def test_an_unknown_split_names_the_known_ones():
    with pytest.raises(ConfigError, match="train, heldout, got 'test'"):
        world_scenes(0, 1, "test")  # type: ignore[arg-type]


def test_hand_worked_description():
    assert describe(PAIR) == "top left: large red circle; top right: small blue square; bottom: word 'cat'"
    assert describe(replace(PAIR, word=Word("cat", "top"))).startswith("top: word 'cat'; top left: large")
    assert describe(CHART) == "red bar: 3; yellow bar: 6"


def test_captions_mostly_break_off_after_two_things():
    rng = np.random.default_rng(0)
    captions = Counter(caption(PAIR, rng) for _ in range(400))
    brief = "top left: large red circle; top right: small blue square"
    assert set(captions) == {brief, describe(PAIR)}
    assert abs(captions[brief] / 400 - 0.75) < 0.07
    assert caption(CHART, rng) == describe(CHART)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There is a red circle and a blue square. The word 'cat'.", ((), (), (), ())),
        ("A large red circle at the top left, the word 'cat' at the bottom", ((), ("blue square",), (), ())),
        (f"{describe(PAIR)}; bottom left: small red circle", (("red circle",), (), (), ())),
        (describe(PAIR).replace("blue square", "blue triangle"), (("blue triangle",), ("blue square",), (), ())),
        (describe(PAIR).replace("small", "large"), ((), (), ("blue square: large",), ())),
        (describe(PAIR).replace("top left", "bottom left"), ((), (), ("red circle: bottom left",), ())),
        (describe(PAIR).replace("cat", "sun"), (("word 'sun'",), ("word 'cat'",), (), ())),
        (describe(PAIR).replace("; bottom: word 'cat'", "; bottom:"), ((), ("word 'cat'",), (), ("bottom",))),
        ("", ((), ("red circle", "blue square", "word 'cat'"), (), ())),
        (f"{describe(PAIR)}; a blurry thing", ((), (), (), ("blurry", "thing"))),
    ],
)
def test_hand_worked_description_errors(text, expected):
    found = description_errors(describe(PAIR), text)
    assert (found.invented, found.missing, found.wrong, found.unparsed) == expected


def test_bars_are_checked_by_colour_and_value():
    found = description_errors(describe(CHART), "red bar: 4; a blue bar of 7")
    assert (found.invented, found.missing, found.wrong) == (("blue bar",), ("yellow bar",), ("red bar: 4",))


def test_of_two_alike_the_mention_takes_the_one_it_fits():
    alike = Scene(shapes=(Shape("circle", "red", "large", 0), Shape("circle", "red", "small", 3)))
    text = "a red circle at the top right, a small red circle at the bottom right"
    assert description_errors(describe(alike), text).wrong == ("red circle: top right",)


def test_true_descriptions_have_no_error_and_false_ones_exactly_theirs(scenes):
    rng = np.random.default_rng(0)
    for scene in scenes:
        assert not description_errors(describe(scene), describe(scene)).any
        false = describe_falsely(scene, rng)
        found = description_errors(describe(scene), false.text)
        assert len(found.invented + found.missing) == 1, false.text
        assert found.invented if false.error == "invented" else found.missing, false.text
        assert not found.wrong and not found.unparsed, false.text


def test_a_description_is_read_back_to_every_object_of_its_scene(scenes):
    for scene in scenes:
        names = [shape.name for shape in scene.shapes]
        names += [f"word '{scene.word.text}'"] if scene.word else []
        names += [f"{bar.colour} bar" for bar in scene.chart.bars] if scene.chart else []
        assert Counter(description_errors(describe(scene), "").missing) == Counter(names)


def test_answers_agree_with_the_scene_by_an_independent_reading(scenes):
    rng = np.random.default_rng(1)
    checked: Counter[str] = Counter()
    for scene in scenes:
        for question in scene_questions(scene, rng):
            expected = _answer_from_text(scene, question.text)
            if expected is not None:
                checked[question.kind] += 1
                assert question.answer == expected, (describe(scene), question)
    assert set(checked) == set(KINDS)


def test_all_kinds_are_asked_and_a_blind_guesser_stays_poor(scenes):
    rng = np.random.default_rng(2)
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    kinds: Counter[str] = Counter()
    for scene in scenes:
        asked = scene_questions(scene, rng)
        assert len({question.text for question in asked}) == len(asked)
        for question in asked:
            answers[question.text][question.answer] += 1
            kinds[question.kind] += 1
    total = kinds.total()
    assert all(kinds[kind] > 0.05 * total for kind in KINDS), kinds
    # The best that anyone can do who knows these very answers but sees no picture.
    assert sum(max(counts.values()) for counts in answers.values()) / total < 0.42
    existence = sum((answers[text] for text in answers if text.startswith("Is there")), Counter())
    assert abs(existence["yes"] / existence.total() - 0.5) < 0.05


def test_every_content_shows_in_the_picture(scenes):
    for scene in scenes[:100]:
        picture = np.asarray(draw_scene(scene), dtype=int)
        assert picture.shape == (64, 64, 3)
        for name in [shape.colour for shape in scene.shapes] + [
            bar.colour for bar in (scene.chart or BarChart(())).bars
        ]:
            assert (abs(picture - RGB[name]).sum(-1) < 60).sum() >= 25, (name, describe(scene))


def test_shapes_lie_in_their_cell_at_any_size():
    for size in (48, 64, 128):
        for cell in range(len(CELLS)):
            scene = Scene(shapes=(Shape(SHAPES[cell % 3], "red", "small", cell),))
            red = np.argwhere(abs(np.asarray(draw_scene(scene, size), dtype=int) - RGB["red"]).sum(-1) < 60)
            row, column = (int(place) for place in red.mean(0) * 2 // size)
            assert CELLS[2 * row + column] == CELLS[cell]


def test_a_picture_too_small_to_read_is_refused():
    with pytest.raises(ConfigError, match="at least 32 pixels"):
        draw_scene(PAIR, 16)


def test_options_hold_the_answer_once_among_answers_of_its_sort(scenes):
    rng = np.random.default_rng(3)
    places: Counter[int] = Counter()
    for scene in scenes[:300]:
        for question in scene_questions(scene, rng):
            options = answer_options(question, rng)
            assert options.count(question.answer) == 1 and len(set(options)) == len(options)
            two = "or the" in question.text or question.answer in ("yes", "no")
            assert len(options) == (2 if two else 3 if question.answer in SHAPES else 4)
            places[options.index(question.answer)] += len(options) == 4
    assert max(places.values()) < 1.2 * min(places.values())


def test_written_rows_carry_what_training_and_evaluation_read(tmp_path):
    files = write_world(tmp_path, seed=4, train_scenes=6, heldout_scenes=3)
    scenes = world_scenes(4, 6, "train")
    train, heldout, choices, preferences = (
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in (files.train, files.heldout, files.choices, files.preferences)
    )
    assert {tuple(row) for row in train} == {("image", "question", "answer", "kind", "id")}
    assert len({row["id"] for row in train}) == len(train)
    described = [row for row in train if row["kind"] == "description"]
    assert [row["answer"] for row in described] == [describe(scene) for scene in scenes]
    for row, scene in zip(described, scenes, strict=True):
        assert Image.open(tmp_path / row["image"]).tobytes() == draw_scene(scene).tobytes()
    assert {row["kind"] for row in heldout} <= set(KINDS)
    assert [row["answer"] for row in choices] == [row["answer"] for row in heldout]
    assert all(row["answer"] in row["options"] for row in choices)
    for row, scene in zip(preferences, scenes, strict=True):
        assert row["chosen"][0]["content"] == describe(scene) != row["rejected"][0]["content"]
        assert Image.open(tmp_path / row["images"][0]).tobytes() == draw_scene(scene).tobytes()


def _answer_from_text(scene: Scene, text: str) -> str | None:
    """The answer by reading the question's words, apart from the code that asked; None for sorts not covered."""
    for pattern, read in READINGS.items():
        match = re.fullmatch(pattern, text)
        if match:
            return read(scene, *match.groups())
    return None


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _named(scene: Scene, name: str) -> Shape:
    """The only shape that "circle", "red shape" or "red circle" can mean."""
    words = set(name.removesuffix(" shape").split())
    (shape,) = [shape for shape in scene.shapes if words <= {shape.colour, shape.shape}]
    return shape


def _at(scene: Scene, place: str) -> Shape:
    (shape,) = [shape for shape in scene.shapes if CELLS[shape.cell] == place]
    return shape


def _value(scene: Scene, colour: str) -> int:
    (value,) = [bar.value for bar in (scene.chart or BarChart(())).bars if bar.colour == colour]
    return value


READINGS: dict[str, Callable[..., str]] = {
    r"How many shapes are there\?": lambda scene: str(len(scene.shapes)),
    r"How many bars are there\?": lambda scene: str(len(scene.chart.bars)),
    r"How many (\w+) shapes are there\?": lambda scene, colour: str(
        sum(shape.colour == colour for shape in scene.shapes)
    ),
    r"How many (?!shapes|bars)(\w+)s are there\?": lambda scene, kind: str(
        sum(shape.shape == kind for shape in scene.shapes)
    ),
    r"Is there a (\w+)\?": lambda scene, kind: _yes(any(shape.shape == kind for shape in scene.shapes)),
    r"Is there a (\w+) shape\?": lambda scene, colour: _yes(any(shape.colour == colour for shape in scene.shapes)),
    r"What colour is the shape at the (.+)\?": lambda scene, place: _at(scene, place).colour,
    r"Which shape is at the (.+)\?": lambda scene, place: _at(scene, place).shape,
    r"Where is the (?!word)([\w ]+)\?": lambda scene, name: CELLS[_named(scene, name).cell],
    r"Is the ([\w ]+) above the ([\w ]+)\?": lambda scene, first, second: _yes(
        _named(scene, first).row < _named(scene, second).row
    ),
    r"Is the ([\w ]+) right of the ([\w ]+)\?": lambda scene, first, second: _yes(
        _named(scene, first).column > _named(scene, second).column
    ),
    r"Which is larger, the ([\w ]+) or the ([\w ]+)\?": lambda scene, first, second: (
        first if _named(scene, first).size == "large" else second
    ),
    r"Is the (\w+) bar higher than the (\w+) bar\?": lambda scene, first, second: _yes(
        _value(scene, first) > _value(scene, second)
    ),
    r"How high is the (\w+) bar\?": lambda scene, colour: str(_value(scene, colour)),
    r"What word is printed\?": lambda scene: scene.word.text,
    r"Is the word '(\w+)' printed\?": lambda scene, word: _yes(scene.word.text == word),
}
