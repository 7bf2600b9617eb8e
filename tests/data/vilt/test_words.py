"""Whole-word masking, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertTokenizer

from sightline.data.vilt.words import NOT_MASKED, TextBlock, WordMasker, encode_texts

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "gi", "##raf", "##fe", "eats", "leaf", "##s", "."]
GIRAFFE = "a giraffe eats leafs ."  # [CLS] a gi ##raf ##fe eats leaf ##s . [SEP]


@pytest.fixture
def tokenizer():
    return BertTokenizer(vocab={piece: index for index, piece in enumerate(PIECES)})


@pytest.fixture
def block(tokenizer):
    return encode_texts(tokenizer, [GIRAFFE, "a leaf"], max_length=12)


def test_words_are_their_pieces_together_without_special_tokens(tokenizer, block):
    masker = WordMasker(tokenizer)
    assert masker.words(block.ids_BL[0].numpy()) == [[1], [2, 3, 4], [5], [6, 7], [8]]
    assert masker.words(block.ids_BL[1].numpy()) == [[1], [2]]


@pytest.mark.parametrize("seed", range(20))
def test_a_word_is_hidden_with_all_its_pieces_or_not_at_all(tokenizer, block, seed):
    masker = WordMasker(tokenizer, probability=0.4)
    hidden = set(masker.choose(block.ids_BL[0].numpy(), np.random.default_rng(seed)))
    for word in masker.words(block.ids_BL[0].numpy()):
        assert hidden.issuperset(word) or hidden.isdisjoint(word)


@pytest.mark.parametrize("seed", range(20))
def test_a_share_of_the_tokens_is_hidden_and_one_word_at_least(tokenizer, block, seed):
    """8 tokens: 40% are 3.2, so 3 tokens unless the first word drawn has more; 15% are 1.2, so one word."""
    random = np.random.default_rng(seed)
    assert len(WordMasker(tokenizer, 0.4).choose(block.ids_BL[0].numpy(), random)) == 3
    assert len(WordMasker(tokenizer, 0.15).choose(block.ids_BL[0].numpy(), random)) in (1, 2, 3)
    assert len(WordMasker(tokenizer, 0.15).choose(block.ids_BL[1].numpy(), random)) == 1


def test_labels_are_the_hidden_tokens_and_nothing_else_changes(tokenizer, block):
    masked = WordMasker(tokenizer, 0.4).mask(block, np.random.default_rng(0))
    hidden = masked.labels_BL != NOT_MASKED
    assert torch.equal(masked.labels_BL[hidden], block.ids_BL[hidden])
    assert torch.equal(masked.ids_BL[~hidden], block.ids_BL[~hidden])
    assert not hidden[block.mask_BL == 0].any()


def test_of_hidden_tokens_four_fifths_become_mask_and_a_tenth_stays(tokenizer):
    ids = torch.tensor([[2, 5, 3]]).expand(4000, -1)
    masked = WordMasker(tokenizer).mask(TextBlock(ids, torch.ones_like(ids)), np.random.default_rng(0))
    tokens = masked.ids_BL[:, 1]
    assert (tokens == 4).float().mean() == pytest.approx(0.8, abs=0.02)
    # A drawn token is the hidden one again once in eight.
    assert (tokens == 5).float().mean() == pytest.approx(0.1 + 0.1 / 8, abs=0.02)
    assert not torch.isin(tokens, torch.tensor([0, 1, 2, 3])).any()


def test_texts_are_cut_to_what_the_model_takes(tokenizer):
    assert encode_texts(tokenizer, [GIRAFFE], max_length=5).ids_BL.shape == (1, 5)
