"""CogVLM on transformers' building blocks, under the published names of its weights."""

# Dims: R rows, L tokens of a row, N images, P tokens of an image, H hidden.
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel, initialization as init
from transformers.cache_utils import Cache, DynamicCache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    BaseModelOutputWithPooling,
    CausalLMOutputWithPast,
)
from transformers.utils import can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from sightline.models.ports.cogvlm.config import CogVLMConfig
from sightline.models.ports.cogvlm.decoder import (
    CogVLMAttention,
    CogVLMDecoderLayer,
    CogVLMRMSNorm,
    CogVLMRotary,
    exact_frequencies,
)
from sightline.models.ports.cogvlm.experts import find_runs
from sightline.models.ports.cogvlm.vision import CogVLMPatchEmbedding, CogVLMVision


class CogVLMPreTrainedModel(PreTrainedModel):
    """What transformers must know of both classes."""

    config: CogVLMConfig
    config_class = CogVLMConfig
    base_model_prefix = "model"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    _no_split_modules = ["CogVLMDecoderLayer", "CogVLMVisionLayer"]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    _supports_attention_backend = True
    _can_record_outputs = {"hidden_states": CogVLMDecoderLayer, "attentions": CogVLMAttention}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, CogVLMRotary):
            init.copy_(module.inv_freq, exact_frequencies(self.config))
        elif isinstance(module, CogVLMPatchEmbedding):
            init.normal_(module.cls_embedding, std=self.config.initializer_range)
        elif isinstance(module, CogVLMVision):
            init.normal_(module.boi, std=self.config.initializer_range)
            init.normal_(module.eoi, std=self.config.initializer_range)


class CogVLMModel(CogVLMPreTrainedModel):
    """Vision tower, projector and decoder, without the head."""

    def __init__(self, config: CogVLMConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([CogVLMDecoderLayer(config, layer) for layer in range(config.num_hidden_layers)])
        self.norm = CogVLMRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.vision = CogVLMVision(config)
        self.gradient_checkpointing = False
        self.post_init()

    def get_decoder(self) -> DecoderParts:
        """The parts of the decoder: the published names have no module of their own for it."""
        return DecoderParts(self)

    def get_image_features(self, pixel_values: Tensor, return_dict: bool = True) -> BaseModelOutputWithPooling:
        """`pooler_output`, (N, P, H): what stands in the place of an image's tokens, begin and end among them."""
        features: BaseModelOutputWithPooling = self.vision(pixel_values)
        return features

    @staticmethod
    def get_rope_index(
        input_ids: Tensor,
        mm_token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_grid_thw: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Positions, (R, L), and by how much the next token's differs from the number of tokens, (R, 1).

        All patches of an image stand at one position: begin, patches and end take three. Named and called as the
        positions of M-RoPE families are in transformers; types are 1 for tokens of images, and there is no grid.
        """
        seen_RL = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
        is_image_RL = torch.zeros_like(seen_RL, dtype=torch.bool)
        if mm_token_type_ids is not None:
            is_image_RL = (mm_token_type_ids == 1) & (seen_RL == 1)
        around = nn.functional.pad(is_image_RL, (2, 1))
        before2, before, after = around[:, :-3], around[:, 1:-2], around[:, 3:]
        stays_RL = is_image_RL & before & before2 & after  # a patch behind the first one
        positions_RL = (seen_RL.masked_fill(stays_RL, 0).cumsum(1) - 1).masked_fill(seen_RL == 0, 0)
        return positions_RL, positions_RL.amax(1, keepdim=True) + 1 - seen_RL.sum(1, keepdim=True)

    @merge_with_config_defaults
    @capture_outputs
    def forward(  # noqa: PLR0913  transformers' models take their inputs by name
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Hidden states of all tokens.

        Args:
            token_type_ids: (R, L), 1 for tokens of images, 0 for others; left out where there is no image.
            position_ids: (R, L), by default those of `get_rope_index`.
            attention_mask: of two dimensions, or an additive one of four.
            mm_encoder_outputs: under `image` what `get_image_features` gave, instead of `pixel_values`.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("CogVLM: expected either input_ids or inputs_embeds.")
        if inputs_embeds is None:
            inputs_embeds = self.embed_tokens(input_ids)
        images = (mm_encoder_outputs or {}).get("image")
        if images is None and pixel_values is not None:
            images = self.get_image_features(pixel_values)
        if images is not None:
            inputs_embeds = _with_images(inputs_embeds, images.pooler_output, token_type_ids, attention_mask)
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        kept = past_key_values.get_seq_length() if past_key_values is not None else 0
        if position_ids is None:
            position_ids = self._own_positions(inputs_embeds, attention_mask, token_type_ids, kept)
        mask = create_causal_mask(  # without positions, whose repetition would be taken for packed rows
            config=self.config,
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
        )
        runs = find_runs(token_type_ids, inputs_embeds.shape[:2].numel())
        hidden_RLH = inputs_embeds
        for layer in self.layers:
            hidden_RLH = layer(hidden_RLH, mask, position_ids, runs, past_key_values=past_key_values)
        return BaseModelOutputWithPast(last_hidden_state=self.norm(hidden_RLH), past_key_values=past_key_values)

    def _own_positions(
        self, embeddings_RLH: Tensor, attention_mask: Tensor | None, types_RL: Tensor | None, kept: int
    ) -> Tensor:
        if kept:
            raise ValueError(
                "CogVLM: position_ids are needed beside a cache, since images do not take as many as tokens."
            )
        rows, length = embeddings_RLH.shape[:2]
        ids_RL = torch.zeros(rows, length, dtype=torch.long, device=embeddings_RLH.device)
        padding = attention_mask if attention_mask is not None and attention_mask.dim() == 2 else None
        return self.get_rope_index(ids_RL, types_RL, padding)[0]


class DecoderParts(nn.Module):
    """The decoder's modules under one roof, for whoever asks a model for its decoder; made anew for each question."""

    _supports_flex_attn = False

    def __init__(self, model: CogVLMModel) -> None:
        super().__init__()
        self.config = model.config
        self.embed_tokens, self.layers, self.norm = model.embed_tokens, model.layers, model.norm


class CogVLMForCausalLM(CogVLMPreTrainedModel, GenerationMixin):
    """CogVLM with its head; the name is the one in published config.json files."""

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: CogVLMConfig) -> None:
        super().__init__(config)
        self.model = CogVLMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_image_features(self, pixel_values: Tensor, return_dict: bool = True) -> BaseModelOutputWithPooling:
        """As `CogVLMModel.get_image_features`."""
        return self.model.get_image_features(pixel_values, return_dict)

    @can_return_tuple
    def forward(  # noqa: PLR0913  transformers' models take their inputs by name
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits, and with `labels` the mean loss; inputs as `CogVLMModel.forward` takes them."""
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            token_type_ids=token_type_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            mm_encoder_outputs=mm_encoder_outputs,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _update_model_kwargs_for_generation(self, *inputs: Any, **kwargs: Any) -> dict[str, Any]:
        """The arguments of the next step of `generate`; the token said is text, where transformers (5.23) would give it
        the type of the one before, the end of an image where a prompt has no words."""
        updated: dict[str, Any] = super()._update_model_kwargs_for_generation(*inputs, **kwargs)
        if updated.get("token_type_ids") is not None:
            updated["token_type_ids"][:, -kwargs.get("num_new_tokens", 1) :] = 0
        return updated

    def _expand_multimodal_outputs(
        self, input_ids: Tensor, mm_encoder_output: dict[str, Any], expand_size: int = 1, inputs_embeds: Any = None
    ) -> dict[str, Any]:
        """The features for `expand_size` answers a prompt, which has one image or none; transformers (5.23) would look
        for an image's tokens by their id, which padding has, too."""
        images = mm_encoder_output.get("image")
        if images is not None:
            images.pooler_output = images.pooler_output.repeat_interleave(expand_size, dim=0)
        return mm_encoder_output

    def _prepare_position_ids_for_generation(self, inputs_tensor: Tensor, model_kwargs: dict[str, Any]) -> Tensor:
        ids = model_kwargs.get("input_ids")
        ids = inputs_tensor if ids is None or not ids.shape[1] else ids
        return self.model.get_rope_index(ids, model_kwargs.get("token_type_ids"), model_kwargs.get("attention_mask"))[0]


def _with_images(
    embeddings_RLH: Tensor, features: Any, types_RL: Tensor | None, attention_mask: Tensor | None
) -> Tensor:
    """The embeddings with the images' features, in reading order, in the places of type 1."""
    features_FH = features if isinstance(features, Tensor) else torch.cat(list(features))
    features_FH = features_FH.reshape(-1, features_FH.shape[-1]).to(embeddings_RLH)
    if types_RL is None:
        raise ValueError("CogVLM: token_type_ids are needed beside images; the processor gives them.")
    is_image_RL = types_RL == 1
    if attention_mask is not None and attention_mask.dim() == 2:  # one guessed from the ids, where padding has theirs
        is_image_RL = is_image_RL & (attention_mask[:, -types_RL.shape[1] :] == 1)
    if int(is_image_RL.sum()) != len(features_FH):
        raise ValueError(
            f"CogVLM: expected as many tokens of images as features, got {int(is_image_RL.sum())} (token_type_ids of 1 "
            f"that attention_mask does not leave out) and {len(features_FH)}. Pass all that the processor gives."
        )
    return embeddings_RLH.masked_scatter(is_image_RL[..., None], features_FH)
