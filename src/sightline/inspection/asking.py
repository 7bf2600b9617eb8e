"""How a model is asked: the prompt around a question, where its picture stands, what ends an answer, its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image
from transformers import AutoConfig, GenerationConfig

from sightline.data.encoding.processors import BEFORE_IMAGE, hole_id, image_token, layout_of
from sightline.data.encoding.prompts import render_prompt
from sightline.data.pictures.images import opened
from sightline.errors import InputError
from sightline.models.pretrained import load_pretrained
from sightline.training.plan import RunPlan
from sightline.types import Question

QUESTION = "{question}"
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "stop_strings")
_NO_CHOICE = (
    "transformers_version", "_from_model_config", "trust_remote_code", "output_attentions", "output_hidden_states",
    "use_cache",
)  # fmt: skip


@dataclass(frozen=True)
class AskingForm:
    """How a model is asked.

    Attributes:
        prompt: what stands around a question, with the word for a picture where one stands.
        picture: how a picture stands in it.
        stops: what ends an answer, words with their ids.
        settings: the model's own settings of generation; empty where it has none.
    """

    prompt: str
    picture: str
    stops: str
    settings: str

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The same with names, for people, line breaks marked."""
        prompt = self.prompt.replace("\n", "\N{RETURN SYMBOL}\n")
        return (
            ("prompt", prompt or "there is no chat template: rows are texts, and questions need --chat_template"),
            ("picture", self.picture),
            ("answers end at", self.stops or "nothing of the model's own"),
            ("its generation settings", f"{self.settings or 'none'} (ask and eval take the likeliest token)"),
        )


def asking_form(plan: RunPlan) -> AskingForm:
    """How the model of a plan is asked about one picture."""
    processor, generation = plan.source.processor, _generation(plan)
    return AskingForm(_prompt(processor), _picture(processor), _stops(plan, generation), _settings(generation))


def _prompt(processor: Any) -> str:
    try:
        return render_prompt(processor, Question(QUESTION, (opened(Image.new("RGB", (1, 1))),))).text
    except InputError:  # there is no template, or none that takes one question about one picture
        return ""


def _picture(processor: Any) -> str:
    layout = layout_of(processor)
    behind = f"; {layout.end!r} is written behind the prompt" if layout.end else ""
    if layout.image_in_front:
        place = "behind the start token" if layout.start == BEFORE_IMAGE else "in front of the prompt"
        return f"{place}, and not named in the prompt{behind}"
    return f"at {image_token(processor)} (id {hole_id(processor)}){behind}"


def _generation(plan: RunPlan) -> GenerationConfig:
    """The settings that the model brings; without a file those that its config implies."""
    model = plan.source.model
    if not isinstance(model, str):
        found: GenerationConfig = model.generation_config
        return found
    told = {"revision": (plan.settings.training.model_init_kwargs or {}).get("revision")}
    try:
        found = load_pretrained(GenerationConfig, model, told)
    except OSError:
        found = GenerationConfig.from_model_config(load_pretrained(AutoConfig, model, told))
    return found


def _stops(plan: RunPlan, generation: GenerationConfig) -> str:
    tokenizer, stop = plan.source.processor.tokenizer, generation.eos_token_id
    ids = stop if isinstance(stop, list | tuple) else [] if stop is None else [stop]
    words = [f"{tokenizer.convert_ids_to_tokens(int(token))} (id {token})" for token in ids]
    strings = generation.stop_strings or ()
    words += [repr(word) for word in ([strings] if isinstance(strings, str) else strings)]
    return ", ".join(words)


def _settings(generation: GenerationConfig) -> str:
    own = generation.to_diff_dict()
    return ", ".join(f"{name} {own[name]}" for name in sorted(own) if name not in (*_IDS, *_NO_CHOICE))
