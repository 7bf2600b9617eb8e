"""Score image-text pairs with a ViLT: embed once, batch by size, shortlist cheaply, pool fast."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from sightline.data.vilt.pictures import PictureReader, to_tensors
from sightline.data.vilt.sources import Picture
from sightline.data.vilt.words import encode_texts
from sightline.models.vilt.embedding import as_pictures, embed_pictures, embed_texts, encode
from sightline.models.vilt.start import picture_shape

# Dims: B pairs, L tokens, Q tokens that ask, H hidden.


def pool(model: Any, hidden_BLH: Tensor) -> Tensor:
    """What `ViltModel` gives as `pooler_output` in evaluation for embedded tokens, none of them padding: (B, H).

    The pooler reads the first token. So the last layer needs keys and values of all tokens, but the query, the output
    and the feed-forward part of the first alone: with 12 layers a 14th of all work is left out.
    """
    layers = list(model.encoder.layer)
    for layer in layers[:-1]:
        hidden_BLH = _run(layer, hidden_BLH, hidden_BLH.shape[1])
    pooled: Tensor = model.pooler(model.layernorm(_run(layers[-1], hidden_BLH, 1)))
    return pooled


def _run(layer: Any, hidden_BLH: Tensor, asking: int) -> Tensor:
    """One layer for the first `asking` tokens, which look at all, (B, Q, H); as `ViltLayer`, with fused attention."""
    parts = layer.attention.attention
    normalised = layer.layernorm_before(hidden_BLH)
    heads = parts.num_attention_heads
    query = parts.query(normalised[:, :asking]).unflatten(2, (heads, -1)).transpose(1, 2)
    key = parts.key(normalised).unflatten(2, (heads, -1)).transpose(1, 2)
    value = parts.value(normalised).unflatten(2, (heads, -1)).transpose(1, 2)
    seen = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    middle = hidden_BLH[:, :asking] + layer.attention.output.dense(seen)
    out: Tensor = middle + layer.output.dense(layer.intermediate(layer.layernorm_after(middle)))
    return out


# Dims: N pictures, M texts, B pairs, L tokens, P patches with the picture's own token, H hidden.

# Tokens in a batch of pairs: a CPU is fastest while a layer's states stay in its cache, a GPU where it is filled.
CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 1024, 65536


@dataclass(frozen=True)
class Embedded:
    """Pictures or texts embedded once, those of one length together.

    Attributes:
        states: for each length, the states (n, length, H).
        lengths: length of each picture or text, in the order they were given.
        places: where its states lie among those of its length.
    """

    states: dict[int, Tensor]
    lengths: np.ndarray
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)


class PairEncoder:
    """Pooled states of pairs, as the model gives them for each pair alone.

    Args:
        model: a ViLT of transformers with any head on its `vilt`.
        processor: its `ViltProcessor`.
        batch_tokens: most tokens in a batch; by default what suits the device. No score depends on it.
    """

    def __init__(self, model: Any, processor: Any, batch_tokens: int | None = None) -> None:
        self.model = model.eval()
        self.tokenizer = processor.tokenizer
        self.reader = PictureReader(picture_shape(processor))
        by_device = CPU_BATCH_TOKENS if self.model.device.type == "cpu" else GPU_BATCH_TOKENS
        self.batch_tokens = batch_tokens or by_device

    @torch.inference_mode()
    def embed_pictures(self, pictures: Sequence[Picture | Image.Image], names: Sequence[str]) -> Embedded:
        """Pictures, with the names that messages call them, decoded, sized and embedded."""
        pixels = [self.reader.read(picture, name) for picture, name in zip(pictures, names, strict=True)]

        def embed(indices: list[int]) -> Tensor:
            values, mask = to_tensors([pixels[index] for index in indices])
            device = self.model.device
            return embed_pictures(self.model.vilt, values.to(device), mask.to(device)).states_BPH

        return _embedded([picture.shape for picture in pixels], embed)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Embedded:
        """Texts, cut to the longest that the model takes, and embedded."""
        block = encode_texts(self.tokenizer, texts, self.model.config.max_position_embeddings)
        lengths = block.mask_BL.sum(dim=1).tolist()

        def embed(indices: list[int]) -> Tensor:
            ids = block.ids_BL[indices, : lengths[indices[0]]]
            return embed_texts(self.model.vilt, ids.to(self.model.device))

        return _embedded([(length,) for length in lengths], embed)

    @torch.inference_mode()
    def pooled(
        self, pictures: Embedded, texts: Embedded, rows: np.ndarray, columns: np.ndarray
    ) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Batches of pooled states (B, H), each with the indices of its pairs among the pairs (rows[i], columns[i])."""
        kinds = np.stack([pictures.lengths[rows], texts.lengths[columns]], axis=1)
        for patch_count, word_count in np.unique(kinds, axis=0).tolist():
            pairs = np.flatnonzero((kinds == (patch_count, word_count)).all(axis=1))
            for batch in _chunks(pairs, max(1, self.batch_tokens // (patch_count + word_count))):
                patches = pictures.states[patch_count][pictures.places[rows[batch]]]
                words = texts.states[word_count][texts.places[columns[batch]]]
                pair = torch.cat([words, as_pictures(self.model.vilt, patches)], dim=1)
                yield batch, pool(self.model.vilt, pair)


class PairScorer(PairEncoder):
    """Ranks pictures and texts; the model is a `ViltForImageAndTextRetrieval`."""

    def score_all(self, pictures: Embedded, texts: Embedded) -> np.ndarray:
        """The score of every picture with every text, (N, M)."""
        return self.score(pictures, texts, np.ones((len(pictures), len(texts)), dtype=bool))

    @torch.inference_mode()
    def score(self, pictures: Embedded, texts: Embedded, wanted_NM: np.ndarray) -> np.ndarray:
        """The score of each pair that is wanted, (N, M); minus infinity for the others."""
        scores_NM = np.full(wanted_NM.shape, -np.inf, dtype=np.float32)
        rows, columns = np.nonzero(wanted_NM)
        for batch, pooled in self.pooled(pictures, texts, rows, columns):
            found = self.model.rank_output(pooled)[:, 0].float().cpu().numpy()
            scores_NM[rows[batch], columns[batch]] = found
        return scores_NM

    @torch.inference_mode()
    def shortlist(self, pictures: Embedded, texts: Embedded, candidates: int) -> np.ndarray:
        """True for the `candidates` pictures of each text that lie nearest to it, (N, M).

        The model is as good at this as its retrieval training made it (`shortlist_weight`).
        """
        body = self.model.vilt
        pictures_NH = self._alone(pictures, lambda states: pictures_alone(body, states, _ones(states)))
        texts_MH = self._alone(texts, lambda states: texts_alone(body, states, _ones(states)))
        nearest = (texts_MH @ pictures_NH.T).topk(min(candidates, len(pictures)), dim=1).indices.cpu().numpy()
        wanted_NM = np.zeros((len(pictures), len(texts)), dtype=bool)
        wanted_NM[nearest, np.arange(len(texts))[:, None]] = True
        return wanted_NM

    def _alone(self, given: Embedded, encode: Callable[[Tensor], Tensor]) -> Tensor:
        """One vector per picture or text, in the order they were given."""
        vectors = {
            length: torch.cat([encode(batch) for batch in states.split(max(1, self.batch_tokens // length))])
            for length, states in given.states.items()
        }
        return torch.stack([vectors[length][place] for length, place in zip(given.lengths, given.places, strict=True)])


def _embedded(kinds: Sequence[tuple[int, ...]], embed: Callable[[list[int]], Tensor]) -> Embedded:
    """Embeds those of one kind together, and lays those of one length side by side."""
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, kind in enumerate(kinds):
        alike[kind].append(index)
    lengths, places = np.zeros(len(kinds), dtype=int), np.zeros(len(kinds), dtype=int)
    parts: dict[int, list[Tensor]] = defaultdict(list)
    for indices in alike.values():
        states = embed(indices)
        length = states.shape[1]
        before = sum(len(part) for part in parts[length])
        lengths[indices], places[indices] = length, before + np.arange(len(indices))
        parts[length].append(states)
    return Embedded({length: torch.cat(states) for length, states in parts.items()}, lengths, places)


def _chunks(indices: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def _ones(states_BLH: Tensor) -> Tensor:
    return torch.ones(states_BLH.shape[:2], dtype=torch.long, device=states_BLH.device)


# Dims: B rows, N pictures, M texts, L tokens, P patches with the picture's own token, H hidden.

# Differences of cosines are small; CLIP's initial temperature makes them count.
TEMPERATURE = 0.07


def texts_alone(model: Any, texts_BLH: Tensor, mask_BL: Tensor) -> Tensor:
    """Unit vectors (B, H) of texts that saw no picture, from the pooler of a `ViltModel`: no weight is added."""
    return functional.normalize(model.pooler(encode(model, texts_BLH, mask_BL)).float(), dim=-1)


def pictures_alone(model: Any, patches_BPH: Tensor, mask_BP: Tensor) -> Tensor:
    """Unit vectors (B, H) of pictures that saw no text, from the pooler at the picture's own token."""
    return functional.normalize(model.pooler(encode(model, as_pictures(model, patches_BPH), mask_BP)).float(), dim=-1)


def shortlist_loss(pictures_BH: Tensor, texts_BH: Tensor, same_BB: Tensor) -> Tensor:
    """Cross-entropy, in both directions, of finding each row's own partner among the batch.

    Args:
        same_BB: True where two rows show one picture: neither is wrong for the other.
    """
    scores = pictures_BH @ texts_BH.T / TEMPERATURE
    others = same_BB & ~torch.eye(len(same_BB), dtype=torch.bool, device=same_BB.device)
    scores = scores.masked_fill(others, torch.finfo(scores.dtype).min)
    own = torch.arange(len(scores), device=scores.device)
    return (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)) / 2
