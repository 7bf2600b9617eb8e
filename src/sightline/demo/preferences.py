"""Make preference pairs from a model's own mistakes: the truth against an invented or missing object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.data.worlds.descriptions import describe, describe_falsely
from sightline.data.worlds.rows import picture_name, preference_row
from sightline.data.worlds.scene import Scene
from sightline.evaluation.samples import Sample


@dataclass(frozen=True)
class PairCounts:
    """How many pairs were written.

    Attributes:
        own: the rejected description is what the model itself said.
        altered: it is the truth with an object invented or removed, because the model made no mistake.
    """

    own: int
    altered: int


def write_preferences(path: Path, described: Sequence[Sample], scenes: Sequence[Scene]) -> PairCounts:
    """One pair for each training scene; `described` is what the model said of them, in their order."""
    rng = np.random.default_rng(len(scenes))
    own = 0
    with path.open("w", encoding="utf-8") as lines:
        for index, (sample, scene) in enumerate(zip(described, scenes, strict=True)):
            mistaken = bool(sample.prediction) and sample.score == 0
            rejected = sample.prediction if mistaken else describe_falsely(scene, rng).text
            row = preference_row(picture_name("train", index), describe(scene), rejected, sample.id)
            lines.write(json.dumps(row) + "\n")
            own += mistaken
    return PairCounts(own, len(scenes) - own)
