"""Write what NLVR's training pictures show, told by their scenes, in files that a small ViLT learns from in turn.

NLVR's part for training has 247 sentences and 990 scenes: too few to learn from what a picture holds. A scene says it
all, though, and boxes of different pictures make new pictures. Written are, in the order of the lessons:

* slots.jsonl: a list of each picture, always in the same order, to guess nine tenths of (recipes/vilt/scenes.yaml)
* tags.jsonl, tags.txt: all that is true of a picture, as the answers to one question (scenes_tags.yaml)
* counts.jsonl: how many of this there are, each number as often as others (scenes_counts.yaml)
* claims.jsonl: counts, sentences each of which is as often true as false, and the crowd's (scenes_claims.yaml)

    python examples/nlvr_scenes.py ../shared/data/nlvr_v1/train_testP.jsonl /tmp/scenes
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

COLOURS = {"Yellow": "yellow", "#0099ff": "blue", "Black": "black"}
SHAPES = ("circle", "square", "triangle")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PLACES = ("left", "middle", "right")
BOX_PIXELS, BOX_PITCH, HIGHEST_TOWER = 100, 150, 4
NEW_PICTURES = 8000
RAREST_TAG, COMMONEST_TAG = 60, 0.45  # pictures that show it; the share of all
COUNT_PICTURES, CLAIM_PICTURES = 600, 150  # the most of each number of a question, and of each side of a claim
COUNTS, CLAIMS, CROWD = 20_000, 55_000, 2  # rows of the last file; the crowd's sentences come twice

Item = dict[str, Any]
Box = list[Item]
Row = dict[str, Any]


class Counted(NamedTuple):
    """How many there are of a thing, and what these have in common."""

    count: int
    thing: str
    rest: str = ""


class Shown(NamedTuple):
    """A picture, the scene in its boxes from left to right, and what the crowd says about it, if anything."""

    image: str
    boxes: list[Box]
    row: Row | None = None

    @property
    def has_towers(self) -> bool:
        """Whether each box holds a tower of blocks, and not items anywhere."""
        items = [item for box in self.boxes for item in box]
        return all(item["type"] == "square" and item["size"] == 20 and item["x_loc"] == 40 for item in items)


def main(source: Path, folder: Path) -> None:
    """Write all files and the new pictures into the folder."""
    draw = random.Random(0)
    own = _read(source)
    shown = [*_recombined(own, folder / "pictures", draw), *own]
    towers = [picture for picture in shown if picture.has_towers]
    crowd = [picture.row for picture in own if picture.row is not None]
    true = [_row(row, captions=[row["question"]]) for row in crowd if row["answer"] == "true"]
    slots = [{"image": picture.image, "captions": [_slots(picture)]} for picture in shown]
    _write(folder / "slots.jsonl", [*slots, *draw.sample(true, 600)])
    said = Counter(tag for picture in shown for tag in _tags(picture))
    tags = [tag for tag, count in said.items() if RAREST_TAG < count < COMMONEST_TAG * len(shown)]
    (folder / "tags.txt").write_text("\n".join(tags) + "\n", encoding="utf-8")
    known = set(tags)
    asked = [(picture.image, sorted(known & _tags(picture))) for picture in shown]
    tagged = [{"image": image, "question": "what is there", "answers": answers} for image, answers in asked]
    _write(folder / "tags.jsonl", tagged)
    counts, claims = list(_counts(towers, draw)), list(_claims(towers, draw))
    for rows in (counts, claims):
        draw.shuffle(rows)
    _write(folder / "counts.jsonl", counts)
    judged = [_row(row, question=row["question"], answer=row["answer"]) for row in crowd]
    mixed = [*counts[:COUNTS], *claims[:CLAIMS], *judged * CROWD]
    draw.shuffle(mixed)
    _write(folder / "claims.jsonl", mixed)


def _read(source: Path) -> list[Shown]:
    """The pictures of a file: 0 to 5 of a scene show its boxes in six orders."""
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    scenes = {row["identifier"]: row["structured_rep"] for row in rows if row["structured_rep"]}
    orders = list(permutations(range(3)))
    shown = []
    for row in rows:
        row["image"] = str((source.parent / row["image"]).absolute())
        order = orders[int(Path(row["image"]).stem.rsplit("-", 1)[1])]
        shown.append(Shown(row["image"], [scenes[row["identifier"]][box] for box in order], row))
    return shown


def _recombined(own: Iterable[Shown], folder: Path, draw: random.Random) -> list[Shown]:
    """New pictures, of three boxes of one kind each: one of every scene's pictures lends its boxes."""
    pool: dict[bool, list[tuple[Image.Image, Box]]] = {True: [], False: []}
    first = {picture.row["identifier"]: picture for picture in reversed(list(own)) if picture.row is not None}
    canvas = None
    for picture in first.values():
        canvas = Image.open(picture.image).convert("RGB")
        for place, box in enumerate(picture.boxes):
            left = BOX_PITCH * place
            pool[picture.has_towers].append((canvas.crop((left, 0, left + BOX_PIXELS, BOX_PIXELS)), box))
    assert canvas is not None
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(NEW_PICTURES):
        chosen = [draw.choice(pool[number % 2 == 0]) for _ in PLACES]
        new = canvas.copy()
        for place, (pixels, _) in enumerate(chosen):
            new.paste(pixels, (BOX_PITCH * place, 0))
        path = (folder / f"{number}.png").absolute()
        new.save(path)
        made.append(Shown(str(path), [box for _, box in chosen]))
    return made


def _slots(picture: Shown) -> str:
    """What is in each box, everything at a place of its own in the text: so each [MASK] asks about the same thing."""
    parts = []
    for place, box in zip(PLACES, picture.boxes, strict=True):
        colours, shapes = [COLOURS[item["color"]] for item in box], [item["type"] for item in box]
        if picture.has_towers:
            blocks = [COLOURS[item["color"]] for item in sorted(box, key=lambda item: item["y_loc"])]
            parts.append(f"the {place} tower : {' '.join(['none'] * (HIGHEST_TOWER - len(blocks)) + blocks)}")
        else:
            counted = [f"{NUMBERS[colours.count(colour)]} {colour}" for colour in COLOURS.values()]
            counted += [f"{NUMBERS[shapes.count(shape)]} {shape}" for shape in SHAPES]
            parts.append(f"the {place} box : {' '.join(counted)}")
    return " . ".join(parts)


def _tags(picture: Shown) -> set[str]:
    """Short true sentences about a picture."""
    return {fact if isinstance(fact, str) else _sentence(fact) for fact in _facts(picture)}


def _counts(towers: list[Shown], draw: random.Random) -> Iterator[Row]:
    """Questions of how many, so that no number is more frequent in a question than in the pictures drawn for it."""
    seen: dict[tuple[str, str], dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for picture in towers:
        for fact in _facts(picture):
            if isinstance(fact, Counted):
                seen[fact.thing, fact.rest][fact.count].append(picture.image)
    for (thing, rest), by_count in seen.items():
        frequent = {count: images for count, images in by_count.items() if len(images) >= 100}
        for count, images in frequent.items() if len(frequent) > 1 else ():
            for image in draw.sample(images, min(COUNT_PICTURES, len(images))):
                yield {"image": image, "question": f"how many {thing}s {rest}".strip(), "answer": NUMBERS[count]}


def _claims(towers: list[Shown], draw: random.Random) -> Iterator[Row]:
    """Sentences with as many pictures of which they are true as false: the words alone tell nothing."""
    holds: dict[str, list[int]] = defaultdict(list)
    for index, picture in enumerate(towers):
        for sentence in _sentences(picture):
            holds[sentence].append(index)
    for sentence, true in sorted(holds.items()):
        false = sorted(set(range(len(towers))) - set(true))
        count = min(len(true), len(false), CLAIM_PICTURES)
        for answer, indices in (("true", true), ("false", false)) if count >= 30 else ():
            for index in draw.sample(indices, count):
                yield {"image": towers[index].image, "question": sentence, "answer": answer}


def _sentences(picture: Shown) -> set[str]:
    """All that can be said of a picture in the forms that are known here; what is not in it is false."""
    said: set[str] = set()
    for fact in _facts(picture):
        if isinstance(fact, str):
            said.add(fact)
            continue
        count, thing, rest = fact
        said |= {_sentence(fact), _sentence(fact, "exactly ")}
        said |= {_sentence(Counted(fewer, thing, rest), "at least ") for fewer in range(1, count + 1)}
        if count:
            said.add(f"there is a {thing} {rest}".strip())
        if count == 1:
            said.add(f"there is only one {thing} {rest}".strip())
    return said


def _facts(picture: Shown) -> Iterator[str | Counted]:
    return _tower_facts(picture.boxes) if picture.has_towers else _item_facts(picture.boxes)


def _tower_facts(boxes: list[Box]) -> Iterator[str | Counted]:
    towers = [[COLOURS[item["color"]] for item in sorted(box, key=lambda item: item["y_loc"])] for box in boxes]
    for colour in COLOURS.values():
        yield Counted(sum(tower.count(colour) for tower in towers), f"{colour} block")
        for place, name in ((0, "top"), (-1, "base")):
            count = sum(tower[place] == colour for tower in towers)
            yield Counted(count, "tower", f"with a {colour} block at the {name}")
        yield Counted(sum(set(tower) == {colour} for tower in towers), "tower", f"with only {colour} blocks")
        yield Counted(sum(colour in tower for tower in towers), "tower", f"that has a {colour} block")
    for size in range(1, HIGHEST_TOWER + 1):
        count = sum(len(tower) == size for tower in towers)
        yield Counted(count, "tower", f"with {NUMBERS[size]} {'block' if size == 1 else 'blocks'}")
    for upper, lower in {pair for tower in towers for pair in zip(tower, tower[1:], strict=False)}:
        yield f"there is a {upper} block over a {lower} block"


def _item_facts(boxes: list[Box]) -> Iterator[Counted]:
    items = [item for box in boxes for item in box]
    for colour, name in COLOURS.items():
        yield Counted(sum(item["color"] == colour for item in items), f"{name} item")
        only = sum(all(item["color"] == colour for item in box) for box in boxes)
        yield Counted(only, "box", f"with only {name} items")
        yield Counted(sum(any(item["color"] == colour for item in box) for box in boxes), "box", f"with a {name} item")
        for shape in SHAPES:
            same = [item for item in items if (item["color"], item["type"]) == (colour, shape)]
            yield Counted(len(same), f"{name} {shape}")
            yield Counted(sum(map(_touches, same)), f"{name} {shape}", "touching the wall")
    for shape in SHAPES:
        yield Counted(sum(item["type"] == shape for item in items), shape)
        yield Counted(sum(item["type"] == shape and _touches(item) for item in items), shape, "touching the edge")


def _touches(item: Item) -> bool:
    ends = (item["x_loc"], item["y_loc"], item["x_loc"] + item["size"], item["y_loc"] + item["size"])
    return min(ends) <= 0 or max(ends) >= BOX_PIXELS


def _sentence(fact: Counted, quantifier: str = "") -> str:
    count, thing, rest = fact
    many = thing if count == 1 else "boxes" if thing == "box" else f"{thing}s"
    number = NUMBERS[count] if count < len(NUMBERS) else str(count)
    return f"there {'is' if count == 1 else 'are'} {quantifier}{number} {many} {rest}".strip()


def _row(row: Row, **columns: Any) -> Row:
    return {"image": row["image"], **columns}


def _write(path: Path, rows: Iterable[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
