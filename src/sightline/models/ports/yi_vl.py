"""Yi-VL: LLaVA with layer norms in its projector."""

# Dims: F features, T channels of the tower, H hidden size.
from __future__ import annotations

from torch import Tensor, nn
from transformers import LlavaConfig, LlavaForConditionalGeneration
from transformers.activations import ACT2FN


class YiVLConfig(LlavaConfig):
    """LLaVA's, under a name of its own."""

    model_type = "yi_vl"


class YiVLProjector(nn.Module):
    """Linear, norm, exact GELU, linear, norm (01-ai/Yi:VL, `mlp2x_gelu_Norm`)."""

    def __init__(self, config: YiVLConfig) -> None:
        super().__init__()
        tower, hidden = config.vision_config.hidden_size, config.text_config.hidden_size
        self.linear_1 = nn.Linear(tower, hidden)
        self.norm_1 = nn.LayerNorm(hidden)
        self.act = ACT2FN[config.projector_hidden_act]
        self.linear_2 = nn.Linear(hidden, hidden)
        self.norm_2 = nn.LayerNorm(hidden)

    def forward(self, features_FT: Tensor) -> Tensor:
        hidden_FH: Tensor = self.norm_2(self.linear_2(self.act(self.norm_1(self.linear_1(features_FT)))))
        return hidden_FH


class YiVLForConditionalGeneration(LlavaForConditionalGeneration):
    """LLaVA of transformers with Yi-VL's projector."""

    config_class = YiVLConfig

    def __init__(self, config: YiVLConfig) -> None:
        super().__init__(config)
        self.model.multi_modal_projector = YiVLProjector(config)
        self.post_init()
