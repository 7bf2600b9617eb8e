"""Corrections of transformers 5.23 for single families, applied when we load such a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers import AutoConfig

from sightline.errors import MachineError
from sightline.models.pretrained import load_pretrained


def patched_config(model: Any, revision: str | None = None) -> Any:
    """The config of a model, or of the folder or Hub id named, after transformers was corrected for its family.

    None where there is no such config; loading the model says what is wrong.
    """
    config = getattr(model, "config", None)
    if config is None:
        try:
            config = load_pretrained(AutoConfig, model, {"revision": revision})
        except Exception:  # transformers checks little of what it reads
            return None
    apply_patches(config.model_type)
    return config


def apply_patches(model_type: str) -> None:
    """Correct transformers for the family `model_type`; applying it again changes nothing."""
    for patch in PATCHES.get(model_type, ()):
        patch()


def _fuyu_patches_of_tensors() -> None:
    # FuyuProcessor hands tensors to `patchify_image`, whose Pillow version calls NumPy's transpose (seen in 5.23).
    from transformers.models.fuyu.image_processing_fuyu import FuyuImageProcessor
    from transformers.models.fuyu.image_processing_pil_fuyu import FuyuImageProcessorPil

    FuyuImageProcessorPil.patchify_image = FuyuImageProcessor.patchify_image


def _fuyu_gives_pixel_values() -> None:
    # By default it gives `image_patches` and warns that this ends: it is the model that has renamed them (seen in 5.23,
    # which names 5.23 as the end).
    from transformers import FuyuProcessor

    own_call = FuyuProcessor.__call__

    def given_pixel_values(
        self: Any, images: Any = None, text: Any = None, return_legacy_image_output: bool = False, **settings: Any
    ) -> Any:
        return own_call(self, images, text, return_legacy_image_output=return_legacy_image_output, **settings)

    if own_call.__name__ != given_pixel_values.__name__:
        FuyuProcessor.__call__ = given_pixel_values


def _fuyu_reads_places() -> None:
    # Its own reading never ends on a box of other than four tokens, and its tokenizer's decoder drops the borders
    # between a place's numbers (seen in 5.23).
    from transformers import FuyuProcessor

    from sightline.models.fuyu_places import answer_texts, with_places

    def batch_decode(self: Any, sequences: Any, **settings: Any) -> list[str]:
        return answer_texts(self.tokenizer, sequences, **settings)

    FuyuProcessor.post_process_box_coordinates = with_places
    FuyuProcessor.batch_decode = batch_decode


def _kosmos2_takes_a_mask() -> None:
    # The text model makes its own mask and fails on one of four dimensions, which others take as it is (seen in 5.23).
    from transformers.models.kosmos2.modeling_kosmos2 import Kosmos2TextTransformer

    own_mask = Kosmos2TextTransformer._prepare_decoder_attention_mask

    def given_or_own(self: Any, attention_mask: Tensor | None, *arguments: Any) -> Tensor | None:
        if attention_mask is not None and attention_mask.dim() == 4:
            return attention_mask
        return own_mask(self, attention_mask, *arguments)

    if own_mask.__name__ != given_or_own.__name__:
        Kosmos2TextTransformer._prepare_decoder_attention_mask = given_or_own


def _kosmos2_gives_features() -> None:
    # Kosmos2Model has `get_image_features`; the class with the head has the same parts and lacks it (seen in 5.23).
    from transformers import Kosmos2ForConditionalGeneration, Kosmos2Model

    Kosmos2ForConditionalGeneration.get_image_features = Kosmos2Model.get_image_features


def _smolvlm_without_num2words() -> None:
    # The processor refuses to be made without num2words, which only the prompts of videos use (seen in 5.23).
    from transformers.models.smolvlm import processing_smolvlm

    processing_smolvlm.num2words = processing_smolvlm.num2words or _need_num2words


def _need_num2words(*_: Any) -> str:
    raise MachineError("SmolVLM writes the number of frames of a video in words. Install: pip install num2words")


# Keyed by `config.model_type`.
PATCHES: dict[str, tuple[Callable[[], None], ...]] = {
    "fuyu": (_fuyu_patches_of_tensors, _fuyu_gives_pixel_values, _fuyu_reads_places),
    "kosmos-2": (_kosmos2_takes_a_mask, _kosmos2_gives_features),
    "smolvlm": (_smolvlm_without_num2words,),
}
