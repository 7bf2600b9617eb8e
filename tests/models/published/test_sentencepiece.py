"""A vocabulary in SentencePiece's file is read as Llama's tokenizer, or refused."""

from __future__ import annotations

import pytest

from sightline.errors import InputError
from sightline.models.published.sentencepiece import read_llama_tokenizer
from tests.models.ports.cogvlm.tiny_cogvlm import SENTENCES, field, integer, pieces, vocabulary_file


@pytest.fixture
def tokenizer(tmp_path):
    path = tmp_path / "tokenizer.model"
    path.write_bytes(vocabulary_file(tuple(pieces())))
    return read_llama_tokenizer(path)


def by_scores(text: str) -> list[int]:
    """SentencePiece's way: of all neighbours that form a piece, those of the highest score are joined, again and again;
    what is left and no piece is written in bytes."""
    words = pieces()
    known = {word: number for number, word in enumerate(words)}
    parts = list("▁" + text.replace(" ", "▁"))
    while True:
        pairs = [(known[a + b], at) for at, (a, b) in enumerate(zip(parts, parts[1:], strict=False)) if a + b in known]
        if not pairs:
            break
        _, at = min(pairs)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    ids = []
    for part in parts:
        ids += [known[part]] if part in known else [3 + byte for byte in part.encode()]
    return ids


@pytest.mark.parametrize("text", [*SENTENCES, "", "a  b", "zebra 7 ☃\n\n", "<unknown>"])
def test_texts_are_joined_by_score_behind_a_blank_with_bytes_for_the_unknown(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ids == (by_scores(text) if text else [])
    assert tokenizer.decode(ids) == text


def test_special_pieces_have_their_numbers(tokenizer):
    assert (tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (
        0,
        1,
        2,
        0,
    )
    assert len(tokenizer) == len(pieces())
    assert tokenizer("red")["input_ids"] == [1, *by_scores("red")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (vocabulary_file(tuple(pieces()))[:-30], "SentencePiece's vocabulary"),
        (b"version https://git-lfs.github.com/spec/v1\n", "SentencePiece's vocabulary"),
        (b"", "as Llama's"),
        (vocabulary_file(tuple(pieces()), algorithm=1), "as Llama's"),
        (vocabulary_file(tuple(pieces()), drops_blanks=1), "as Llama's"),
        (field(1, integer(3, 1)), "SentencePiece's vocabulary"),
    ],
    ids=["cut", "pointer", "empty", "unigram", "other blanks", "no word"],
)
def test_other_files_are_refused(tmp_path, content, told):
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(InputError, match=told):
        read_llama_tokenizer(tmp_path / "tokenizer.model")
