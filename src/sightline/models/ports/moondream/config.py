"""Settings of moondream2: tower, decoder, how a picture is cut, and what the region head has."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

# Of 2024 and of 2025; see docs/models.md.
ONE_VIEW, TILES, CROPS, STARMIE_CROPS = "A", "B", "C", "D"
TOWER = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 378,
    "patch_size": 14,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-5,
    "vision_use_head": False,
}
DECODER = {
    "vocab_size": 51200,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 24,
    "num_attention_heads": 32,
    "layer_norm_eps": 1e-5,
    "hidden_act": "gelu_new",
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
    "bos_token_id": 50256,
    "eos_token_id": 50256,
}


class MoondreamConfig(PreTrainedConfig):
    """The generations A (one view of a picture) and B (a view and tiles), of 2024.

    Attributes:
        generation: A or B.
        projector_size: width of the projector's hidden layer.
        overlap: patches at each side of a crop that its neighbours see, too.
        sees_prefix: everything up to the last image token looks at each other, both ways.
        image_token_id: the token in whose place a feature goes. The first one behind the vocabulary of GPT-2 as CodeGen
            has it, which the embeddings have a row for.
    """

    model_type = "moondream1"  # as published
    sub_configs_defaults = {
        "vision_config": SubConfigSpec(config_class=AutoConfig, model_type="siglip_vision_model", init_kwargs=TOWER),
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="phi", init_kwargs=DECODER),
    }

    vision_config: Any = None  # a config, made of a dict
    text_config: Any = None
    generation: str = ONE_VIEW
    projector_size: int = 8192
    overlap: int = 0
    sees_prefix: bool = False
    image_token_id: int = 50295
    tie_word_embeddings: bool = False

    @property
    def grid(self) -> int:
        """Patches in a row of a view."""
        return int(self.vision_config.image_size // self.vision_config.patch_size)


class MoondreamRegionConfig(MoondreamConfig):
    """The generations C and D, of 2025: overlapping crops, a prefix that looks both ways, a region head.

    Attributes:
        generation: C, with GPT-2's vocabulary, or D, with that of starmie-v1.
        region_size: width of the hidden layers of the region head.
        coordinate_features, size_features: numbers that a coordinate, or width and height, are made into.
        bins: how many values a coordinate or a size may have.
        log_sizes: bins of sizes are steps of a factor (since 2025-03-27), not of the picture's side.
    """

    model_type = "moondream2"

    generation: str = CROPS
    overlap: int = 4
    sees_prefix: bool = True
    region_size: int = 8192
    coordinate_features: int = 256
    size_features: int = 512
    bins: int = 1024
    log_sizes: bool = True
