"""What a VLM is built from, and the presets: a table of such specifications, with their tokenizer and chat template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.errors import ConfigError, nearest

IMAGE, PAD, START, END = "<image>", "<pad>", "<s>", "</s>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"

# What the tokenizer is trained on: each word becomes one token, at the start of a text and behind a space.
_WORDS = """
a about above across after all also an and another any appear are around as at away back be because been before behind
below beneath beside between both bottom but by came can center centre close color colors colour colours column come
contain contained contains corner corners could count darker describe description did different direction do does down
each edge either else empty equal even every everything exactly far fewer find first follow for four from front full
get give go good great had half happen has have having he her here him his horizontal how i if in inside into is it its
just kind know last least left less let lighter like line lines little located long look lower made make many maybe me
middle missing more most much must my name near nearest neither new next no none nor not nothing now number numbers
object objects of off old on once one only onto opposite or order other our out outside over overlap overlapping
overlaps own pair part people picture pictures place placed places point position positions present print printed
question quite rather read reads right row rows same say says scene second see seem seen several she short should show
showing shown shows side sides similar since size sizes so some something still such sure tall tell text than that the
their them then there these they thing things third this those three through time to together too top total touch
touching toward true two under unlike until up upper us use value values vertical very view was way we well were what
when where whether which while who whole whose why wide will with within without word words would write written yes
yet you your answer answers background bar bars bigger biggest chart charts different false fill filled graph grid
height high higher highest image images label labels large larger largest letter letters longer longest low lowest
photo photograph shape shapes shorter shortest small smaller smallest start starts taller tallest title tiny width

beige black blue bright brown cyan dark gold golden gray green grey light magenta maroon navy olive orange pale pink
purple red silver teal turquoise violet white yellow

arrow box circle circles cone cross crosses cube cubes curve cylinder diamond diamonds disc dot dots ellipse heart
hexagon oval ovals pentagon rectangle rectangles ring rings round sphere spheres square squares star stars stripe
triangle triangles

zero five six seven eight nine ten eleven twelve hundred thousand

airplane animal apple ball banana bear bed bench bicycle bike bird birds boat body book bottle bowl boy bridge building
bus cake car cars cat cats chair child children city clock cloud clouds coat computer cow cup day desk dog dogs door
elephant eye eyes face field fire fish flag floor flower flowers food foot fork fruit girl glass grass ground group
hair hand hands hat head hill holding horse house key keys kitchen knife lamp lake leaf leaves leg legs lion looking
man map men moon mountain mountains mouse mouth night nose ocean page paper park person phone plane plant plate
playing rain river road rock roof room running sea sheep shelf ship shirt shoe sitting sky snow spoon standing street
sun table tail tower train tree trees truck umbrella wall walking water wearing wheel wind window woman women wood
young
"""
_OPENINGS = """
A All An And Answer Are At Between By Can Compare Count Describe Did Do Does Each Every Explain Find For From Give Has
Have How I If In Is It List Look Name No None On One Only Or Read Say Should Show So Tell That The There These They
This Three To True Two What When Where Which Who Whose Why With Word Write Yes You
"""


def build_tokenizer(max_length: int) -> Any:
    """A tokenizer of about 2,000 tokens that encodes any text; the same vocabulary each time.

    Letters and words merge; digits stay single, so that numbers are read digit by digit. It adds no start token of its
    own: the chat template writes it.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8192,
        special_tokens=[PAD, START, END, IMAGE, SYSTEM, USER, ASSISTANT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    raw.train_from_iterator(_training_text(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        model_max_length=max_length,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        extra_special_tokens={"image_token": IMAGE},
    )


def _training_text() -> list[str]:
    return [f"{word} {word}" for word in (*_WORDS.split(), *_OPENINGS.split())]


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
