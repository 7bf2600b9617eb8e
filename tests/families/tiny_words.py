"""What the tiny models of all families share: one vocabulary, one chat template, sizes."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.tiny import SPECIALS, TEMPLATE, WORDS

# Image tokens of all families in one vocabulary; `<image>` has id 4.
IMAGE_WORDS = (
    "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<img>", "</img>", "<IMG_CONTEXT>",
    "<video>", "<boi>", "<eoi>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>",
    "<|image|>", "<|video|>", "<im_patch>", "<im_col>", "<im_start>", "<low_res_im_start>", "<frame_start>", "<im_end>",
    "<frame_end>", "<im_low>", "<|IMG_PATCH|>", "<|START_OF_IMG|>", "<|END_OF_IMG|>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
    *(f"<|img_row_{row}_col_{column}|>" for row in range(1, 4) for column in range(1, 4)),
)  # fmt: skip
FUYU_WORDS = ("▁", "|SPEAKER|", "|NEWLINE|", "<0x04>")
VOCABULARY = [*SPECIALS, *IMAGE_WORDS, *dict.fromkeys(WORDS), *FUYU_WORDS]
ID = {word: index for index, word in enumerate(VOCABULARY)}
TEXT: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
Parts = tuple[Any, Any]  # model, processor


def tokenizer(ids: dict[str, int] | None = None, **image_tokens: str) -> PreTrainedTokenizerFast:
    """A word-level tokenizer that knows every family's image tokens; `image_tokens` become its attributes."""
    raw = Tokenizer(models.WordLevel(ids or ID, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.add_special_tokens([*SPECIALS, *IMAGE_WORDS])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        **({"extra_special_tokens": image_tokens} if image_tokens else {}),
    )


def template(image: str = "<image>") -> str:
    """The chat template of the tests, with the family's words for an image."""
    return TEMPLATE.replace("<image>", image)
