"""Settings of CogVLM, under the names of the published config.json."""

# Annotations are no strings here: `strict` (huggingface_hub 1.x) checks values by types alone.
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

BASE, CHAT = "base", "chat"  # values of `template_version`


@strict
class CogVLMVisionConfig(PreTrainedConfig):
    """The vision tower, EVA2-CLIP-E, and the size of its images.

    Attributes:
        num_positions: patches of an image, and the class token.
    """

    model_type = "cogvlm_vision"
    base_config_key = "vision_config"
    attribute_map = {"num_attention_heads": "num_heads", "num_channels": "in_channels"}

    hidden_size: int = 1792
    intermediate_size: int = 15360
    num_hidden_layers: int = 63
    num_heads: int = 16
    in_channels: int = 3
    image_size: int = 490
    patch_size: int = 14
    num_positions: int = 1226
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-6
    dropout_prob: float = 0.0
    initializer_range: float = 0.02

    def validate_architecture(self) -> None:
        """Raise ValueError where sizes contradict each other; transformers calls it when a config is made."""
        _require_positive(self, ("image_size", "patch_size", "num_heads", "num_hidden_layers"))
        patches = (self.image_size // self.patch_size) ** 2
        if self.num_positions != patches + 1:
            raise ValueError(
                f"vision_config: expected num_positions {patches + 1} for images of {self.image_size} pixels in "
                f"patches of {self.patch_size} and a class token, got {self.num_positions}"
            )
        if self.hidden_size % self.num_heads:
            raise ValueError(f"vision_config: hidden_size {self.hidden_size} does not divide by {self.num_heads} heads")


@strict
class CogVLMConfig(PreTrainedConfig):
    """The decoder, and the vision tower in `vision_config`.

    Attributes:
        template_version: which prompt the weights were trained on: `base` or `chat`.
        exact_rotary: whether rotary frequencies are computed from `rope_theta` in full precision. By default those in
            the weights are taken, which the authors trained with and rounded to bfloat16.
    """

    model_type = "cogvlm"
    sub_configs_defaults = {"vision_config": CogVLMVisionConfig}
    keys_to_ignore_at_inference = ["past_key_values"]

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    exact_rotary: bool = False
    template_version: str = CHAT
    initializer_range: float = 0.02
    use_cache: bool = True
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    tie_word_embeddings: bool = False
    vision_config: dict | PreTrainedConfig | None = None

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def num_key_value_heads(self) -> int:
        return self.num_attention_heads

    @property
    def image_tokens(self) -> int:
        """Tokens of an image: its patches between a begin and an end."""
        vision: Any = self.vision_config
        return int(vision.num_positions) + 1

    def validate_architecture(self) -> None:
        """Raise ValueError for settings that no CogVLM has; transformers calls it when a config is made."""
        _require_positive(self, ("num_attention_heads", "num_hidden_layers", "vocab_size"))
        heads = self.num_attention_heads
        if self.hidden_size % (2 * heads):
            raise ValueError(f"hidden_size: expected a multiple of twice the {heads} heads, got {self.hidden_size}")
        if self.template_version not in (BASE, CHAT):
            raise ValueError(f"template_version: expected {BASE} or {CHAT}, got {self.template_version!r}")


def _require_positive(config: PreTrainedConfig, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name}: expected a number above 0, got {getattr(config, name)}")
