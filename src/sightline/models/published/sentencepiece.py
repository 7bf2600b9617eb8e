"""Llama's tokenizer from a `tokenizer.model`, without the package sentencepiece."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AddedToken, LlamaTokenizer

from sightline.errors import InputError

FILE = "tokenizer.model"
UNKNOWN, CONTROL = 2, 3  # kinds of pieces; 1 is a word's part, 6 a byte
BPE = 2
# Numbers of the fields of sentencepiece_model.proto (google/sentencepiece:src).
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_WORD, _SCORE, _KIND = 1, 2, 3
_ALGORITHM = 3
_CHARACTER_MAP, _ADDS_BLANK, _DROPS_BLANKS = 2, 3, 4


@dataclass(frozen=True)
class Piece:
    """An entry of a vocabulary: pieces of higher score are joined first."""

    word: str
    score: float
    kind: int


def read_llama_tokenizer(path: Path) -> LlamaTokenizer:
    """The tokenizer of a `tokenizer.model` as Llama's is: pairs joined by score, bytes for what is not in it, texts
    taken as they are behind a blank.

    Raises:
        InputError: the file is cut, no such file, or of another kind.
    """
    try:
        fields = list(_fields(path.read_bytes()))
        pieces = [_piece(value) for number, value in fields if number == _PIECES]
        trainer, normalizer = (dict(_fields(_last(fields, part))) for part in (_TRAINER, _NORMALIZER))
    except (LookupError, struct.error, UnicodeDecodeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: expected SentencePiece's vocabulary, got something else. Copy it again.") from error
    found = (trainer.get(_ALGORITHM, 1), normalizer.get(_CHARACTER_MAP, b""), normalizer.get(_DROPS_BLANKS, 1))
    if found != (BPE, b"", 0) or not normalizer.get(_ADDS_BLANK, 1) or not pieces:
        raise InputError(
            f"{path}: expected a vocabulary as Llama's (pairs by score, texts as they are), got one of another kind. "
            "Bring a folder with tokenizer.json."
        )
    names = [piece.word for piece in pieces]
    unknown = next((piece.word for piece in pieces if piece.kind == UNKNOWN), names[0])
    start, end = ([piece.word for piece in pieces if piece.kind == CONTROL] + ["<s>", "</s>"])[:2]
    vocabulary = {name: number for number, name in enumerate(names)}
    return LlamaTokenizer(
        vocab=vocabulary,
        merges=_merges(pieces),
        unk_token=unknown,
        bos_token=start,
        eos_token=end,
        pad_token=unknown,
        add_bos_token=True,
        add_eos_token=False,
    )


def read_special_tokens(tokenizer: LlamaTokenizer, added: Mapping[str, Any]) -> LlamaTokenizer:
    """The tokenizer with the tokens that are never split, as `added_tokens_decoder` of tokenizer_config.json has them.

    Raises:
        InputError: one has another number in the vocabulary.
    """
    for number, settings in sorted(added.items(), key=lambda item: int(item[0])):
        word = str(settings.get("content"))
        tokenizer.add_tokens([AddedToken(word, special=bool(settings.get("special", True)), normalized=False)])
        if tokenizer.convert_tokens_to_ids(word) != int(number):
            raise InputError(
                f"tokenizer_config.json gives {word!r} the number {number}, but {FILE} makes it "
                f"{tokenizer.convert_tokens_to_ids(word)}. Bring a folder with tokenizer.json."
            )
    return tokenizer


def _merges(pieces: list[Piece]) -> list[tuple[str, str]]:
    """Pairs of pieces that give a piece, those of the highest score first."""
    known = {piece.word for piece in pieces}
    found = [
        (-piece.score, number, cut, (piece.word[:cut], piece.word[cut:]))
        for number, piece in enumerate(pieces)
        if piece.kind not in (UNKNOWN, CONTROL)
        for cut in range(1, len(piece.word))
        if piece.word[:cut] in known and piece.word[cut:] in known
    ]
    return [pair for *_, pair in sorted(found)]


def _piece(message: Any) -> Piece:
    fields = dict(_fields(message))
    (score,) = struct.unpack("<f", fields.get(_SCORE, bytes(4)))
    return Piece(fields[_WORD].decode("utf-8"), score, fields.get(_KIND, 1))


def _last(fields: list[tuple[int, Any]], number: int) -> bytes:
    return next((value for own, value in reversed(fields) if own == number), b"")


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """The numbered fields of a message of protocol buffers: integers, or bytes.

    Raises:
        ValueError: there is no such message.
    """
    place = 0
    while place < len(message):
        key, place = _integer(message, place)
        number, form = key >> 3, key & 7
        if form == 0:
            value, place = _integer(message, place)
            yield number, value
            continue
        if form not in (1, 2, 5):
            raise ValueError(f"a field of the form {form}")
        size, place = _integer(message, place) if form == 2 else ({1: 8, 5: 4}[form], place)
        if place + size > len(message):
            raise ValueError("the end is missing")
        yield number, message[place : place + size]
        place += size


def _integer(message: bytes, place: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and the place behind it."""
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place
