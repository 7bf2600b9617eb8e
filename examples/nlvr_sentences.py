"""Questions and sentences about NLVR's pictures in the words of its crowd, drawn from a grammar, with their answers.

The forms are those of the 247 sentences that NLVR's part for training has; what a form says is worked out from scenes.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

COLOURS = {"Yellow": "yellow", "#0099ff": "blue", "Black": "black"}
COLOUR_NAMES = tuple(COLOURS.values())
SHAPES = ("circle", "square", "triangle")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PLACES = ("left", "middle", "right")
BOX_PIXELS, HIGHEST_TOWER = 100, 4
DIGITS = 0.35  # share of numbers that are written as digits

# Dims: N pictures of 3 boxes each; T towers or boxes, 3 N of them; K blocks of a tower from its top; I items.

Item = dict[str, Any]
Box = list[Item]


class Question(NamedTuple):
    """A question or a sentence, and its answer for each picture: the index of one of the names."""

    text: str
    answers_N: np.ndarray
    names: tuple[str, ...] = NUMBERS


class Counted(NamedTuple):
    """How many there are of a thing in each picture: "tower", and what follows, "with a black block at the top"."""

    counts_N: np.ndarray
    thing: str
    rest: str = ""


class Property(NamedTuple):
    """What some towers or boxes have, and how it is said: "a black block at the top"."""

    holds_T: np.ndarray
    words: str


class Scenes(ABC):
    """What can be counted in pictures of one kind, and said of them."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw

    @abstractmethod
    def counted(self) -> Counted:
        """Something to count."""

    @abstractmethod
    def other_claim(self) -> Question:
        """A sentence that does not begin with "there"."""

    def count(self) -> Question:
        """How many there are of something."""
        counts_N, thing, rest = self.counted()
        return Question(_joined("how many", plural(thing), rest), counts_N.clip(max=10))

    def claim(self) -> Question:
        """A sentence that is true or false."""
        return self.other_claim() if self.draw.random() < 0.2 else self._quantified(*self.counted())

    def _quantified(self, counts_N: np.ndarray, thing: str, rest: str) -> Question:
        kind = self.draw.random()
        if kind < 0.4:
            words = self.one_of("a", "a", "a", "a", "at least one", "at least 1", "atleast one")
            return judged(_joined("there is", words, thing, rest), counts_N > 0)
        if kind < 0.5:
            return judged(_joined("there is no", thing, rest), counts_N == 0)
        most = min(10, max(1, int(counts_N.max())))
        said, number, holds_N = self.compared(counts_N, most)
        return judged(_joined("there is" if number == 1 else "there are", said, plural(thing, number), rest), holds_N)

    def compared(self, counts: np.ndarray, most: int) -> tuple[str, int, np.ndarray]:
        """A number in words, such as "at least two", the number, and where the counts are so."""
        number = self.draw.randint(1, most)
        said = str(number) if self.draw.random() < DIGITS else NUMBERS[number]
        kind = self.draw.random()
        if kind < 0.65:
            return _joined(self.one_of("", "", "", "exactly", "only"), said), number, counts == number
        if kind < 0.88:
            return _joined(self.one_of("at least", "at least", "atleast"), said), number, counts >= number
        if kind < 0.94:
            return f"more than {said}", number, counts > number
        return f"at most {said}", number, counts <= number

    def one_of(self, *words: str) -> str:
        """One of several ways to say it."""
        return self.draw.choice(words)

    def colour(self) -> tuple[int, str]:
        """One of the three, and its name."""
        index = self.draw.randrange(len(COLOUR_NAMES))
        return index, COLOUR_NAMES[index]


class Towers(Scenes):
    """What can be asked and said of pictures of three towers of blocks."""

    def __init__(self, pictures: Sequence[Sequence[Box]], draw: random.Random) -> None:
        super().__init__(draw)
        towers = [sorted(box, key=lambda item: item["y_loc"]) for boxes in pictures for box in boxes]
        self._heights_T = np.array([len(tower) for tower in towers])
        self._colours_TK = np.full((len(towers), HIGHEST_TOWER), -1)
        for tower, colours_K in zip(towers, self._colours_TK, strict=True):
            colours_K[: len(tower)] = [COLOUR_NAMES.index(COLOURS[item["color"]]) for item in tower]
        self._tops_T = self._colours_TK[:, 0]
        self._bases_T = self._colours_TK[np.arange(len(towers)), self._heights_T - 1]
        seen_TC = [(self._colours_TK == colour).any(1) for colour in range(len(COLOUR_NAMES))]
        self._several_T = np.sum(seen_TC, axis=0)

    def look(self) -> Question:
        """A question that one place of the picture answers."""
        place = self.draw.randrange(len(PLACES))
        where = f"the {PLACES[place]} tower"
        kind = self.draw.random()
        if kind < 0.4:
            colours_T, end = self._end()
            return Question(f"{end} of {where}", colours_T[place::3], COLOUR_NAMES)
        if kind < 0.5:
            return Question(f"how many blocks in {where}", self._heights_T[place::3])
        colour, name = self.colour()
        if kind < 0.85:
            counts_N = (self._colours_TK[place::3] == colour).sum(1)
            return Question(f"how many {name} blocks in {where}", counts_N)
        colours_T, end = self._end()
        return judged(f"there is a {name} block at the {end} of {where}", colours_T[place::3] == colour)

    def counted(self) -> Counted:
        kind = self.draw.random()
        colour, name = self.colour()
        if kind < 0.2:
            return Counted(_per_picture((self._colours_TK == colour).sum(1)), f"{name} block")
        if kind < 0.4:
            colours_T, end = self._end()
            tall = self._height("with ") if self.draw.random() < 0.4 else Property(np.array(True), "")
            rest = _joined(
                self.one_of("as the", "at the", "on the"), end, "of a tower", tall.words and "with", tall.words
            )
            return Counted(_per_picture((colours_T == colour) & tall.holds_T), f"{name} block", rest)
        if kind < 0.6:
            over_TK, upper, words, lower = self._pair()
            return Counted(_per_picture(over_TK.sum(1)), f"{upper} block", f"{words} a {lower} block")
        return self._counted_towers()

    def _counted_towers(self) -> Counted:
        kind = self.draw.random()
        holds_T, thing = np.full(len(self._heights_T), True), "tower"
        if kind < 0.15:
            colour, name = self.colour()
            holds_T, thing = self._only(colour), f"{name} tower"
        elif kind < 0.3:
            height = self.draw.randint(1, HIGHEST_TOWER)
            holds_T, thing = self._heights_T == height, f"{NUMBERS[height]} {self.one_of('block', 'blocks')} tower"
        if thing != "tower" and self.draw.random() < 0.4:
            return Counted(_per_picture(holds_T), thing)
        first = self._height() if self.draw.random() < 0.35 else self._property()
        rest = _joined(self.one_of("with", "with", "with", "that has", "which has"), first.words)
        holds_T = holds_T & first.holds_T
        if self.draw.random() < 0.35:
            second = self._property()
            holds_T = holds_T & second.holds_T
            rest = _joined(rest, self.one_of("having", "and", "with", ", and it has"), second.words)
        return Counted(_per_picture(holds_T), thing, rest)

    def other_claim(self) -> Question:
        kind = self.draw.random()
        if kind < 0.3:
            has = self._property()
            start = self.one_of("each tower has", "all the towers have", "all towers have")
            return judged(f"{start} {has.words}", has.holds_T.reshape(-1, 3).all(1))
        if kind < 0.6:
            tall, has = self._height(), self._property()
            start = self.one_of("the tower with", "a tower with", "at least one tower with", "one of the towers with")
            both_T = tall.holds_T & has.holds_T
            return judged(f"{start} {tall.words} has {has.words}", both_T.reshape(-1, 3).any(1))
        if kind < 0.7:
            has = self._property()
            said, number, holds_N = self.compared(_per_picture(has.holds_T), 3)
            return judged(_joined(said, plural("tower", number), "has" if number == 1 else "have", has.words), holds_N)
        if kind < 0.8:
            (colour, name), (colours_T, end) = self.colour(), self._end()
            return judged(f"the {end} of a tower is {name}", (colours_T == colour).reshape(-1, 3).any(1))
        alike = {"height": self._heights_T, "base color": self._bases_T, "top color": self._tops_T}
        what = self.one_of(*alike)
        first, second, third = alike[what].reshape(-1, 3).T
        if self.draw.random() < 0.3:
            return judged(f"the three towers have the same {what}", (first == second) & (second == third))
        start = self.one_of("there are two towers with the same", "there are two towers that has the same")
        return judged(f"{start} {what}", (first == second) | (second == third) | (first == third))

    def _property(self) -> Property:
        kinds = (
            self._end_colour,
            self._end_colour,
            self._colour_count,
            self._colour_pair,
            self._one_colour,
            self._mixed,
        )
        return self.draw.choice(kinds)()

    def _height(self, link: str = "") -> Property:
        said, number, holds_T = self.compared(self._heights_T, HIGHEST_TOWER)
        return Property(holds_T, f"{link}{said} {plural('block', number)}")

    def _end_colour(self) -> Property:
        colour, name = self.colour()
        if self.draw.random() < 0.1:
            place = self.draw.randint(1, 2)
            words = f"a {name} block as {('the ', '')[self.draw.randrange(2)]}{('second', 'third')[place - 1]} block"
            return Property(self._colours_TK[:, place] == colour, words)
        colours_T, end = self._end()
        return Property(colours_T == colour, f"a {name} block {self.one_of('at', 'at', 'at', 'on', 'as')} the {end}")

    def _colour_count(self) -> Property:
        colour, name = self.colour()
        counts_T = (self._colours_TK == colour).sum(1)
        if self.draw.random() < 0.3:
            return Property(counts_T > 0, f"a {name} block")
        said, number, holds_T = self.compared(counts_T, 3)
        return Property(holds_T, _joined(said, plural(f"{name} block", number), self.one_of("", "", "in it")))

    def _colour_pair(self) -> Property:
        if self.draw.random() < 0.1:
            (outer, name), (inner, between) = self.colour(), self.colour()
            over_TK = self._colours_TK[:, :-2], self._colours_TK[:, 1:-1], self._colours_TK[:, 2:]
            holds_TK = (over_TK[0] == outer) & (over_TK[1] == inner) & (over_TK[2] == outer)
            return Property(holds_TK.any(1), f"a {between} block between two {name} blocks")
        over_TK, upper, words, lower = self._pair()
        return Property(over_TK.any(1), f"a {upper} block {words} a {lower} block")

    def _one_colour(self) -> Property:
        colour, name = self.colour()
        words = self.one_of(f"only {name} blocks", f"blocks of {name} color only", f"only {name} color blocks")
        return Property(self._only(colour), words)

    def _mixed(self) -> Property:
        kind = self.draw.random()
        if kind < 0.5:
            said = self.one_of("all three", "all 3 different", "all three different", "three different")
            return Property(self._several_T == 3, f"blocks of {said} {self.one_of('colors', 'colours')}")
        if kind < 0.7:
            return Property(self._several_T == 2, f"blocks of {self.one_of('two', '2')} different colors")
        if kind < 0.85:
            said = self.one_of("color", "colour")
            return Property((self._several_T == 1) & (self._heights_T > 1), f"blocks of the same {said}")
        colour, name = self.colour()
        stacked_TK = (self._colours_TK[:, :-1] == colour) & (self._colours_TK[:, 1:] == colour)
        return Property(stacked_TK.any(1), f"{self.one_of('two', '2')} {name} blocks stacked together")

    def _pair(self) -> tuple[np.ndarray, str, str, str]:
        """Where a block lies on another, and the sentence's first colour, preposition and second colour."""
        (upper, above), (lower, below) = self.colour(), self.colour()
        over_TK = (self._colours_TK[:, :-1] == upper) & (self._colours_TK[:, 1:] == lower)
        if self.draw.random() < 0.3:
            return over_TK, below, self.one_of("below", "under", "bellow"), above
        return over_TK, above, self.one_of("over", "above", "on"), below

    def _end(self) -> tuple[np.ndarray, str]:
        if self.draw.random() < 0.5:
            return self._tops_T, "top"
        return self._bases_T, self.one_of("base", "base", "bottom")

    def _only(self, colour: int) -> np.ndarray:
        only_T: np.ndarray = (self._colours_TK == colour).sum(1) == self._heights_T
        return only_T


class Items(Scenes):
    """What can be asked and said of pictures of three boxes of items, wherever these lie."""

    def __init__(self, pictures: Sequence[Sequence[Box]], draw: random.Random) -> None:
        super().__init__(draw)
        boxes = [box for three in pictures for box in three]
        items = [item for box in boxes for item in box]
        self._boxes = len(boxes)
        self._box_I = np.repeat(np.arange(len(boxes)), [len(box) for box in boxes])
        self._colours_I = np.array([COLOUR_NAMES.index(COLOURS[item["color"]]) for item in items])
        self._shapes_I = np.array([SHAPES.index(item["type"]) for item in items])
        sizes_I, left_I, top_I = (np.array([item[key] for item in items]) for key in ("size", "x_loc", "y_loc"))
        self._bottom_I = top_I + sizes_I >= BOX_PIXELS
        self._side_I = (left_I <= 0) | (left_I + sizes_I >= BOX_PIXELS)
        self._ends_I = (top_I <= 0) | self._bottom_I

    def counted(self) -> Counted:
        if self.draw.random() < 0.4:
            first = self._property()
            holds_T, words = (
                first.holds_T,
                _joined(self.one_of("with", "with", "that has", "which contains"), first.words),
            )
            if self.draw.random() < 0.25:
                second = self._property()
                holds_T, words = holds_T & second.holds_T, f"{words} and {second.words}"
            return Counted(_per_picture(holds_T), self.one_of("box", "box", "grey box"), words)
        holds_I, thing = self._thing()
        if self.draw.random() < 0.5:
            touching_I, rest = self._touching()
            return Counted(_per_picture(self._in_boxes(holds_I & touching_I)), thing, rest)
        return Counted(_per_picture(self._in_boxes(holds_I)), thing)

    def other_claim(self) -> Question:
        if self.draw.random() < 0.5:
            has = self._property()
            start = self.one_of("each box has", "each box contains", "each grey box contains", "each grey box has")
            return judged(f"{start} {has.words}", has.holds_T.reshape(-1, 3).all(1))
        (holds_I, thing), (touching_I, words) = self._thing(), self._touching()
        return judged(
            f"none of the {plural(thing)} are {words}", _per_picture(self._in_boxes(holds_I & touching_I)) == 0
        )

    def _property(self) -> Property:
        kind = self.draw.random()
        if kind < 0.25:
            said, number, holds_T = self.compared(self._in_boxes(np.array(True)), 7)
            return Property(holds_T, f"{said} {plural(self.one_of('item', 'object'), number)}")
        if kind < 0.55:
            holds_I, thing = self._thing()
            said, number, holds_T = self.compared(self._in_boxes(holds_I), 4)
            return Property(holds_T, f"{said} {plural(thing, number)}")
        if kind < 0.7:
            (one_I, first), (two_I, second) = self._thing(), self._thing()
            both_T = (self._in_boxes(one_I) > 0) & (self._in_boxes(two_I) > 0)
            return Property(both_T, f"a {first} and a {second}")
        if kind < 0.85:
            colour, name = self.colour()
            words = self.one_of(f"only {name} items", f"items of only {name} color", f"only {name} objects")
            return Property(self._in_boxes(self._colours_I != colour) == 0, words)
        several_T = np.sum([self._in_boxes(self._colours_I == colour) > 0 for colour in range(3)], axis=0)
        if self.draw.random() < 0.6:
            return Property(several_T == 3, f"items of {self.one_of('all 3', 'all three')} different colors")
        return Property(several_T == 2, f"items of {self.one_of('2', 'two')} different colors")

    def _thing(self) -> tuple[np.ndarray, str]:
        """Items of a colour, of a shape or of both, and their name."""
        colour, name = self.colour()
        shape = self.draw.randrange(len(SHAPES))
        kind = self.draw.random()
        if kind < 0.45:
            return self._colours_I == colour, f"{name} {self.one_of('item', 'object')}"
        if kind < 0.7:
            return (self._colours_I == colour) & (self._shapes_I == shape), f"{name} {SHAPES[shape]}"
        return self._shapes_I == shape, SHAPES[shape]

    def _touching(self) -> tuple[np.ndarray, str]:
        kind = self.draw.random()
        any_I = self._side_I | self._ends_I
        if kind < 0.2:
            return ~any_I, f"not touching {self.one_of('any edge', 'the edge', 'the wall')}"
        closely = self.one_of("touching", "touching", "closely touching")
        if kind < 0.6:
            return any_I, f"{closely} {self.one_of('the wall', 'the edge', 'any edge')}"
        if kind < 0.8:
            return self._bottom_I, f"{closely} {self.one_of('the base', 'the bottom of a box', 'the base edge')}"
        return self._side_I & self._ends_I, f"{closely} {self.one_of('the corner', 'a corner', 'a corner of a box')}"

    def _in_boxes(self, holds_I: np.ndarray) -> np.ndarray:
        """How many items of each box, (T)."""
        return np.bincount(self._box_I, np.broadcast_to(holds_I, self._box_I.shape), self._boxes).astype(int)


def judged(sentence: str, holds_N: np.ndarray) -> Question:
    """A sentence whose answers are true and false."""
    return Question(sentence, holds_N.astype(int), ("false", "true"))


def plural(thing: str, number: int = 2) -> str:
    """The thing's name for a number of it."""
    return thing if number == 1 else f"{thing}es" if thing.endswith("box") else f"{thing}s"


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)


def _per_picture(values_T: np.ndarray) -> np.ndarray:
    sums_N: np.ndarray = values_T.reshape(-1, 3).sum(1)
    return sums_N
