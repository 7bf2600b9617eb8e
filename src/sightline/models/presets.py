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
        scale_by_inputs: draw each matrix and kernel of a fresh tower with the standard deviation 1 / sqrt(inputs), and
            not with the one that its config gives to all: a depthwise kernel has 9 inputs, a wide layer 512.
    """

    tower: dict[str, Any] | str | Path
    decoder: dict[str, Any] | str | Path
    projector: str = "gelu"
    tokenizer: str | None = None
    image_size: int | None = None
    feature_layer: int = -1
    scale_by_inputs: bool = False


PRESETS: dict[str, BuildSpec] = {
    # About 1 million parameters, 64 image tokens. Overlapping convolutions in front and depthwise ones inside learn
    # shapes where a patch tower stalls on colours (docs/log.md), and no BatchNorm couples the images of a batch.
    "nano": BuildSpec(
        tower={
            "model_type": "segformer",
            "num_encoder_blocks": 2,
            "depths": [1, 2],
            "sr_ratios": [4, 1],
            "hidden_sizes": [48, 128],
            "patch_sizes": [7, 3],
            "strides": [4, 2],
            "num_attention_heads": [1, 4],
            "mlp_ratios": [4, 4],
            "reshape_last_stage": False,
            "drop_path_rate": 0.0,
            "hidden_dropout_prob": 0.0,
            "classifier_dropout_prob": 0.0,
        },
        decoder={
            "model_type": "llama",
            "hidden_size": 128,
            "intermediate_size": 320,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 2048,
            "tie_word_embeddings": True,
            "initializer_range": 0.08,  # close to 1 / sqrt(width); at 0.02 colours take three times the steps
        },
        image_size=64,
        scale_by_inputs=True,
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
