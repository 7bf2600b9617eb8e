"""ViLT with its pretraining heads: image-text matching, masked words, word-patch alignment, masked patches."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import ViltConfig
from transformers.modeling_outputs import ModelOutput
from transformers.models.vilt.modeling_vilt import (
    ViltMLMHead,
    ViltModel,
    ViltPredictionHeadTransform,
    ViltPreTrainedModel,
)

from sightline.models.vilt.alignment import cosine_cost, ipot, transport_cost
from sightline.models.vilt.embedding import Patches, embed_pictures, embed_texts, encode_pairs

# Dims: B pairs, L tokens, P patches with the picture's own token in front, H hidden, V vocabulary.

COLOUR_LEVELS = 256
CHANNELS = 3


@dataclass
class ViltPreTrainingOutput(ModelOutput):
    """What pretraining computed; an objective that had no labels leaves its fields None.

    Attributes:
        loss: the sum of the objectives that had labels.
        itm_loss, mlm_loss, mpp_loss: mean cross-entropies, in nats.
        wpa_loss: transport cost of true pairs minus that of false ones, over all pairs, not yet weighted.
        mlm_logits: (B, L, V) of the masked texts.
        itm_logits: (B, 2) of false and true.
        mpp_logits: (B, P - 1, 3, 256) colour levels of patches.
    """

    loss: Tensor | None = None
    itm_loss: Tensor | None = None
    mlm_loss: Tensor | None = None
    wpa_loss: Tensor | None = None
    mpp_loss: Tensor | None = None
    mlm_logits: Tensor | None = None
    itm_logits: Tensor | None = None
    mpp_logits: Tensor | None = None


class ViltForPreTraining(ViltPreTrainedModel):
    """`ViltModel` with the heads of pretraining. Its names are those of `ViltForMaskedLM` and of the authors' matching
    head, so its folder loads as any ViLT class of transformers and the Hub's folders load here.

    `config.wpa_weight` (0.1) weighs the alignment of words and patches inside matching; 0 leaves it out.
    """

    _tied_weights_keys = {"mlm_score.decoder.weight": "vilt.embeddings.text_embeddings.word_embeddings.weight"}

    def __init__(self, config: ViltConfig) -> None:
        super().__init__(config)
        self.vilt = ViltModel(config)
        self.mlm_score = ViltMLMHead(config)
        self.itm_score = nn.Sequential(OrderedDict(fc=nn.Linear(config.hidden_size, 2)))
        if getattr(config, "masked_patches", False):
            self.mask_token = nn.Parameter(torch.zeros(config.hidden_size))
            self.mpp_score = nn.Sequential(
                OrderedDict(
                    transform=ViltPredictionHeadTransform(config),
                    decoder=nn.Linear(config.hidden_size, CHANNELS * COLOUR_LEVELS),
                )
            )
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.mlm_score.decoder

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.mlm_score.decoder = new_embeddings

    def forward(  # noqa: PLR0913  transformers' models take their inputs by name
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        masked_ids: Tensor | None = None,
        mlm_labels: Tensor | None = None,
        shown_picture: Tensor | None = None,
        itm_labels: Tensor | None = None,
        masked_patches: Tensor | None = None,
    ) -> ViltPreTrainingOutput:
        """Losses and logits. Without labels: the logits of `input_ids` beside their own pictures, from both heads.

        Pictures are embedded once, for all objectives.

        Args:
            input_ids: (B, L) texts; `masked_ids` the same with words hidden, and `mlm_labels` those words.
            shown_picture: (B) which picture of the batch each text is matched with; `itm_labels` (B) 1 where it is
                the text's own.
            masked_patches: (B, height / patch, width / patch) True where a patch is hidden from masked-patch
                prediction.
        """
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if pixel_mask is None:
            pixel_mask = torch.ones_like(pixel_values[:, 0], dtype=torch.long)
        patches = embed_pictures(self.vilt, pixel_values, pixel_mask)
        if itm_labels is None and mlm_labels is None and masked_patches is None:
            hidden = self._encode(input_ids, attention_mask, patches)
            mlm = self.mlm_score(hidden[:, : input_ids.shape[1]])
            return ViltPreTrainingOutput(mlm_logits=mlm, itm_logits=self.itm_score(self.vilt.pooler(hidden)))
        parts: dict[str, Tensor] = {}
        if mlm_labels is not None:
            parts |= self._masked_words(masked_ids, attention_mask, patches, mlm_labels)
        if itm_labels is not None:
            parts |= self._matching(input_ids, attention_mask, _rows(patches, shown_picture), itm_labels)
        if masked_patches is not None:
            parts |= self._masked_patches(input_ids, attention_mask, patches, masked_patches, pixel_values)
        weights = {"itm_loss": 1.0, "mlm_loss": 1.0, "mpp_loss": 1.0, "wpa_loss": self._wpa_weight}
        weighted = [weight * parts[name] for name, weight in weights.items() if name in parts]
        return ViltPreTrainingOutput(loss=torch.stack(weighted).sum(), **parts)

    @property
    def _wpa_weight(self) -> float:
        return float(getattr(self.config, "wpa_weight", 0.1))

    def _encode(self, ids_BL: Tensor, mask_BL: Tensor, patches: Patches) -> Tensor:
        return encode_pairs(self.vilt, embed_texts(self.vilt, ids_BL), mask_BL, patches.states_BPH, patches.mask_BP)

    def _masked_words(self, ids_BL: Any, mask_BL: Tensor, patches: Patches, labels_BL: Tensor) -> dict[str, Tensor]:
        hidden = self._encode(ids_BL, mask_BL, patches)
        logits = self.mlm_score(hidden[:, : labels_BL.shape[1]])
        loss = functional.cross_entropy(logits.flatten(0, 1).float(), labels_BL.flatten())
        return {"mlm_loss": loss, "mlm_logits": logits}

    def _matching(self, ids_BL: Tensor, mask_BL: Tensor, shown: Patches, labels_B: Tensor) -> dict[str, Tensor]:
        hidden = self._encode(ids_BL, mask_BL, shown)
        logits = self.itm_score(self.vilt.pooler(hidden))
        found = {"itm_loss": functional.cross_entropy(logits.float(), labels_B), "itm_logits": logits}
        if self._wpa_weight:
            words, patches = hidden[:, : ids_BL.shape[1]], hidden[:, ids_BL.shape[1] :]
            cost = cosine_cost(words, patches)
            plan = ipot(cost, _inner(mask_BL), _without_first(shown.mask_BP))
            signs = 2 * labels_B.to(cost.dtype) - 1
            found["wpa_loss"] = (signs * transport_cost(cost, plan)).mean()
        return found

    def _masked_patches(
        self, ids_BL: Tensor, mask_BL: Tensor, patches: Patches, hidden_Bhw: Tensor, pixels: Tensor
    ) -> dict[str, Tensor]:
        """Mean colour of hidden patches, as one of 256 levels per channel."""
        places = patches.places_BP[:, 1:]
        is_hidden = hidden_Bhw.flatten(1).gather(1, places) & patches.mask_BP[:, 1:].bool()
        size = self.config.patch_size
        means_BChw = functional.avg_pool2d((pixels * 0.5 + 0.5).clamp(0, 1), size)
        levels_BPC = (means_BChw.flatten(2).transpose(1, 2) * (COLOUR_LEVELS - 1)).long()
        levels_BPC = levels_BPC.gather(1, places.unsqueeze(2).expand(-1, -1, CHANNELS))
        first = torch.zeros_like(is_hidden[:, :1])
        at = torch.cat([first, is_hidden], dim=1).unsqueeze(2)
        states = torch.where(at, self.mask_token, patches.states_BPH)
        shown = Patches(states, patches.mask_BP, patches.places_BP, patches.grid)
        hidden = self._encode(ids_BL, mask_BL, shown)[:, ids_BL.shape[1] + 1 :]
        logits = self.mpp_score(hidden).unflatten(2, (CHANNELS, COLOUR_LEVELS))
        loss = functional.cross_entropy(logits[is_hidden].flatten(0, 1).float(), levels_BPC[is_hidden].flatten())
        return {"mpp_loss": loss, "mpp_logits": logits}


def _rows(patches: Patches, rows_B: Tensor | None) -> Patches:
    """The pictures in another order, one of them perhaps several times."""
    if rows_B is None:
        return patches
    return Patches(patches.states_BPH[rows_B], patches.mask_BP[rows_B], patches.places_BP[rows_B], patches.grid)


def _inner(mask_BL: Tensor) -> Tensor:
    """The mask of a text without its first and its last token, [CLS] and [SEP]."""
    inner = mask_BL.clone()
    inner[:, 0] = 0
    inner[torch.arange(len(mask_BL), device=mask_BL.device), mask_BL.sum(dim=1) - 1] = 0
    return inner


def _without_first(mask_BP: Tensor) -> Tensor:
    """The mask of a picture without its own token."""
    return torch.cat([torch.zeros_like(mask_BP[:, :1]), mask_BP[:, 1:]], dim=1)
