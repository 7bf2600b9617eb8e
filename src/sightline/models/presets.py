"""What a VLM is built from, and the presets: a table of such specifications."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.errors import ConfigError, nearest


@dataclass(frozen=True)
class BuildSpec:
    """The parts of a VLM.

    Attributes:
        tower: a vision config with its `model_type`, a JSON file of one, or a folder of a pretrained model.
        decoder: the same for a causal language model.
        projector: activation between the projector's two linear layers; `linear` for none.
        tokenizer: a folder or Hub id; None takes the decoder folder's, or else builds a small one.
        image_size: side of the square picture that the tower reads, in pixels; None takes the tower config's.
        feature_layer: which of the tower's hidden states the projector reads.
        tower_gain: draw each matrix and kernel of a fresh tower with the standard deviation gain / sqrt(inputs), and
            not as its class does. Where kernels are standardised (BiT) what flows through stays the same and the tower
            learns at rate / gain.
    """

    tower: dict[str, Any] | str | Path
    decoder: dict[str, Any] | str | Path
    projector: str = "gelu"
    tokenizer: str | None = None
    image_size: int | None = None
    feature_layer: int = -1
    tower_gain: float | None = None


PRESETS: dict[str, BuildSpec] = {
    # About 1 million parameters, 64 image tokens. A small ResNet with GroupNorm and standardised kernels tells shapes
    # after 150 steps where towers with attention need thousands (docs/log.md), and couples no images as BatchNorm does.
    "nano": BuildSpec(
        tower={
            "model_type": "bit",
            "layer_type": "preactivation",
            "global_padding": "SAME",
            "num_groups": 8,
            "embedding_size": 48,
            "hidden_sizes": [128, 128],
            "depths": [2, 2],
        },
        decoder={
            "model_type": "granite",  # a Llama whose embeddings can be scaled
            "hidden_size": 128,
            "intermediate_size": 320,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 2048,
            "tie_word_embeddings": True,
            # Close to 1 / sqrt(width); at 0.02 colours take three times the steps. Embeddings of that size would drown
            # in what the layers add to them, and what is asked for is found late: 12 brings them to 1.
            "initializer_range": 0.08,
            "embedding_multiplier": 12.0,
            "attention_multiplier": 32**-0.5,
        },
        image_size=64,
        tower_gain=0.3,
    ),
}


def preset_spec(name: str) -> BuildSpec:
    """The specification of a preset.

    Raises:
        ConfigError: no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(
            f"preset: expected one of {', '.join(PRESETS)}; got {name!r}. {nearest(name, PRESETS)}".strip()
        )
    return PRESETS[name]
