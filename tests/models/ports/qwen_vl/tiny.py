"""A small Qwen-VL in the layout of its authors: real names and files, random weights, a tokenizer of few words."""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers.convert_slow_tokenizer import bytes_to_unicode

from sightline.models.ports.qwen_vl.config import QwenVLConfig
from sightline.models.ports.qwen_vl.layout import qwen_vl
from sightline.models.ports.qwen_vl.model import QwenVLForConditionalGeneration
from sightline.models.ports.qwen_vl.tokenizer import IMAGE, SPECIALS
from sightline.models.published.folder import read_folder

# Each is made of two before it, the last two letters first.
MERGED = ("re", "red", " red", "is", " is", "th", "the", " the", "at", "hat", "what", " what", "\n\n", "Pi", "ct", "er")
RANKS = 256 + len(MERGED)
VOCABULARY = RANKS + len(SPECIALS)
QUERIES = 4
IMAGE_START = RANKS + SPECIALS.index(IMAGE)
SETTINGS: dict[str, Any] = {
    "architectures": ["QWenLMHeadModel"],
    "auto_map": {
        "AutoConfig": "configuration_qwen.QWenConfig",
        "AutoModelForCausalLM": "modeling_qwen.QWenLMHeadModel",
    },
    "bf16": False,
    "fp16": False,
    "fp32": False,
    "hidden_size": 32,
    "initializer_range": 0.2,
    "intermediate_size": 96,
    "kv_channels": 8,
    "layer_norm_epsilon": 1e-06,
    "max_position_embeddings": 8192,
    "model_type": "qwen",
    "no_bias": True,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "onnx_safe": None,
    "rotary_emb_base": 10000,
    "rotary_pct": 1.0,
    "scale_attn_weights": True,
    "seq_length": 2048,
    "tie_word_embeddings": False,
    "tokenizer_type": "QWenTokenizer",
    "torch_dtype": "float32",
    "transformers_version": "4.31.0",
    "use_cache": True,
    "use_dynamic_ntk": True,
    "use_flash_attn": "auto",
    "use_logn_attn": True,
    "visual": {
        "heads": 2,
        "image_size": 56,
        "image_start_id": IMAGE_START,
        "layers": 2,
        "mlp_ratio": 2.47,
        "n_queries": QUERIES,
        "output_dim": 32,
        "patch_size": 14,
        "width": 16,
    },
    "vocab_size": VOCABULARY + 3,
}
SAMPLING = {
    "do_sample": True,
    "eos_token_id": RANKS,
    "max_new_tokens": 512,
    "max_window_size": 6144,
    "pad_token_id": RANKS,
    "top_k": 0,
    "top_p": 0.3,
    "transformers_version": "4.31.0",
}


def ranks() -> dict[bytes, int]:
    """Bytes in GPT-2's order, then words."""
    letters = [bytes([value]) for value in bytes_to_unicode()]
    return {word: rank for rank, word in enumerate([*letters, *(word.encode() for word in MERGED)])}


def write_words(path: Path) -> None:
    lines = [f"{base64.b64encode(word).decode()} {rank}" for word, rank in ranks().items()]
    path.write_text("\n".join(lines) + "\n")


def tiny_model(seed: int = 0, **changes: Any) -> QwenVLForConditionalGeneration:
    torch.manual_seed(seed)
    settings = {name: value for name, value in SETTINGS.items() if name != "auto_map"}
    model = QwenVLForConditionalGeneration(QwenVLConfig.from_dict({**settings, **changes}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:  # so that no norm or bias goes unnoticed
                parameter.add_(torch.randn_like(parameter) * 0.1)
            elif name.endswith((".query", "visual.proj", "positional_embedding")):
                parameter.copy_(torch.randn_like(parameter) * 0.5)
    return model.eval()


def tiny_qwen_vl() -> tuple[Any, Any]:
    """The chat model with its processor, both known to transformers' auto classes."""
    with tempfile.TemporaryDirectory() as place:
        folder = read_folder(str(published(Path(place, "model"))))
        assert folder is not None
        return tiny_model(), qwen_vl().processor(folder, {})


def published(folder: Path, chat: bool = True, shards: str = ".bin", **changes: Any) -> Path:
    """The folder as its authors publish it: two shards of pickles, or of safetensors."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**SETTINGS, **changes}))
    sampling = {"chat_format": "chatml" if chat else "raw", **SAMPLING}
    (folder / "generation_config.json").write_text(json.dumps(sampling))
    written = {"model_max_length": 8192, "tokenizer_class": "QWenTokenizer"}
    code = {"auto_map": {"AutoTokenizer": ["tokenization_qwen.QWenTokenizer", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps({**written, **code}))
    write_words(folder / "qwen.tiktoken")
    tensors = {name: tensor.contiguous() for name, tensor in tiny_model(**changes).state_dict().items()}
    first = {name: tensor for name, tensor in tensors.items() if name != "lm_head.weight"}
    last = {"lm_head.weight": tensors["lm_head.weight"]}
    stem = "pytorch_model" if shards == ".bin" else "model"
    names = {}
    for number, part in enumerate((first, last), start=1):
        file = f"{stem}-0000{number}-of-00002{shards}"
        if shards == ".bin":
            torch.save(part, folder / file)
        else:
            save_file(part, folder / file, metadata={"format": "pt"})
        names.update(dict.fromkeys(part, file))
    index = {"metadata": {"total_size": sum(one.nbytes for one in tensors.values())}, "weight_map": names}
    (folder / f"{stem}{shards}.index.json").write_text(json.dumps(index))
    return folder
