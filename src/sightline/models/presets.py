"""Presets: a table of the parts that a VLM is built from, with LLaVA's chat template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.errors import ConfigError, nearest
from sightline.models.tokenizers import ASSISTANT, SYSTEM, USER


@dataclass(frozen=True)
class BuildSpec:
    """The parts of a VLM.

    Attributes:
        tower: a vision config with its `model_type`, a JSON file of one, or a folder of a pretrained model.
        decoder: the same for a causal language model.
        projector: activation between the projector's two linear layers; `linear` for none.
        tokenizer: a folder or Hub id; None takes the decoder folder's, or else builds a small one.
        image_size: side of the square picture that the tower reads, in pixels; None takes the tower config's.
        feature_layer: which of the tower's hidden states the projector reads.
        tower_gain: draw each matrix and kernel of a fresh tower with the standard deviation gain / sqrt(inputs), and
            not as its class does. Where kernels are standardised (BiT) what flows through stays the same and the tower
            learns at rate / gain.
    """

    tower: dict[str, Any] | str | Path
    decoder: dict[str, Any] | str | Path
    projector: str = "gelu"
    tokenizer: str | None = None
    image_size: int | None = None
    feature_layer: int = -1
    tower_gain: float | None = None


PRESETS: dict[str, BuildSpec] = {
    # About 1 million parameters, 64 image tokens. A small ResNet with GroupNorm and standardised kernels tells shapes
    # after 150 steps where towers with attention need thousands (docs/log.md), and couples no images as BatchNorm does.
    "nano": BuildSpec(
        tower={
            "model_type": "bit",
            "layer_type": "preactivation",
            "global_padding": "SAME",
            "num_groups": 8,
            "embedding_size": 48,
            "hidden_sizes": [128, 128],
            "depths": [2, 2],
        },
        decoder={
            "model_type": "granite",  # a Llama whose embeddings can be scaled
            "hidden_size": 128,
            "intermediate_size": 320,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 2048,
            "tie_word_embeddings": True,
            # Close to 1 / sqrt(width); at 0.02 colours take three times the steps. Embeddings of that size would drown
            # in what the layers add to them, and what is asked for is found late: 12 brings them to 1.
            "initializer_range": 0.08,
            "embedding_multiplier": 12.0,
            "attention_multiplier": 32**-0.5,
        },
        image_size=64,
        tower_gain=0.3,
    ),
}


def preset_spec(name: str) -> BuildSpec:
    """The specification of a preset.

    Raises:
        ConfigError: no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(
            f"preset: expected one of {', '.join(PRESETS)}; got {name!r}. {nearest(name, PRESETS)}".strip()
        )
    return PRESETS[name]


@dataclass(frozen=True)
class Turns:
    """What stands around a turn's content; an assistant's turn ends with the tokenizer's end token.

    Attributes:
        gap: between `assistant` and the answer; part of the answer, so that a prompt ends with `assistant`.
    """

    system: str
    user: str
    assistant: str
    gap: str = ""


# A token per role for the tokenizer made here; LLaVA 1.5's words for tokenizers whose embeddings are trained already.
ROLE_TOKENS = Turns(SYSTEM, USER, ASSISTANT)
LLAVA_WORDS = Turns("", "USER: ", " ASSISTANT:", " ")

# `{% generation %}` marks what TRL's assistant_only_loss trains. Images are written where the content names them.
_TEMPLATE = """\
{%- macro render(content) -%}
    {%- if content is string -%}
        {{- content -}}
    {%- else -%}
        {%- for part in content -%}
            {%- if part['type'] == 'image' -%}{{- '<image>' -}}
            {%- elif part['type'] == 'text' -%}{{- part['text'] -}}
            {%- else -%}{{- raise_exception('A part of a message is an image or a text, not ' ~ part['type']) -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{{- bos_token -}}
{%- for message in messages -%}
    {%- if message['role'] == 'system' -%}
        {{- SYSTEM_TURN ~ render(message['content']) -}}
    {%- elif message['role'] == 'user' -%}
        {{- USER_TURN ~ render(message['content']) -}}
    {%- elif message['role'] == 'assistant' -%}
        {{- ASSISTANT_TURN -}}
        {%- generation -%}{{- GAP ~ render(message['content']) ~ eos_token -}}{%- endgeneration -%}
    {%- else -%}
        {{- raise_exception('A message is by system, user or assistant, not ' ~ message['role']) -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- ASSISTANT_TURN -}}{%- endif -%}
"""


def chat_template(turns: Turns) -> str:
    """A Jinja template in which a prompt with its generation prompt is an exact prefix of prompt plus answer."""
    named = {"SYSTEM_TURN": turns.system, "USER_TURN": turns.user, "ASSISTANT_TURN": turns.assistant, "GAP": turns.gap}
    assignments = "".join(f"{{%- set {name} = {text!r} -%}}\n" for name, text in named.items())
    return assignments + _TEMPLATE
