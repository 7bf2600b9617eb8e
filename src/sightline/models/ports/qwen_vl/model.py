"""Qwen-VL: tower and resampler, decoder, head, in the shape that transformers gives to its own models."""

# Dims: B images, Q features of an image, R rows, L tokens of a row, H hidden, V vocabulary.
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, GenerationMixin, PreTrainedModel, initialization
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPast, BaseModelOutputWithPooling, ModelOutput
from transformers.modeling_utils import slice_logits_to_keep
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm
from transformers.utils import can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from sightline.models.ports.qwen_vl.config import QwenVLConfig
from sightline.models.ports.qwen_vl.decoder import Places, QwenVLAttention, QwenVLBlock
from sightline.models.ports.qwen_vl.positions import (
    keep_alpha,
    kept_alpha,
    log_scale,
    ntk_alpha,
    prompt_lengths,
    rotary,
)
from sightline.models.ports.qwen_vl.visual import QwenVLResampler, QwenVLVisual, sine_table


@dataclass
class QwenVLOutput(ModelOutput):
    """What the model says of rows, as transformers' own models do."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class QwenVLPreTrainedModel(PreTrainedModel):
    """What both classes share: the names below are those that transformers reads."""

    config_class = QwenVLConfig
    config: QwenVLConfig
    base_model_prefix = "transformer"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    _input_embed_layer = "wte"
    _no_split_modules = ["QwenVLBlock", "QwenVLVisualBlock", "QwenVLResampler"]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_record_outputs = {"hidden_states": QwenVLBlock, "attentions": QwenVLAttention}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, QwenVLVisual):
            initialization.normal_(module.positional_embedding, std=module.positional_embedding.shape[1] ** -0.5)
            initialization.normal_(module.proj, std=module.proj.shape[0] ** -0.5)
        if isinstance(module, QwenVLResampler):
            initialization.trunc_normal_(module.query, std=0.02)
            initialization.copy_(module.pos_embed, sine_table(*module.pos_embed.shape))


class QwenVLModel(QwenVLPreTrainedModel):
    """Hidden states of rows of tokens, with the features of images behind their placeholders."""

    def __init__(self, config: QwenVLConfig) -> None:
        super().__init__(config)
        self.wte = nn.Embedding(config.vocab_size, config.hidden_size)
        self.h = nn.ModuleList(QwenVLBlock(config, layer) for layer in range(config.num_hidden_layers))
        self.ln_f = Qwen2RMSNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.visual = QwenVLVisual(config)
        self.gradient_checkpointing = False
        self.post_init()

    @can_return_tuple
    def get_image_features(self, pixel_values: Tensor, **_: Any) -> BaseModelOutputWithPooling:
        """Features of images, (B, Q, H): as one tensor, and as a list of one for each image."""
        features_BQH = self.visual(pixel_values)
        return BaseModelOutputWithPooling(last_hidden_state=features_BQH, pooler_output=list(features_BQH))

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Any = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        mm_encoder_outputs: dict[str, Any] | None = None,
        use_cache: bool | None = None,
        **_: Any,
    ) -> BaseModelOutputWithPast:
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Expected input_ids or inputs_embeds, one of them.")
        if pixel_values is not None and mm_encoder_outputs:
            raise ValueError("Expected pixel_values or mm_encoder_outputs, not both of them.")
        hidden_RLH = self.wte(input_ids) if inputs_embeds is None else inputs_embeds
        shown = (mm_encoder_outputs or {}).get("image")
        if pixel_values is not None:
            shown = self.get_image_features(pixel_values, return_dict=True)
        if shown is not None:
            hidden_RLH = self._with_images(input_ids, hidden_RLH, torch.cat(list(shown.pooler_output)))
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        positions_RL = _positions(position_ids, attention_mask, hidden_RLH, past_key_values)
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=hidden_RLH,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
        places = self._places(positions_RL, attention_mask, past_key_values)
        for layer in self.h:
            hidden_RLH = layer(hidden_RLH, places, attention_mask=mask, past_key_values=past_key_values)
        return BaseModelOutputWithPast(
            last_hidden_state=self.ln_f(hidden_RLH), past_key_values=past_key_values if use_cache else None
        )

    def _with_images(self, input_ids: Tensor | None, hidden_RLH: Tensor, features_FH: Tensor) -> Tensor:
        if input_ids is None:
            raise ValueError("Images stand behind the placeholders of input_ids: expected those, got inputs_embeds.")
        is_feature_RL = input_ids == self.config.image_token_id
        places = int(is_feature_RL.sum())
        if places != len(features_FH):
            raise ValueError(
                f"Expected {self.config.image_features} placeholders (id {self.config.image_token_id}) for each image, "
                f"{len(features_FH)} in all, got {places}."
            )
        features_FH = features_FH.to(hidden_RLH.device, hidden_RLH.dtype)
        return hidden_RLH.masked_scatter(is_feature_RL[..., None], features_FH)

    def _places(self, positions_RL: Tensor, attention_mask: Any, cache: Any) -> Places:
        """Angles and scales of tokens; in evaluation those of a prompt beyond the trained length are others, and stay
        so for what follows it."""
        config, rows = self.config, len(positions_RL)
        alpha_R = None
        if config.use_dynamic_ntk and not self.training:
            if cache is not None and cache.get_seq_length():
                alpha_R = kept_alpha(cache, rows)
            else:
                alpha_R = ntk_alpha(prompt_lengths(attention_mask, positions_RL), config.seq_length)
                keep_alpha(cache, alpha_R)
        cosine, sine = rotary(positions_RL, alpha_R, config.kv_channels, config.rotary_emb_base)
        scales = config.use_logn_attn and not self.training
        return Places(cosine, sine, log_scale(positions_RL, config.seq_length) if scales else None)


def _positions(position_ids: Tensor | None, attention_mask: Any, hidden_RLH: Tensor, cache: Any) -> Tensor:
    """Position of each token, (R, L), from 0; padding in front of a row does not count."""
    rows, length = hidden_RLH.shape[:2]
    if position_ids is not None:
        return position_ids.expand(rows, -1)
    if isinstance(attention_mask, Tensor) and attention_mask.dim() == 2:
        return (attention_mask.long().cumsum(1) - 1).clamp(min=0)[:, -length:]
    seen = cache.get_seq_length() if cache is not None else 0
    return torch.arange(seen, seen + length, device=hidden_RLH.device).expand(rows, -1)


class QwenVLForConditionalGeneration(QwenVLPreTrainedModel, GenerationMixin):
    """Qwen-VL with its head: what the model says of rows, and answers by `generate`."""

    def __init__(self, config: QwenVLConfig) -> None:
        super().__init__(config)
        self.transformer = QwenVLModel(config)
        self.lm_head: nn.Module = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.lm_head = new_embeddings

    def get_image_features(self, pixel_values: Tensor, **settings: Any) -> BaseModelOutputWithPooling:
        """Features of images, (B, Q, H): as one tensor, and as a list of one for each image."""
        return self.transformer.get_image_features(pixel_values, return_dict=settings.get("return_dict"))

    @can_return_tuple
    def forward(  # noqa: PLR0913  transformers' models take their inputs by name
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Any = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        mm_encoder_outputs: dict[str, Any] | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **settings: Any,
    ) -> QwenVLOutput:
        output = self.transformer(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            mm_encoder_outputs=mm_encoder_outputs,
            use_cache=use_cache,
            return_dict=True,
            **settings,
        )
        logits_RLV = self.lm_head(slice_logits_to_keep(output.last_hidden_state, logits_to_keep))
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits_RLV, labels=labels, vocab_size=self.config.vocab_size, **settings)
        return QwenVLOutput(loss, logits_RLV, output.past_key_values, output.hidden_states, output.attentions)
