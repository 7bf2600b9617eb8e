"""Random rows as people write them, and tokenizers that merge words across borders: whatever may go wrong in a row."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tests.families.case import picture
from tests.families.tiny_words import FUYU_WORDS, ID, IMAGE_WORDS
from tests.tiny import SPECIALS, WORDS

SAYINGS = (
    "what is this ?", "\n\nred", "red\n", "\n", " ", "a  b ", "ünïcödé 🙂 漢字", "</s> user :", "<unk>",
    "two\n\n\nlines", "x", "\tcircle", "how many ? \n", "", "left of", "<s>", "<video>x", "<image", "< image >", "\r\n",
    "‏مرحبا", "e\u0301", "\u200b",
)  # fmt: skip
CORPUS = [" ".join(WORDS), "a\nb\n\nc\n\n\nd \n e", "user\n\n\n<", "the red, circle.\n\n", "ünïcödé 🙂 漢字"] * 5
SIZES = ((60, 30), (30, 60), (36, 36), (32, 32), (100, 20), (17, 45))
TOOLS = [{"type": "function", "function": {"name": "zoom", "description": "look", "parameters": {}}}]


def _words() -> Tokenizer:
    raw = Tokenizer(models.WordLevel(ID, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return raw


def _newlines() -> Tokenizer:
    """Runs of newlines are added tokens, as in Gemma's tokenizer."""
    raw = _words()
    raw.add_tokens([AddedToken("\n" * count, normalized=False) for count in range(1, 6)])
    return raw


def _bytes() -> Tokenizer:
    """Bytes, as in those of Qwen and Llama 3."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _learned(raw, 400, pre_tokenizers.ByteLevel.alphabet())


def _first_space() -> Tokenizer:
    """A space before a text's first word alone, as in SentencePiece's today."""
    raw = Tokenizer(models.BPE(unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return _learned(raw, 300, [])


def _every_space() -> Tokenizer:
    """A space before each part of a text, as in Llama 2's."""
    raw = Tokenizer(models.BPE(unk_token="<unk>"))
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return _learned(raw, 300, [])


def _learned(raw: Tokenizer, size: int, alphabet: list[str]) -> Tokenizer:
    learning = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, special_tokens=SPECIALS, show_progress=False
    )
    raw.train_from_iterator(CORPUS, learning)
    return raw


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "words": _words,
    "newlines": _newlines,
    "bytes": _bytes,
    "first_space": _first_space,
    "every_space": _every_space,
}


def tokenizer_maker(kind: str, swallowing: str = "") -> Callable[..., PreTrainedTokenizerFast]:
    """Stands for `tiny_words.tokenizer` where families are built; the word `swallowing` takes in blanks before it."""

    def make(ids: dict[str, int] | None = None, **image_tokens: str) -> PreTrainedTokenizerFast:
        raw = TOKENIZERS[kind]()
        own = [] if kind in ("words", "newlines") else FUYU_WORDS[1:]
        words = (*SPECIALS, *IMAGE_WORDS, *own)
        raw.add_special_tokens([AddedToken(word, normalized=False, lstrip=word == swallowing) for word in words])
        return PreTrainedTokenizerFast(
            tokenizer_object=raw,
            pad_token="<pad>",
            bos_token="<s>",
            eos_token="</s>",
            unk_token="<unk>",
            **({"extra_special_tokens": image_tokens} if image_tokens else {}),
        )

    return make


def odd_row(seed: int, method: str, plain: bool, images: tuple[int, ...] = (0, 1, 1, 1, 2, 3)) -> dict[str, Any]:
    """A row of `sft` (prompt and completion), `messages` or `dpo`; `plain` has no template, and one image a row."""
    draw = random.Random(seed)
    count = 1 if plain else draw.choice(images)
    pictures = [picture(draw.randint(0, 99), *draw.choice(SIZES)) for _ in range(count)]
    answers = {"sft": ["completion"], "messages": [], "dpo": ["chosen", "rejected"]}[method]
    if plain:
        return {"images": pictures, "prompt": _said(draw), **{answer: _said(draw) for answer in answers}}
    tools = {"tools": TOOLS} if draw.random() < 0.2 else {}
    turns = _turns(draw, count)
    if method == "messages":
        return {"images": pictures, "messages": turns + _reply(draw), **tools}
    return {"images": pictures, "prompt": turns, **{answer: _reply(draw) for answer in answers}, **tools}


def _turns(draw: random.Random, images: int) -> list[dict[str, Any]]:
    turns = []
    if draw.random() < 0.3:
        turns.append({"role": "system", "content": _text_or_parts(draw)})
    texts_alone, left, count = draw.random() < 0.4, images, draw.randint(1, 3)
    for turn in range(count):
        here = left if turn == count - 1 else draw.randint(0, left)
        left -= here
        turns.append({"role": "user", "content": _said(draw) if texts_alone else _parts(draw, here)})
        if turn < count - 1:
            turns.append({"role": "assistant", "content": _text_or_parts(draw)})
    return turns


def _reply(draw: random.Random) -> list[dict[str, Any]]:
    reply = [{"role": "assistant", "content": _text_or_parts(draw)}]
    if draw.random() < 0.15:
        reply += [{"role": "user", "content": _said(draw)}, {"role": "assistant", "content": _said(draw)}]
    return reply


def _parts(draw: random.Random, images: int) -> list[dict[str, Any]]:
    texts = [{"type": "text", "text": _said(draw)} for _ in range(draw.randint(0 if images else 1, 2))]
    parts = [*texts, *({"type": "image"} for _ in range(images))]
    draw.shuffle(parts)
    return parts


def _text_or_parts(draw: random.Random) -> Any:
    return _said(draw) if draw.random() < 0.5 else [{"type": "text", "text": _said(draw)}]


def _said(draw: random.Random) -> str:
    return draw.choice(SAYINGS)
