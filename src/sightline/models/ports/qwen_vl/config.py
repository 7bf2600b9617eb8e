"""The settings of Qwen-VL as its config.json has them, and what of them this port can be."""

from __future__ import annotations

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

MODEL_TYPE = "qwen"  # that of plain Qwen-7B, too: only a model with pictures has the settings `visual`
IMAGE_PAD_BEHIND_START = 2  # <img>, </img>, <imgpad> have consecutive ids
HEAD_OF_RESAMPLER = 128
VISUAL: dict[str, Any] = {
    "heads": 16,
    "image_size": 448,
    "image_start_id": 151857,
    "layers": 48,
    "mlp_ratio": 4.9231,
    "output_dim": 4096,
    "patch_size": 14,
    "width": 1664,
}


@strict
class QwenVLConfig(PreTrainedConfig):
    """Settings of Qwen-VL under the names of its authors; the defaults are those of the published models.

    Attributes:
        intermediate_size: of both halves of an MLP together.
        kv_channels: width of a head.
        seq_length: tokens of the texts that it was trained on; beyond, evaluation stretches positions.
        use_dynamic_ntk: whether longer prompts are read with a larger rotary base.
        use_logn_attn: whether queries beyond are scaled by the logarithm of their position.
        visual: settings of tower and resampler; `n_queries` is 256 where it is left out.

    Source: config.json and configuration_qwen.py of Qwen/Qwen-VL-Chat.
    """

    model_type = MODEL_TYPE
    keys_to_ignore_at_inference = ["past_key_values"]

    vocab_size: int = 151936
    hidden_size: int = 4096
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    intermediate_size: int = 22016
    kv_channels: int = 128
    layer_norm_epsilon: float = 1e-6
    rotary_emb_base: float | int = 10000
    rotary_pct: float | int = 1.0
    seq_length: int = 2048
    max_position_embeddings: int = 8192
    no_bias: bool = True
    use_dynamic_ntk: bool = True
    use_logn_attn: bool = True
    initializer_range: float = 0.02
    attn_dropout_prob: float | int = 0.0
    emb_dropout_prob: float | int = 0.0
    use_cache: bool = True
    tie_word_embeddings: bool = False
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    visual: dict[str, Any] | None = None

    def __post_init__(self, **settings: Any) -> None:
        self.visual = {**VISUAL, **(self.visual or {})}
        super().__post_init__(**settings)

    @property
    def image_token_id(self) -> int:
        """The id of <imgpad>, which stands for one feature of an image."""
        assert self.visual is not None
        return int(self.visual["image_start_id"]) + IMAGE_PAD_BEHIND_START

    @property
    def image_features(self) -> int:
        """Features of an image, and so its tokens between <img> and </img>."""
        assert self.visual is not None
        return int(self.visual.get("n_queries", 256))


def unfit(settings: dict[str, Any]) -> str:
    """What of a config.json no Qwen-VL of 2023 has, in words that go on "expected"; empty where nothing is."""
    config = {"hidden_size": 4096, "num_attention_heads": 32, "kv_channels": 128, "rotary_pct": 1.0, **settings}
    visual = {**VISUAL, **settings["visual"]}
    wrong = [name for name in VISUAL if not _is_number(visual[name])]
    wrong += [name for name in ("hidden_size", "num_attention_heads", "kv_channels") if not _is_number(config[name])]
    if wrong:
        return f"a number above 0 at {', '.join(wrong)}"
    if config["num_attention_heads"] * config["kv_channels"] != config["hidden_size"]:
        return (
            f"a hidden_size of num_attention_heads x kv_channels = "
            f"{config['num_attention_heads'] * config['kv_channels']}, got {config['hidden_size']}"
        )
    if visual["output_dim"] != config["hidden_size"]:
        return f"the output_dim of visual to be the hidden_size {config['hidden_size']}, got {visual['output_dim']}"
    if visual["width"] % visual["heads"] or visual["image_size"] % visual["patch_size"]:
        return (
            f"visual to have a width that its heads divide and an image_size that its patch_size divides, got "
            f"{visual['width']} / {visual['heads']} and {visual['image_size']} / {visual['patch_size']}"
        )
    if not config.get("no_bias", True) or config["rotary_pct"] != 1.0:
        return f"no_bias true and rotary_pct 1.0, got {config.get('no_bias', True)} and {config['rotary_pct']}"
    drops = [name for name in ("attn_dropout_prob", "emb_dropout_prob") if config.get(name)]
    return f"no dropout, got {drops[0]} {config[drops[0]]}" if drops else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
