"""Prepare images and texts for Qwen-VL: a square of 448 pixels, and 256 placeholders for its features."""

from __future__ import annotations

import re
from typing import Any

from transformers import ProcessorMixin
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from sightline.models.ports.qwen_vl.tokenizer import IMAGE, IMAGE_END, IMAGE_PAD

_SPAN = re.compile(f"{IMAGE}(?!{IMAGE_PAD}{IMAGE_END}).{{0,40}}", re.DOTALL)


class QwenVLImageProcessor(CLIPImageProcessorPil):
    """CLIP's means and deviations, each image squashed to a square by Pillow's bicubic filter."""

    size = {"height": 448, "width": 448}
    do_center_crop = False
    crop_size = None


class QwenVLProcessor(ProcessorMixin):
    """In a text `<img><imgpad></img>` stands for an image; what else stands behind `<img>` is refused.

    The authors write a path there, which their model opens. Nothing is ever opened from a text here.

    Args:
        image_seq_length: features of an image.
    """

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, image_seq_length: int = 256
    ) -> None:
        self.image_token = IMAGE_PAD
        self.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_PAD)
        self.image_seq_length = image_seq_length
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    def replace_image_token(self, image_inputs: Any, image_idx: int, **_: Any) -> str:
        """The placeholders of an image."""
        return self.image_token * self.image_seq_length

    def validate_inputs(self, images: Any = None, text: Any = None, **inputs: Any) -> None:
        """As transformers checks them; raises ValueError for a text with a path in an image's place."""
        super().validate_inputs(images=images, text=text, **inputs)
        for one in text if isinstance(text, list) else [text or ""]:
            found = _SPAN.search(one) if isinstance(one, str) else None
            if found:
                raise ValueError(
                    f"Expected {IMAGE}{IMAGE_PAD}{IMAGE_END} where an image stands, got {found.group()!r}. Nothing is "
                    "opened from a text: give the image itself as `images`."
                )
