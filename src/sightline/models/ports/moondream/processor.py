"""The processor of moondream2: a picture's views, and the tokens of a prompt with its one image in front."""

from __future__ import annotations

from typing import Any

import torch
from transformers import ProcessorMixin

from sightline.models.ports.moondream.prompts import MARKS, PLAIN, REGION_IDS, TIGHT, template_of


class MoondreamProcessor(ProcessorMixin):
    """Prepares pictures and texts.

    Attributes:
        form: which release's words stand around a question (`prompts.py`); the chat template is made of it where none
            is given.
        image_seq_length: tokens of an image.
    """

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        form: str = PLAIN,
        image_seq_length: int = 729,
    ) -> None:
        self.form = form
        self.image_seq_length = image_seq_length
        self.image_token = tokenizer.image_token
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        super().__init__(image_processor, tokenizer, chat_template=chat_template or template_of(form, self.image_token))

    def replace_image_token(self, image_inputs: dict[str, Any], image_idx: int, **kwargs: Any) -> str:
        """What stands in a text for an image: as many tokens as it has features."""
        return self.image_token * self.image_seq_length

    def validate_inputs(self, images: Any = None, text: Any = None, **kwargs: Any) -> None:
        """Refuse what the model was never shown: two images in a text."""
        super().validate_inputs(images=images, text=text, **kwargs)
        for sample in text or ():
            if sample.count(self.image_token) > 1:
                raise ValueError(f"moondream2 takes one image a text, but one has {sample.count(self.image_token)}.")

    def region_inputs(self, image: Any, name: str, task: str) -> dict[str, Any]:
        """What the model reads to `detect` or `point` at `name` in a picture: the ids of one row, and its pixels."""
        before, after = REGION_IDS[task][MARKS if self.form == MARKS else PLAIN]
        lead = "" if self.form == TIGHT else " "
        words = self.tokenizer(lead + name, add_special_tokens=False)["input_ids"]
        start = [self.tokenizer.bos_token_id, *[self.image_token_id] * self.image_seq_length]
        ids = [*start, *before, *words, *after]
        return {"input_ids": torch.tensor([ids]), **self.image_processor([image], return_tensors="pt")}
