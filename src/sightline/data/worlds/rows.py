"""Write the rows and images of a world: questions, descriptions, choices and preferences."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data.worlds.descriptions import PROMPT, caption, describe, describe_falsely
from sightline.data.worlds.questions import answer_options, scene_questions
from sightline.data.worlds.scene import SPLITS, Scene, Split, draw_scene, single_shape_scenes, world_scenes

Row = dict[str, Any]
Picture = Callable[[int], str]
"""The path of a scene's picture by the scene's index."""


@dataclass(frozen=True)
class WorldFiles:
    """Where a written world lies.

    Attributes:
        look: descriptions of training pictures with a single shape.
        train: questions about the training scenes, and their descriptions or captions.
        train_descriptions: complete descriptions of all of them.
        heldout: questions of the held-out scenes.
        heldout_descriptions: descriptions of the held-out scenes.
        choices: questions of the held-out scenes, each with options.
        preferences: of the training scenes, a true description before one with an error.
    """

    folder: Path
    look: Path
    train: Path
    train_descriptions: Path
    heldout: Path
    heldout_descriptions: Path
    choices: Path
    preferences: Path


def write_world(
    folder: str | Path,
    seed: int,
    train_scenes: int,
    heldout_scenes: int,
    image_size: int = 64,
    questions: int = 8,
    look_scenes: int = 0,
    caption_every: int | None = None,
) -> WorldFiles:
    """Write pictures and rows of both splits; images are named relative to the folder, so that it can be moved.

    `train` gets the description of every scene, or with `caption_every` a caption for one scene in so many: captions
    have so many tokens that beside them little is learned from answers of one word.
    """
    files = _world_files(Path(folder))
    train, heldout = world_scenes(seed, train_scenes, "train"), world_scenes(seed, heldout_scenes, "heldout")
    look = single_shape_scenes(seed, look_scenes, "train")
    (files.folder / "images").mkdir(parents=True, exist_ok=True)
    for name, drawn in (("look", look), ("train", train), ("heldout", heldout)):
        for index, scene in enumerate(drawn):
            draw_scene(scene, image_size).save(files.folder / picture_name(name, index), compress_level=1)

    def of(name: str) -> Picture:
        return lambda index: picture_name(name, index)

    asked, described = (
        _question_rows(train, seed, "train", questions, of("train")),
        _description_rows(train, "train", of("train")),
    )
    _write_rows(files.look, _description_rows(look, "look", of("look")))
    told = described if caption_every is None else _caption_rows(described, train, seed)[::caption_every]
    _write_rows(files.train, [*asked, *told])
    _write_rows(files.train_descriptions, described)
    _write_rows(files.heldout, _question_rows(heldout, seed, "heldout", questions, of("heldout")))
    _write_rows(files.heldout_descriptions, _description_rows(heldout, "heldout", of("heldout")))
    _write_rows(files.choices, _choice_rows(heldout, seed, "heldout", questions, of("heldout")))
    _write_rows(files.preferences, _preference_rows(train, seed, "train", of("train")))
    return files


def _question_rows(scenes: list[Scene], seed: int, split: Split, questions: int, picture: Picture) -> list[Row]:
    rows = []
    for index, scene in enumerate(scenes):
        for number, asked in enumerate(scene_questions(scene, _generator(seed, index, split, "questions"), questions)):
            row = {"image": picture(index), "question": asked.text, "answer": asked.answer, "kind": asked.kind}
            rows.append({**row, "id": f"{split}-{index:05d}-{number}"})
    return rows


def _choice_rows(scenes: list[Scene], seed: int, split: Split, questions: int, picture: Picture) -> list[Row]:
    rows = []
    for index, scene in enumerate(scenes):
        rng = _generator(seed, index, split, "options")
        for number, asked in enumerate(scene_questions(scene, _generator(seed, index, split, "questions"), questions)):
            row = {"image": picture(index), "question": asked.text, "options": list(answer_options(asked, rng))}
            rows.append({**row, "answer": asked.answer, "kind": asked.kind, "id": f"{split}-{index:05d}-{number}"})
    return rows


def _description_rows(scenes: list[Scene], name: str, picture: Picture) -> list[Row]:
    return [
        {
            "image": picture(index),
            "question": PROMPT,
            "answer": describe(scene),
            "kind": "description",
            "id": f"{name}-{index:05d}-d",
        }
        for index, scene in enumerate(scenes)
    ]


def _caption_rows(described: list[Row], scenes: list[Scene], seed: int) -> list[Row]:
    return [
        {**row, "answer": caption(scene, _generator(seed, index, "train", "captions"))}
        for index, (row, scene) in enumerate(zip(described, scenes, strict=True))
    ]


def _preference_rows(scenes: list[Scene], seed: int, split: Split, picture: Picture) -> list[Row]:
    rows = []
    for index, scene in enumerate(scenes):
        false = describe_falsely(scene, _generator(seed, index, split, "preferences"))
        rows.append(preference_row(picture(index), describe(scene), false.text, f"{split}-{index:05d}-p"))
        rows[-1]["error"] = false.error
    return rows


def preference_row(image: Any, chosen: str, rejected: str, id: str) -> Row:
    """One pair of descriptions in TRL's conversational format; `image` is a picture or a path."""
    return {
        "images": [image],
        "prompt": [{"role": "user", "content": PROMPT}],
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
        "id": id,
    }


def _generator(seed: int, index: int, split: Split, purpose: str) -> np.random.Generator:
    """One generator per scene and purpose, so that more scenes or other rows never change a scene's questions."""
    purposes = ("questions", "options", "preferences", "captions")
    return np.random.default_rng([seed, index, SPLITS.index(split), 1 + purposes.index(purpose)])


def picture_name(name: str, index: int) -> str:
    """Path of a scene's picture from the folder of a written world; `name` is a split or "look"."""
    return f"images/{name}-{index:05d}.png"


def _world_files(folder: Path) -> WorldFiles:
    names = ("look", "train", "train_descriptions", "heldout", "heldout_descriptions", "choices", "preferences")
    return WorldFiles(folder, *(folder / f"{name}.jsonl" for name in names))


def _write_rows(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)
