"""Tiny models of the families whose processors write into a prompt by themselves, real classes as in tiny_families."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from sightline.models.ports.yi_vl import YiVLConfig, YiVLForConditionalGeneration
from sightline.models.published import yi_vl as _registered  # noqa: F401
from tests.families.tiny_words import ID, TEXT, TOWER, VOCABULARY, Parts, template, tokenizer

SIGLIP = {"model_type": "siglip_vision_model", **TOWER, "image_size": 32, "patch_size": 8, "vision_use_head": False}
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "init_std": 0.2}


def paligemma(text: dict[str, Any] | None = None) -> Parts:
    """A prompt that looks both ways, the start token behind the image."""
    config = transformers.PaliGemmaConfig(
        vision_config=SIGLIP,
        text_config=text or {"model_type": "gemma", **TEXT, "head_dim": 8},
        image_token_index=ID["<image>"],
        projection_dim=32,
        hidden_size=32,
    )
    images = transformers.SiglipImageProcessor(size={"height": 32, "width": 32}, image_seq_length=16)
    processor = transformers.PaliGemmaProcessor(images, tokenizer(image_token="<image>"), chat_template=template())
    return transformers.PaliGemmaForConditionalGeneration(config), processor


def paligemma2() -> Parts:
    """As PaliGemma, with windows in some layers and capped logits."""
    text = {
        "model_type": "gemma2", **TEXT, "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 6,
        "layer_types": ["sliding_attention", "full_attention"], "final_logit_softcapping": 30.0,
    }  # fmt: skip
    return paligemma(text)


def fuyu() -> Parts:
    """Patches straight into the decoder, in front of the text."""
    text = {key: value for key, value in TEXT.items() if key != "num_key_value_heads"}
    config = transformers.FuyuConfig(
        text_config={"model_type": "persimmon", **text},
        patch_size=8,
        num_channels=3,
        image_token_id=ID["|SPEAKER|"],
    )
    images = transformers.FuyuImageProcessor(size={"height": 32, "width": 48}, patch_size={"height": 8, "width": 8})
    return transformers.FuyuForCausalLM(config), transformers.FuyuProcessor(images, _underscoring_tokenizer())


def yi_vl() -> Parts:
    """As LLaVA, with layer norms in the projector."""
    config = YiVLConfig(
        vision_config={**TOWER, "model_type": "clip_vision_model", "image_size": 32, "patch_size": 8},
        text_config={"model_type": "llama", **TEXT},
        image_token_index=ID["<image>"],
        vision_feature_layer=-2,
    )
    sides = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    images = transformers.LlavaImageProcessor(**sides, do_pad=True)
    processor = transformers.LlavaProcessor(
        images, tokenizer(image_token="<image>"), patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=template(),
    )  # fmt: skip
    return YiVLForConditionalGeneration(config), processor


def _underscoring_tokenizer() -> PreTrainedTokenizerFast:
    """Each text begins with an underscore, as SentencePiece does, which Fuyu's processor strips before an image."""
    raw = Tokenizer(models.WordLevel(ID, unk_token="<unk>"))
    raw.normalizer = normalizers.Prepend("▁ ")
    words = Regex(r"\|SPEAKER\||\|NEWLINE\||<0x04>")
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(words, "isolated")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def kosmos2() -> Parts:
    """Positions that start behind the padding's id, placeholders that are 64 different words."""
    ids = {**ID, "<s>": ID["<pad>"], "<pad>": ID["<s>"]}
    words = tokenizer(ids)
    images = transformers.CLIPImageProcessor(size={"height": 32, "width": 32}, do_center_crop=False)
    processor = transformers.Kosmos2Processor(images, words, num_patch_index_tokens=2)
    text = {
        "vocab_size": len(words), "embed_dim": 32, "layers": 2, "ffn_dim": 64, "attention_heads": 4,
        "max_position_embeddings": 512, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, **NO_DROPOUT,
    }  # fmt: skip
    config = transformers.Kosmos2Config(text_config=text, vision_config={**TOWER, "image_size": 32, "patch_size": 8})
    return transformers.Kosmos2ForConditionalGeneration(config), processor


def blip_2() -> Parts:
    """Query tokens in front of OPT."""
    text = {
        "model_type": "opt", "vocab_size": len(VOCABULARY), "hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 512, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2, **NO_DROPOUT,
    }  # fmt: skip
    queries = {**TOWER, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "vocab_size": 8}
    config = transformers.Blip2Config(
        vision_config={**TOWER, "image_size": 32, "patch_size": 8, "initializer_range": 0.2},
        qformer_config=queries,
        text_config=text,
        num_query_tokens=4,
        image_token_index=ID["<image>"],
    )
    images = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    processor = transformers.Blip2Processor(images, tokenizer(), num_query_tokens=4)
    model = transformers.Blip2ForConditionalGeneration(config)
    torch.nn.init.normal_(model.query_tokens)  # zeros, as it is made, have no direction to normalise
    return model, processor


def cogvlm() -> Parts:
    """Two experts in each layer, all patches at one position, the image behind the start token."""
    from sightline.models.ports.cogvlm.config import CogVLMConfig
    from sightline.models.ports.cogvlm.layout import register
    from sightline.models.ports.cogvlm.model import CogVLMForCausalLM
    from sightline.models.ports.cogvlm.processor import CogVLMImageProcessor, CogVLMProcessor

    register()

    tower = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_heads": 2, "image_size": 32,
        "patch_size": 8, "num_positions": 17, "initializer_range": 0.2,
    }  # fmt: skip
    text = {key: value for key, value in TEXT.items() if key != "num_key_value_heads"}
    config = CogVLMConfig(**text, vision_config=tower)
    images = CogVLMImageProcessor(size={"height": 32, "width": 32})
    return CogVLMForCausalLM(config), CogVLMProcessor(images, tokenizer(), config.image_tokens)


def molmo2() -> Parts:
    """Tiles that a second input points into, features added to embeddings, images that look both ways."""
    config = transformers.Molmo2Config(
        text_config={**TEXT, "head_dim": 8, "additional_vocab_size": 0},
        vision_config={**TOWER, "num_key_value_heads": 2, "head_dim": 16, "image_size": [32, 32], "patch_size": 8},
        adapter_config={
            "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16,
            "intermediate_size": 64, "text_hidden_size": 32, "vision_feature_layer": [-1, -2],
        },
        image_patch_id=ID["<im_patch>"],
        image_start_token_id=ID["<im_start>"],
        image_end_token_id=ID["<im_end>"],
        low_res_image_start_token_id=ID["<low_res_im_start>"],
    )  # fmt: skip
    images = transformers.Molmo2ImageProcessor(
        size={"height": 32, "width": 32}, max_crops=2, overlap_margins=[1, 1], patch_size=8, pooling_size=[2, 2]
    )
    videos = transformers.Molmo2VideoProcessor(size={"height": 32, "width": 32}, patch_size=8, pooling_size=[2, 2])
    processor = transformers.Molmo2Processor(images, videos, tokenizer(), chat_template=template("<|image|>"))
    return transformers.Molmo2ForConditionalGeneration(config), processor
