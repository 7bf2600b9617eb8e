"""Align words with image patches by optimal transport (IPOT)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sightline.data.vilt.pictures import PictureReader, to_tensors
from sightline.data.vilt.words import WordMasker, encode_texts
from sightline.errors import InputError
from sightline.models.vilt.embedding import embed_pictures, embed_texts, encode_pairs
from sightline.models.vilt.start import picture_shape

# Dims: B pairs, W words, P patches.


def cosine_cost(words_BWH: Tensor, patches_BPH: Tensor) -> Tensor:
    """Cost of moving a word to a patch, 1 - their cosine, in fp32: (B, W, P)."""
    words = torch.nn.functional.normalize(words_BWH.float(), dim=-1)
    patches = torch.nn.functional.normalize(patches_BPH.float(), dim=-1)
    return 1 - words @ patches.transpose(1, 2)


@torch.no_grad()
def ipot(cost_BWP: Tensor, words_BW: Tensor, patches_BP: Tensor, beta: float = 0.5, iterations: int = 50) -> Tensor:
    """The plan (B, W, P) that carries equal weights of the words to equal weights of the patches; fp32, no gradient.

    Each plan sums to 1. Sums over words are exact (1 / number of patches), sums over patches near 1 / number of words:
    the nearer, the more iterations.

    Args:
        words_BW: 1 where a word counts, else 0; a pair needs one word and one patch.
        patches_BP: the same for patches.
        beta: how soft each step is; smaller is sharper, and needs fewer iterations until numbers underflow.

    Source: Xie et al. 2018, "A fast proximal point method for computing exact Wasserstein distance", algorithm 1;
    beta and iterations as in ViLT.
    """
    cost = cost_BWP.float()
    words_BW1, patches_B1P = words_BW.float().unsqueeze(2), patches_BP.float().unsqueeze(1)
    word_weight = words_BW1 / words_BW1.sum(dim=1, keepdim=True)
    patch_weight = patches_B1P / patches_B1P.sum(dim=2, keepdim=True)
    joint = words_BW1 * patches_B1P
    kernel = torch.exp(-cost / beta) * joint
    plan, patch_scale = joint, patch_weight
    for _ in range(iterations):
        proposal = kernel * plan
        word_scale = _share(word_weight, (proposal * patch_scale).sum(dim=2, keepdim=True))
        patch_scale = _share(patch_weight, (proposal * word_scale).sum(dim=1, keepdim=True))
        plan = word_scale * proposal * patch_scale
    return plan


def _share(wanted: Tensor, found: Tensor) -> Tensor:
    """`wanted / found`, and 0 where nothing is wanted."""
    return wanted / found.clamp_min(torch.finfo(found.dtype).tiny)


def transport_cost(cost_BWP: Tensor, plan_BWP: Tensor) -> Tensor:
    """What each plan costs: (B,). The gradient flows through the cost alone."""
    return (cost_BWP * plan_BWP).sum(dim=(1, 2))


# More iterations than in training: sharper maps, and nobody waits for a gradient.
ITERATIONS = 1000


@dataclass(frozen=True)
class Alignment:
    """A sentence laid over a picture.

    Attributes:
        picture: as the model saw it, (height, width, 3).
        words: the words of the sentence, in order.
        maps: for each word, the weight that it carries to each patch (rows, columns); a word's weights sum to about its
            share of the sentence's tokens.
        cost: what carrying all words to the patches costs, from 0 (alike) to 2 (opposite).
    """

    picture: np.ndarray
    words: tuple[str, ...]
    maps: tuple[np.ndarray, ...]
    cost: float


@torch.inference_mode()
def align(model: Any, processor: Any, image: Image.Image, sentence: str, name: str) -> Alignment:
    """The alignment of a sentence with a picture by a ViLT of any head; it means most after pretraining with itm.

    Raises:
        InputError: the sentence has no word.
    """
    body, tokenizer = model.vilt, processor.tokenizer
    reader = PictureReader(picture_shape(processor))
    pixels = reader.read(image, name)
    values, mask = to_tensors([pixels])
    block = encode_texts(tokenizer, [sentence], model.config.max_position_embeddings)
    ids = block.ids_BL[0].numpy()
    words = WordMasker(tokenizer).words(ids)
    if not words:
        raise InputError(f"Expected a sentence with at least one word, got {sentence!r}.")
    patches = embed_pictures(body, values.to(model.device), mask.to(model.device))
    texts = embed_texts(body, block.ids_BL.to(model.device))
    hidden = encode_pairs(body, texts, block.mask_BL.to(model.device), patches.states_BPH, patches.mask_BP)
    length = block.ids_BL.shape[1]
    cost = cosine_cost(hidden[:, 1 : length - 1], hidden[:, length + 1 :])
    plan = ipot(cost, torch.ones(cost.shape[:2]), torch.ones(cost.shape[0], cost.shape[2]), iterations=ITERATIONS)
    grids = np.zeros((plan.shape[1], patches.grid[0] * patches.grid[1]), dtype=np.float32)
    grids[:, patches.places_BP[0, 1:].cpu().numpy()] = plan[0].cpu().numpy()
    return Alignment(
        picture=pixels,
        words=tuple(
            tokenizer.convert_tokens_to_string(tokenizer.convert_ids_to_tokens(ids[places])) for places in words
        ),
        maps=tuple(grids[[place - 1 for place in places]].sum(axis=0).reshape(patches.grid) for places in words),
        cost=float(transport_cost(cost, plan)[0]),
    )
