"""Start a ViLT from nothing, a ViT, a BERT or another ViLT, with its processor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, BertTokenizer, ViltConfig, ViltProcessor
from transformers.models.vilt.modeling_vilt import ViltModel

from sightline.data.vilt.pictures import PictureShape
from sightline.errors import ConfigError, InputError
from sightline.models.folders import reading, require_picture_settings
from sightline.models.guarded import quiet_loading
from sightline.models.pretrained import load_pretrained

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class ViltSizes:
    """The sizes of a ViLT built from scratch, or what a ViT leaves open; ViLT-B/32's by default.

    Attributes:
        image_size: shorter side of pictures, in pixels; one learned position per patch of a square of this size.
        max_text_length: longest text, in tokens.
        vocab_size: most entries of a vocabulary made from the training texts.
        max_image_length: most patches of a picture in training; -1 for all. The paper pretrains with 200.
        initializer_range: deviation of drawn embeddings and heads.
    """

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    image_size: int = 384
    patch_size: int = 32
    max_text_length: int = 40
    vocab_size: int = 30522
    max_image_length: int = -1
    initializer_range: float = 0.02
    dropout: float = 0.1


@dataclass(frozen=True)
class Start:
    """A body with its processor; heads come on top.

    Attributes:
        name: what it came from, for messages and cards.
    """

    config: ViltConfig
    body: ViltModel
    processor: ViltProcessor
    name: str


def build_start(
    sizes: ViltSizes, texts: Iterable[str], vit: str | None = None, bert: str | None = None, seed: int = 0
) -> Start:
    """A body from scratch, with what a ViT or a BERT gives.

    A ViT gives patches, positions and all layers, and with them all sizes but those of texts. A BERT gives its
    vocabulary and its embeddings of words, positions and types; without one the vocabulary is made from `texts`.

    From scratch, weights of patches and layers are drawn with 1 / sqrt(inputs), not with 0.02, which is meant for wide
    models, and patch positions begin as waves in two directions, not as zeros.

    Raises:
        InputError: a folder is missing, is no ViT or BERT, or the two differ in width.
    """
    torch.manual_seed(seed)
    vit_model = _load("vit", vit) if vit else None
    bert_model = _load("bert", bert) if bert else None
    tokenizer = _bert_tokenizer(bert, sizes) if bert else build_vocabulary(texts, sizes)
    config = _config(sizes, vit_model, bert_model, tokenizer)
    body = ViltModel(config)
    if vit_model is None:
        _draw(body)
    else:
        _take_pictures(body, vit_model)
    if bert_model is not None:
        _take_words(body, bert_model, str(bert))
    name = " and ".join(part for part in (vit, bert) if part) or "scratch"
    return Start(config, body, build_processor(tokenizer, config), name)


def load_start(name: str, revision: str | None = None) -> Start:
    """The body and processor of a ViLT folder or Hub id, whatever its head.

    Raises:
        InputError: there is no such folder or Hub id, it is no ViLT, or has no processor.
    """
    with reading(name, "The ViLT"):
        config = load_pretrained(AutoConfig, name, {"revision": revision})
        _require_type(config, "vilt", name)
        with quiet_loading():  # heads that the body has no use for are no news
            body, report = load_pretrained(ViltModel, name, {"revision": revision, "output_loading_info": True})
        processor = load_vilt_processor(name, revision)
        # A tokenizer that names no limit has one of 1e30, with which nothing can be cut (tokenizers 0.22).
        processor.tokenizer.model_max_length = config.max_position_embeddings
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise InputError(f"{name}: expected all weights of a ViLT, but {', '.join(missing[:3])} are missing.")
    return Start(config, body, processor, name)


def build_vocabulary(texts: Iterable[str], sizes: ViltSizes) -> BertTokenizer:
    """A lower-casing BERT tokenizer of the words in `texts`, the most frequent first; other words fall into letters.

    The same texts give the same vocabulary, so that a run that is resumed reads as it did: the trainers of the
    tokenizers library break ties in another order each time.
    """
    from tokenizers import normalizers, pre_tokenizers

    normalise, split = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    counts = Counter(word for text in texts for word, _ in split.pre_tokenize_str(normalise.normalize_str(text)))
    letters = sorted({letter for word in counts for letter in word})
    words = sorted(counts, key=lambda word: (-counts[word], word))
    pieces = dict.fromkeys([*SPECIAL_TOKENS, *letters, *(f"##{letter}" for letter in letters), *words])
    kept = list(pieces)[: sizes.vocab_size]
    vocabulary = {piece: index for index, piece in enumerate(kept)}
    return BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=sizes.max_text_length)


def build_processor(tokenizer: Any, config: ViltConfig) -> ViltProcessor:
    """The processor that prepares the pictures and texts of a ViLT of this config, as transformers loads it."""
    from transformers import ViltImageProcessor

    pictures = ViltImageProcessor(size={"shortest_edge": config.image_size}, size_divisor=config.patch_size)
    return ViltProcessor(pictures, tokenizer)


def picture_shape(processor: ViltProcessor) -> PictureShape:
    """The size that a processor brings pictures to."""
    images = processor.image_processor
    return PictureShape(int(images.size["shortest_edge"]), int(images.size_divisor))


def load_shape(name: str) -> PictureShape:
    """The size that the processor of a ViLT's folder or Hub id brings pictures to.

    Raises:
        InputError: it has none.
    """
    return picture_shape(load_vilt_processor(name))


def load_vilt_processor(name: str, revision: str | None = None) -> ViltProcessor:
    """The processor of a ViLT's folder or Hub id, whose settings say what pictures become.

    Raises:
        InputError: there is none, or they do not.
    """
    with reading(name, "The processor of"):
        processor = load_pretrained(ViltProcessor, name, {"revision": revision})
        require_picture_settings(name, processor)
        picture_shape(processor)
        return processor


def _load(kind: str, name: str) -> Any:
    from transformers import BertModel, ViTModel

    classes = {"vit": ViTModel, "bert": BertModel}
    with reading(name, f"{kind}:"):
        config = load_pretrained(AutoConfig, name)
        _require_type(config, kind, name)
        with quiet_loading():
            return load_pretrained(classes[kind], name)


def _require_type(config: Any, kind: str, name: str) -> None:
    if config.model_type != kind:
        raise InputError(
            f"{name} is a model of type '{config.model_type}', but expected '{kind}'. Name another folder."
        )


def _bert_tokenizer(bert: str, sizes: ViltSizes) -> Any:
    from transformers import AutoTokenizer

    with reading(bert, "bert: the tokenizer of"):
        tokenizer = load_pretrained(AutoTokenizer, bert)
    tokenizer.model_max_length = sizes.max_text_length
    return tokenizer


def _config(sizes: ViltSizes, vit: Any, bert: Any, tokenizer: Any) -> ViltConfig:
    shape = vit.config if vit is not None else sizes
    if vit is not None and bert is not None and vit.config.hidden_size != bert.config.hidden_size:
        raise InputError(
            f"vit has {vit.config.hidden_size} hidden units and bert {bert.config.hidden_size}; expected equal widths. "
            "Choose another of either."
        )
    if shape.image_size % shape.patch_size:
        raise ConfigError(
            f"image_size {shape.image_size} is no multiple of patch_size {shape.patch_size}. Change one of them."
        )
    return ViltConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=sizes.max_text_length,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_hidden_layers,
        num_attention_heads=shape.num_attention_heads,
        intermediate_size=shape.intermediate_size,
        image_size=shape.image_size,
        patch_size=shape.patch_size,
        max_image_length=sizes.max_image_length,
        hidden_dropout_prob=sizes.dropout,
        attention_probs_dropout_prob=sizes.dropout,
        initializer_range=sizes.initializer_range,
        layer_norm_eps=1e-12 if vit is None else vit.config.layer_norm_eps,
        qkv_bias=True if vit is None else vit.config.qkv_bias,
        pad_token_id=tokenizer.pad_token_id,
    )


def _draw(body: ViltModel) -> None:
    """Weights of patches and layers with 1 / sqrt(inputs), and waves for patch positions."""
    projection = body.embeddings.patch_embeddings.projection
    nn.init.normal_(projection.weight, std=projection.weight[0].numel() ** -0.5)
    for layer in body.encoder.layer:
        for module in layer.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
    config = body.config
    waves = wave_positions(config.image_size // config.patch_size, config.hidden_size)
    with torch.no_grad():
        body.embeddings.position_embeddings[0, 1:] = waves
        nn.init.normal_(body.embeddings.cls_token, std=config.initializer_range)


def wave_positions(side: int, hidden_size: int, height: float = 0.3) -> torch.Tensor:
    """Sines and cosines of a patch's row and column at wavelengths from 6 to 600 patches, (side ** 2, hidden_size)."""
    rows, columns = np.divmod(np.arange(side**2), side)
    count = hidden_size // 4
    frequencies = 100.0 ** -(np.arange(count) / count)
    angles = [place[:, None] * frequencies for place in (rows, columns)]
    waves = np.concatenate([wave(angle) for angle in angles for wave in (np.sin, np.cos)], axis=1)
    padded = np.pad(waves, ((0, 0), (0, hidden_size - waves.shape[1])))
    return torch.tensor(height * padded, dtype=torch.float32)


# ViLT's name of each module of a layer, and ViT's (transformers 5.23).
_LAYER_NAMES = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layernorm_before": "layernorm_before",
    "layernorm_after": "layernorm_after",
}


def _take_pictures(body: ViltModel, vit: Any) -> None:
    """Patches, positions, layers, final normalisation."""
    with torch.no_grad():
        body.embeddings.cls_token.copy_(vit.embeddings.cls_token)
        body.embeddings.position_embeddings.copy_(vit.embeddings.position_embeddings)
    body.embeddings.patch_embeddings.projection.load_state_dict(vit.embeddings.patch_embeddings.projection.state_dict())
    for ours, theirs in zip(body.encoder.layer, vit.layers, strict=True):
        for our_name, their_name in _LAYER_NAMES.items():
            ours.get_submodule(our_name).load_state_dict(theirs.get_submodule(their_name).state_dict())
    body.layernorm.load_state_dict(vit.layernorm.state_dict())


def _take_words(body: ViltModel, bert: Any, name: str) -> None:
    """Embeddings of words, positions and types, with their normalisation."""
    ours, theirs = body.embeddings.text_embeddings, bert.embeddings
    if theirs.word_embeddings.embedding_dim != body.config.hidden_size:
        raise InputError(
            f"bert: {name} has {theirs.word_embeddings.embedding_dim} hidden units, but the body "
            f"{body.config.hidden_size}. Set --hidden_size to the former, or choose another BERT."
        )
    with torch.no_grad():
        ours.word_embeddings.weight.copy_(theirs.word_embeddings.weight[: body.config.vocab_size])
        ours.position_embeddings.weight.copy_(theirs.position_embeddings.weight[: body.config.max_position_embeddings])
        ours.token_type_embeddings.weight.copy_(theirs.token_type_embeddings.weight)
    ours.LayerNorm.load_state_dict(theirs.LayerNorm.state_dict())
