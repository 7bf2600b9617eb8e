"""What CogVLM's authors make of an image and a text: a square of pixels, and token ids with a type for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import BatchFeature, CLIPImageProcessorPil, ProcessorMixin

SHOWN = 1  # image of a conversation


class CogVLMImageProcessor(CLIPImageProcessorPil):
    """Squashes an image to a square, bicubic in Pillow as the authors do, and norms it by CLIP's mean and deviation."""

    size = {"height": 490, "width": 490}
    default_to_square = True
    do_center_crop = False


class CogVLMProcessor(ProcessorMixin):
    """Writes the start token, the image's tokens and the words, in this order, and types that tell them apart.

    A text may begin with the start token, as chat templates write it; beside an image it is written in any case.

    Args:
        image_tokens: tokens of an image, its begin and end among them. Their id is that of padding: what the decoder
            reads there are features, by `token_type_ids`.
    """

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, image_tokens: int = 1227, chat_template: Any = None
    ) -> None:
        self.image_tokens = image_tokens
        self.image_token = str(tokenizer.pad_token)
        self.image_token_id = tokenizer.pad_token_id
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    def __call__(  # noqa: PLR0913  transformers' processors take their settings by name
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        videos: None = None,
        audio: None = None,
        padding: bool | str = False,
        padding_side: str | None = None,
        truncation: bool = False,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        add_special_tokens: bool = True,
        return_offsets_mapping: bool = False,
        return_text_replacement_offsets: bool = False,
        return_tensors: str | None = None,
    ) -> BatchFeature:
        """`input_ids`, `attention_mask`, `token_type_ids` (1 for tokens of an image) and `pixel_values`.

        Args:
            images: one for each text, or for each text a list of one or none.
            videos, audio: must be None, as they are where `apply_chat_template` calls.
            add_special_tokens: whether texts without an image get a start token, too.
            return_offsets_mapping: whether to give `offset_mapping`, for each token its characters in the text.
            return_text_replacement_offsets: changes nothing, as no word of a text is replaced.

        Raises:
            ValueError: a text has several images, there are not as many texts as images, or there are videos or sound.
        """
        if videos is not None or audio is not None:
            raise ValueError("CogVLMProcessor: expected images and texts, got videos or sound. Leave them out.")
        texts = [""] if text is None else [text] if isinstance(text, str) else list(text)
        shown = _images_of_rows(images, len(texts))
        pixels = [image for row in shown for image in row]
        inputs = dict(self.image_processor(pixels, return_tensors=return_tensors)) if pixels else {}
        if text is None:
            return BatchFeature(inputs)
        rows = [self._row(one, bool(row), add_special_tokens) for one, row in zip(texts, shown, strict=True)]
        if truncation and max_length is not None:
            rows = [row.cut(max_length) for row in rows]
        padded = self.tokenizer.pad(
            {
                "input_ids": [row.ids for row in rows],
                "token_type_ids": [row.types for row in rows],
                "attention_mask": [[1] * len(row.ids) for row in rows],
            },
            padding=padding,
            padding_side=padding_side,
            max_length=max_length if padding == "max_length" else None,
            pad_to_multiple_of=pad_to_multiple_of,
            return_tensors=return_tensors,
        )
        if return_offsets_mapping:
            side = padding_side or self.tokenizer.padding_side
            inputs["offset_mapping"] = [
                row.padded_spans(len(ids), side) for row, ids in zip(rows, padded["input_ids"], strict=True)
            ]
        return BatchFeature({**padded, **inputs})

    @property
    def model_input_names(self) -> list[str]:
        return ["input_ids", "attention_mask", "token_type_ids", "pixel_values"]

    def _row(self, text: str, has_image: bool, add_special_tokens: bool) -> _Row:
        start = self.tokenizer.bos_token
        words = self.tokenizer(text.removeprefix(start), add_special_tokens=False, return_offsets_mapping=True)
        written = len(start) if text.startswith(start) else 0
        begins, image = bool(written) or has_image or add_special_tokens, self.image_tokens * has_image
        return _Row(
            [self.tokenizer.bos_token_id] * begins + [self.image_token_id] * image + words["input_ids"],
            [0] * begins + [1] * image + [0] * len(words["input_ids"]),
            [(0, 0)] * (begins + image) + [(first + written, end + written) for first, end in words["offset_mapping"]],
        )


@dataclass(frozen=True)
class _Row:
    """The tokens of a text: ids, types, and their characters in it; (0, 0) for tokens that it does not spell."""

    ids: list[int]
    types: list[int]
    spans: list[tuple[int, int]]

    def cut(self, length: int) -> _Row:
        return _Row(self.ids[:length], self.types[:length], self.spans[:length])

    def padded_spans(self, length: int, side: str) -> list[tuple[int, int]]:
        padding = [(0, 0)] * (length - len(self.spans))
        return padding + self.spans if side == "left" else self.spans + padding


def _images_of_rows(images: Any, rows: int) -> list[list[Any]]:
    if images is None:
        return [[] for _ in range(rows)]
    listed = list(images) if isinstance(images, list | tuple) else [images]
    shown = [list(one) if isinstance(one, list | tuple) else [] if one is None else [one] for one in listed]
    if len(shown) != rows:
        raise ValueError(f"CogVLMProcessor: expected the images of {rows} texts, got those of {len(shown)}.")
    most = max(map(len, shown))
    if most > SHOWN:
        raise ValueError(f"CogVLMProcessor: expected one image a text, got {most}. Keep one of them.")
    return shown
