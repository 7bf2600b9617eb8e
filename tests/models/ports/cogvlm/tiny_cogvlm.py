"""A tiny CogVLM in the published layout, and a tokenizer in the file that its authors leave to be brought."""

from __future__ import annotations

import functools
import json
import struct
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from sightline.models.ports.cogvlm.config import CogVLMConfig
from sightline.models.ports.cogvlm.model import CogVLMForCausalLM
from tests.models.published.checkpoints import write_weights

VOCABULARY = 400
SENTENCES = [
    "Question: What is this? Short answer: a dog\n",
    "Question: How many? Answer: two red circles and a blue square\n",
    "Describe the picture . Where is it ? one two three left of the large green triangle",
]
# Sizes that differ from each other, so that nothing is taken for something else; 4 x 4 patches, 18 tokens an image.
SETTINGS: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "vocab_size": VOCABULARY, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "hidden_act": "silu",
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": False, "use_cache": True,
    "initializer_range": 0.2,
    "vision_config": {
        "hidden_size": 24, "num_hidden_layers": 3, "num_heads": 3, "intermediate_size": 40, "patch_size": 6,
        "image_size": 24, "num_positions": 17, "in_channels": 3, "hidden_act": "gelu", "layer_norm_eps": 1e-6,
        "dropout_prob": 0.0, "initializer_range": 0.2,
    },
}  # fmt: skip
PUBLISHED = {
    "architectures": ["CogVLMForCausalLM"], "torch_dtype": "float32", "transformers_version": "4.35.0",
    "_name_or_path": "cogvlm",
    "auto_map": {
        "AutoConfig": "configuration_cogvlm.CogVLMConfig", "AutoModelForCausalLM": "modeling_cogvlm.CogVLMForCausalLM"
    },
}  # fmt: skip


def tiny_model(seed: int = 0, **changes: Any) -> CogVLMForCausalLM:
    """A model of SETTINGS with weights large enough to tell tokens apart; frequencies rounded as the published are."""
    torch.manual_seed(seed)
    model = CogVLMForCausalLM(CogVLMConfig(**{**SETTINGS, **changes})).eval()
    for name, tensor in model.state_dict().items():
        if name.endswith("inv_freq"):
            tensor.copy_(tensor.bfloat16().float())
        elif "norm" in name:
            tensor.add_(torch.randn_like(tensor) / 5)
        elif name.endswith("bias"):
            tensor.normal_(std=0.2)
    return model


def published_folder(
    folder: Path, model: CogVLMForCausalLM, version: str = "chat", pickled: bool = False, tokenizer: bool = True
) -> Path:
    """The model as the authors publish one, in three shards, with or without the tokenizer's file."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**PUBLISHED, **SETTINGS, "template_version": version}))
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    write_weights(folder, tensors, pickled, shards=3)
    if tokenizer:
        write_vocabulary(folder / "tokenizer.model")
    return folder


def write_vocabulary(path: Path) -> None:
    """A vocabulary in SentencePiece's own file: specials, bytes, joined pieces, then letters, as in Llama's."""
    path.write_bytes(vocabulary_file(tuple(pieces())))


@functools.cache
def pieces() -> list[str]:
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.Metaspace()  # no piece reaches over a blank
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - 259, show_progress=False)
    words.train_from_iterator(SENTENCES, trainer)
    learnt = sorted(words.get_vocab(), key=words.get_vocab().__getitem__)
    learnt = [word for word in learnt if "\n" not in word]  # which Llama has as a byte
    joined = [word for word in learnt if len(word) > 1]
    letters = [word for word in learnt if len(word) == 1]
    return ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *joined, *letters]


def vocabulary_file(words: tuple[str, ...], algorithm: int = 2, drops_blanks: int = 0) -> bytes:
    kinds = {0: 2, 1: 3, 2: 3}
    entries = []
    for number, word in enumerate(words):
        kind = kinds.get(number, 6 if word.startswith("<0x") else 1)
        score = 0.0 if number < 259 else float(259 - number)
        entries.append(field(1, field(1, word.encode()) + b"\x15" + struct.pack("<f", score) + integer(3, kind)))
    trainer = field(2, integer(3, algorithm) + integer(4, len(words)))
    normalizer = field(3, field(1, b"identity") + integer(3, 1) + integer(4, drops_blanks))
    return b"".join(entries) + trainer + normalizer


def field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def varint(value: int) -> bytes:
    low, high = value & 127, value >> 7
    return bytes([low | 128]) + varint(high) if high else bytes([low])
