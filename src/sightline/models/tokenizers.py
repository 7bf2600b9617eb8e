"""Build a small byte-level tokenizer: one token per everyday word, bytes for the rest."""

from __future__ import annotations

from typing import Any

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
