"""The logits of a model for a drawn picture and a question: a fingerprint of what it answers."""

# Dims: T tokens, V vocabulary.
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sightline.data.encoding.prompts import check_template, option_ids, render_prompt
from sightline.data.pictures.images import opened
from sightline.models.generate import plain_logits
from sightline.models.load import LoadedVlm
from sightline.types import Question

SIDE = 224
ANSWER = "The picture shows a red circle, two trees and the word 7."


@dataclass(frozen=True)
class Probed:
    """Logits (T, V), or the reason why there are none."""

    logits_TV: Tensor | None
    reason: str = ""


def probe(loaded: LoadedVlm) -> Probed:
    """What the model says of the picture, at each token of an answer behind the question."""
    question = Question("What is in the picture?", (opened(_picture()),))
    try:
        check_template(loaded.processor, loaded.name)
        prompt = render_prompt(loaded.processor, question)
        ids = option_ids(loaded.processor, ANSWER).tolist()
        with torch.inference_mode():
            return Probed(plain_logits(loaded, prompt, ids).float().cpu())
    except Exception as error:  # a template or a processor that wants something else of a question
        return Probed(None, f"it could not be asked ({type(error).__name__}: {' '.join(str(error).split())[:150]})")


def largest_difference(one: Probed, other: Probed) -> float | None:
    """The largest difference of a logit as a share of the largest logit; None where one of them is missing."""
    if one.logits_TV is None or other.logits_TV is None:
        return None
    return float((one.logits_TV - other.logits_TV).abs().max() / one.logits_TV.abs().max())


def _picture() -> Image.Image:
    """Shades and an edge, the same each time."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    channels = (x * 255 // SIDE, y * 255 // SIDE, np.where((x - 112) ** 2 + (y - 90) ** 2 < 2500, 230, 40))
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))
