"""Qwen-VL's tokenizer from its `qwen.tiktoken`, without the package tiktoken."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

from sightline.errors import InputError

VOCABULARY = "qwen.tiktoken"
END, TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
IMAGE, IMAGE_END, IMAGE_PAD = "<img>", "</img>", "<imgpad>"
CONTROL = (END, TURN, END_OF_TURN, *(f"<|extra_{number}|>" for number in range(205)))
# Words of an answer that says where things are, so that `skip_special_tokens` leaves them in.
GROUNDING = ("<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>")
IMAGES = (IMAGE, IMAGE_END, IMAGE_PAD)
SPECIALS = (*CONTROL, *GROUNDING, *IMAGES)  # in the order of their ids, behind the words of the file
# A character that no text holds. Behind `<` it hides that a special form begins; elsewhere it keeps what stands before
# and behind it from becoming one token. It is gone from what the model reads.
SEAM = "\ufdd0"
CONTEXT = 8192
# That of Qwen2, too. Source: tokenization_qwen.py of Qwen/Qwen-VL-Chat.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)


class _Ranks(TikTokenConverter):
    """transformers' way from ranks to merges, on a file that is read here."""

    @staticmethod
    def load_tiktoken_bpe(tiktoken_url: str) -> dict[bytes, int]:
        return read_ranks(Path(tiktoken_url))


def read_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a `qwen.tiktoken`: texts in Unicode's form NFC, no token at their start.

    Raises:
        InputError: the file is cut or no such file.
    """
    raw: Tokenizer = _Ranks(str(path)).tokenizer()
    raw.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(f"<{SEAM}", "<")])
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(SEAM, "removed"),
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(word, normalized=False, special=True) for word in CONTROL])
    raw.add_tokens([AddedToken(word, normalized=False, special=False) for word in GROUNDING])
    raw.add_special_tokens([AddedToken(word, normalized=False, special=True) for word in IMAGES])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token=END,
        bos_token=END,
        eos_token=END,
        padding_side="left",
        model_max_length=CONTEXT,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def read_ranks(path: Path) -> dict[bytes, int]:
    """The words of the file, each with its rank: a line is the word in base64 and its rank.

    Raises:
        InputError: a line is something else, a rank is missing, or a byte has none.
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            word, rank = line.split()
            ranks[base64.b64decode(word, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise InputError(
                f"{path} line {number}: expected a word in base64 and its rank, got {line[:40]!r}. Copy the file again."
            ) from error
    bytes_known = sum(bytes([value]) in ranks for value in range(256))
    if bytes_known < 256 or sorted(ranks.values()) != list(range(len(ranks))):
        raise InputError(
            f"{path}: expected ranks from 0 on without a gap, and one for each of 256 bytes; got {len(ranks):,} words "
            f"and {bytes_known} bytes. The file is cut: copy it again."
        )
    return ranks
