"""Preference pairs from a model's own mistakes: the truth against a description with an invented or missing object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.answering.asking import Progress
from sightline.data.worlds.descriptions import describe, describe_falsely, description_errors
from sightline.data.worlds.rows import picture_name, preference_row
from sightline.data.worlds.scene import Scene
from sightline.demo.standing import MAX_DESCRIPTION_TOKENS
from sightline.evaluation.vqa import answer_rows
from sightline.types import Answerer, VqaRow


@dataclass(frozen=True)
class PairCounts:
    """How many pairs were written.

    Attributes:
        own: the rejected description is what the model itself said.
        altered: it is the truth with an object invented or removed, because the model made no mistake.
    """

    own: int
    altered: int


def write_preferences(
    path: Path, answerer: Answerer, rows: Sequence[VqaRow], scenes: Sequence[Scene], progress: Progress
) -> PairCounts:
    """Let the model describe the training scenes, `rows` in the order of `scenes`, and write one pair for each."""
    rng = np.random.default_rng(len(scenes))
    own = 0
    described = answer_rows(rows, answerer, max_new_tokens=MAX_DESCRIPTION_TOKENS, progress=progress)
    with path.open("w", encoding="utf-8") as lines:
        for index, (item, scene) in enumerate(zip(described, scenes, strict=True)):
            mistaken = bool(item.prediction) and description_errors(scene, item.prediction).objects_differ
            rejected = item.prediction if mistaken else describe_falsely(scene, rng).text
            row = preference_row(picture_name("train", index), describe(scene), rejected, item.id)
            lines.write(json.dumps(row) + "\n")
            own += mistaken
    return PairCounts(own, len(scenes) - own)
