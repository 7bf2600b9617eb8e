"""The model of moondream2: SigLIP's tower, a projector of two layers, Phi; and the mask of its image prefix."""

# Dims: I pictures, N views of one, P patches of a view, C channels of the tower, H hidden, B rows, L tokens.
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask
from transformers import GenerationMixin, PhiModel, PreTrainedModel, SiglipVisionModel
from transformers.activations import ACT2FN
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPast, BaseModelOutputWithPooling, CausalLMOutputWithPast
from transformers.modeling_utils import slice_logits_to_keep
from transformers.utils.generic import can_return_tuple

from sightline.models.ports.moondream.config import ONE_VIEW, MoondreamConfig
from sightline.models.ports.moondream.views import joined_views

PREFIX, ALONE = 0, -1  # blocks of transformers' masks


class MoondreamProjector(nn.Module):
    """Two layers between tower and decoder."""

    def __init__(self, config: MoondreamConfig) -> None:
        super().__init__()
        width = config.vision_config.hidden_size * (1 if config.generation == ONE_VIEW else 2)
        self.linear_1 = nn.Linear(width, config.projector_size)
        self.act = ACT2FN["gelu_pytorch_tanh"]
        self.linear_2 = nn.Linear(config.projector_size, config.text_config.hidden_size)

    def forward(self, patch_IPC: Tensor) -> Tensor:
        return self.linear_2(self.act(self.linear_1(patch_IPC)))


class MoondreamPreTrainedModel(PreTrainedModel):
    """What both classes share with transformers."""

    config: MoondreamConfig
    config_class = MoondreamConfig
    base_model_prefix = "model"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    _no_split_modules = ["PhiDecoderLayer", "SiglipEncoderLayer"]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True


class MoondreamModel(MoondreamPreTrainedModel):
    """Tower, projector and decoder, up to hidden states."""

    def __init__(self, config: MoondreamConfig) -> None:
        super().__init__(config)
        self.vision_tower = SiglipVisionModel._from_config(config.vision_config)
        self.multi_modal_projector = MoondreamProjector(config)
        self.language_model = PhiModel._from_config(config.text_config)
        self.post_init()

    @can_return_tuple
    def get_image_features(
        self, pixel_values: Tensor, image_tiles: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """Features of pictures as the decoder receives them, a list of (P, H).

        Args:
            pixel_values: (I, 3, side, side); with tiles or crops (I, N, 3, side, side), the whole picture first, and
                padding behind the last of a picture that has fewer.
            image_tiles: with tiles or crops how many are in a column and in a row, (I, 2).
        """
        if pixel_values.dim() == 4:
            output = self.vision_tower(pixel_values, **kwargs)
            seen_IPC = output.last_hidden_state
        else:
            if image_tiles is None:
                raise ValueError("Expected image_tiles beside pixel_values of tiles or crops, as the processor makes.")
            tiles = [(rows, columns) for rows, columns in image_tiles.tolist()]
            views = [1 + rows * columns if rows * columns > 1 or self.config.overlap else 1 for rows, columns in tiles]
            output = self.vision_tower(
                torch.cat([each[:count] for each, count in zip(pixel_values, views, strict=True)]), **kwargs
            )
            parts = output.last_hidden_state.split(views)
            seen_IPC = torch.stack(
                [joined_views(part, each, self.config.overlap) for part, each in zip(parts, tiles, strict=True)]
            )
        output.pooler_output = list(self.multi_modal_projector(seen_IPC))
        return output

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_tiles: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Hidden states, (B, L, H), after the last norm.

        `mm_encoder_outputs` are features that `get_image_features` gave before, under the name `image`. A mask of four
        dimensions is taken as it is.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Expected either input_ids or inputs_embeds.")
        encoded = (mm_encoder_outputs or {}).get("image")
        if pixel_values is not None:
            if encoded is not None:
                raise ValueError("Expected either pixel_values or mm_encoder_outputs.")
            encoded = self.get_image_features(pixel_values, image_tiles, return_dict=True)
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        if encoded is not None:
            inputs_embeds = self._with_features(input_ids, inputs_embeds, encoded.pooler_output)
        outputs: BaseModelOutputWithPast = self.language_model(
            attention_mask=self._mask(input_ids, inputs_embeds, attention_mask, past_key_values, position_ids),
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        return outputs

    def _with_features(self, input_ids: Tensor | None, embedding_BLH: Tensor, features: list[Tensor]) -> Tensor:
        if input_ids is None:
            raise ValueError("Expected input_ids, which say where images go.")
        place_BL = input_ids == self.config.image_token_id
        feature_FH = torch.cat(list(features)).to(embedding_BLH.device, embedding_BLH.dtype)
        if int(place_BL.sum()) != len(feature_FH):
            raise ValueError(f"{int(place_BL.sum())} image tokens in the text, but {len(feature_FH)} image features.")
        return embedding_BLH.masked_scatter(place_BL[..., None], feature_FH)

    def _mask(
        self,
        input_ids: Tensor | None,
        embedding_BLH: Tensor,
        attention_mask: Any,
        past_key_values: Any,
        position_ids: Tensor | None,
    ) -> Any:
        """What the decoder takes as its mask: of 2025, where an image is among the tokens, its prefix sees itself."""
        if not self.config.sees_prefix or (
            isinstance(attention_mask, Tensor | BlockMask) and len(attention_mask.shape) == 4
        ):
            return attention_mask
        if input_ids is None:
            raise ValueError("Expected input_ids, which say where images are, or a mask of four dimensions.")
        block_BL = prefix_blocks(input_ids, self.config.image_token_id, attention_mask)
        if not (block_BL == PREFIX).any():
            return attention_mask
        if past_key_values is not None and past_key_values.get_seq_length():
            raise ValueError("Expected an image in front of all text, but the cache holds tokens before it.")
        return create_causal_mask(
            config=self.config.text_config,
            inputs_embeds=embedding_BLH,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
            block_sequence_ids=block_BL,
        )


class MoondreamForConditionalGeneration(MoondreamPreTrainedModel, GenerationMixin):
    """moondream2 of 2024 with its head."""

    def __init__(self, config: MoondreamConfig) -> None:
        super().__init__(config)
        self.model = MoondreamModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=True)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def get_image_features(
        self, pixel_values: Tensor, image_tiles: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        return self.model.get_image_features(pixel_values, image_tiles, **kwargs)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_tiles: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits, (B, L, vocabulary), and with `labels` the loss."""
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            image_tiles=image_tiles,
            attention_mask=attention_mask,
            return_dict=True,
            **kwargs,
        )
        logits = self.lm_head(slice_logits_to_keep(outputs.last_hidden_state, logits_to_keep))
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, self.config.text_config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


def prefix_blocks(input_ids: Tensor, image_token_id: int, attention_mask: Tensor | None) -> Tensor:
    """For each token PREFIX where it stands up to the row's last image token and is no padding, else ALONE, (B, L)."""
    place_BL = (input_ids == image_token_id).int()
    inside_BL = place_BL.flip(1).cumsum(1).flip(1) > 0
    if attention_mask is not None:
        inside_BL = inside_BL & attention_mask[:, -input_ids.shape[1] :].bool()
    return torch.where(inside_BL, PREFIX, ALONE)
