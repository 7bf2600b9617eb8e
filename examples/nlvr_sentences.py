"""Write true sentences about NLVR's training pictures, made from their scenes, for `sightline vilt pretrain`.

NLVR has too few sentences to learn from what a picture holds. The scene of each picture says it all: how many yellow
items, which tower has a black block at its top. Guessing the masked words of such sentences teaches to look.

    python examples/nlvr_sentences.py ../shared/data/nlvr_v1/train_testP.jsonl scenes.jsonl
    sightline vilt pretrain --config recipes/vilt/scenes.yaml --train_data scenes.jsonl --output_dir scenes
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

COLOURS = {"Yellow": "yellow", "#0099ff": "blue", "Black": "black"}
SHAPES = ("circle", "square", "triangle")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
CAPTIONS, SENTENCES = 6, 4  # captions of each picture, and sentences in each
BOX_PIXELS = 100

Item = dict[str, Any]
Box = list[Item]


def main(source: Path, target: Path) -> None:
    """One row per picture: `image` and `captions`."""
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    scenes = {row["identifier"]: row["structured_rep"] for row in rows if row["structured_rep"]}
    orders = list(permutations(range(3)))
    draw = random.Random(0)
    with target.open("w", encoding="utf-8") as file:
        for row in rows:
            order = orders[
                int(Path(row["image"]).stem.rsplit("-", 1)[1])
            ]  # pictures 0 to 5 show the boxes in six orders
            boxes = [scenes[row["identifier"]][box] for box in order]
            facts = list(_tower_facts(boxes) if _has_towers(boxes) else _item_facts(boxes))
            captions = [" . ".join(draw.sample(facts, min(SENTENCES, len(facts)))) for _ in range(CAPTIONS)]
            if row["answer"] == "true":
                captions.append(row["question"])
            file.write(
                json.dumps({"image": str((source.parent / row["image"]).absolute()), "captions": captions}) + "\n"
            )


def _has_towers(boxes: list[Box]) -> bool:
    return all(item["type"] == "square" and item["size"] == 20 and item["x_loc"] == 40 for box in boxes for item in box)


def _tower_facts(boxes: list[Box]) -> Iterator[str]:
    towers = [[COLOURS[item["color"]] for item in sorted(box, key=lambda item: item["y_loc"])] for box in boxes]
    for colour in COLOURS.values():
        yield _count(sum(tower.count(colour) for tower in towers), f"{colour} block")
        for place, name in ((0, "top"), (-1, "base")):
            yield _count(
                sum(tower[place] == colour for tower in towers), "tower", f"with a {colour} block at the {name}"
            )
        yield _count(sum(set(tower) == {colour} for tower in towers), "tower", f"with only {colour} blocks")
        yield _count(sum(colour in tower for tower in towers), "tower", f"that has a {colour} block")
    for size, count in Counter(map(len, towers)).items():
        yield _count(count, "tower", f"with {NUMBERS[size]} {'block' if size == 1 else 'blocks'}")
    for upper, lower in {pair for tower in towers for pair in zip(tower, tower[1:], strict=False)}:
        yield f"there is a {upper} block over a {lower} block"
    for place, tower in zip(("left", "middle", "right"), towers, strict=True):
        yield f"the {place} tower is {' '.join(tower)} from the top"


def _item_facts(boxes: list[Box]) -> Iterator[str]:
    items = [item for box in boxes for item in box]
    for colour, name in COLOURS.items():
        yield _count(sum(item["color"] == colour for item in items), f"{name} item")
        yield _count(
            sum(all(item["color"] == colour for item in box) for box in boxes), "box", f"with only {name} items"
        )
        yield _count(sum(any(item["color"] == colour for item in box) for box in boxes), "box", f"with a {name} item")
        for shape in SHAPES:
            same = [item for item in items if (item["color"], item["type"]) == (colour, shape)]
            yield _count(len(same), f"{name} {shape}")
            yield _count(sum(map(_touches, same)), f"{name} {shape}", "touching the wall")
    for shape in SHAPES:
        yield _count(sum(item["type"] == shape for item in items), shape)
        yield _count(sum(item["type"] == shape and _touches(item) for item in items), shape, "touching the edge")
    for place, box in zip(("left", "middle", "right"), boxes, strict=True):
        yield _count(len(box), "item", f"in the {place} box")
        for colour, count in Counter(COLOURS[item["color"]] for item in box).items():
            yield f"there is a box with {NUMBERS[len(box)]} items of which {NUMBERS[count]} {_is(count)} {colour}"
        for (colour, shape), count in Counter((COLOURS[item["color"]], item["type"]) for item in box).items():
            yield _count(count, f"{colour} {shape}", f"in the {place} box")


def _touches(item: Item) -> bool:
    ends = (item["x_loc"], item["y_loc"], item["x_loc"] + item["size"], item["y_loc"] + item["size"])
    return min(ends) <= 0 or max(ends) >= BOX_PIXELS


def _count(count: int, thing: str, rest: str = "") -> str:
    many = thing if count == 1 else "boxes" if thing == "box" else f"{thing}s"
    number = NUMBERS[count] if count < len(NUMBERS) else str(count)
    return f"there {_is(count)} {number} {many} {rest}".strip()


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
