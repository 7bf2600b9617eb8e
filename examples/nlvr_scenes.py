"""Write questions and sentences about NLVR's training pictures, worked out from their scenes, for a small ViLT.

NLVR's part for training has 247 sentences and 990 scenes: too few to learn from what a picture holds. A scene says it
all, though, boxes of different pictures make new pictures, and a grammar of the crowd's forms makes new sentences.
Each question is asked of as many pictures with one answer as with another, so that its words alone tell nothing.
Written are pictures/ and

* questions.jsonl: of towers, what is where, how many, and true or false (recipes/vilt/scenes.yaml)
* sentences.jsonl: of all, true or false alone (recipes/vilt/nlvr.yaml)

Both hold the crowd's own sentences too, once and four times.

    python examples/nlvr_scenes.py ../shared/data/nlvr_v1/train_testP.jsonl /tmp/scenes
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from nlvr_sentences import BOX_PIXELS, Box, Items, Question, Towers
from PIL import Image

NEW_PICTURES = 8000
BOX_PITCH = 150
LEAST_SHARE, EACH_ANSWER = 0.08, 2  # of pictures, for an answer to be asked for; pictures of each answer
CROWD = 4  # how often the crowd's sentences come

Row = dict[str, Any]


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
    own = read_shown(source)
    shown = [*_recombined(own, folder / "pictures", draw), *own]
    towers = [picture for picture in shown if picture.has_towers]
    others = [picture for picture in shown if not picture.has_towers]
    of_towers, of_items = Towers(_boxes(towers), draw), Items(_boxes(others), draw)
    towers_as_items = Items(_boxes(towers), draw)
    questions = [
        *_rows(towers, of_towers.look, 16_000),
        *_rows(towers, of_towers.count, 12_000),
        *_rows(towers, of_towers.claim, 8_000),
    ]
    sentences = [
        *_rows(towers, of_towers.claim, 30_000),
        *_rows(towers, towers_as_items.claim, 4_000),
        *_rows(others, of_items.claim, 9_000),
    ]
    crowd = [{name: picture.row[name] for name in ("image", "question", "answer")} for picture in own if picture.row]
    _write(folder / "questions.jsonl", questions + crowd, draw)
    _write(folder / "sentences.jsonl", sentences + crowd * CROWD, draw)


def read_shown(source: Path) -> list[Shown]:
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
        chosen = [draw.choice(pool[number % 2 == 0]) for _ in range(3)]
        new = canvas.copy()
        for place, (pixels, _) in enumerate(chosen):
            new.paste(pixels, (BOX_PITCH * place, 0))
        path = (folder / f"{number}.png").absolute()
        new.save(path)
        made.append(Shown(str(path), [box for _, box in chosen]))
    return made


def _boxes(shown: Iterable[Shown]) -> list[list[Box]]:
    return [picture.boxes for picture in shown]


def _rows(shown: Sequence[Shown], ask: Callable[[], Question], wanted: int) -> Iterator[Row]:
    """Questions of one kind with their pictures; those that all pictures answer alike are left out."""
    draws = np.random.default_rng(wanted)
    while wanted:
        text, answers_N, names = ask()
        frequent = np.flatnonzero(np.bincount(answers_N) >= LEAST_SHARE * len(answers_N))
        if len(frequent) < 2:
            continue
        wanted -= 1
        for answer in frequent:
            for index in draws.choice(np.flatnonzero(answers_N == answer), EACH_ANSWER, replace=False):
                yield {"image": shown[index].image, "question": text, "answer": names[answer]}


def _write(path: Path, rows: list[Row], draw: random.Random) -> None:
    shuffled = draw.sample(rows, len(rows))
    path.write_text("".join(json.dumps(row) + "\n" for row in shuffled), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
