"""Refuse what would let code of a model's folder run: `trust_remote_code`, and folders that nothing else can load."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import AutoModelForImageTextToText
from trl.trainer import dpo_trainer, sft_trainer
from trl.trainer.utils import create_model_from_path

from sightline.errors import ConfigError
from sightline.models.guarded import never_asking, refused_pickles
from sightline.models.pretrained import INSTEAD, check_code, code_beside, load_pretrained
from sightline.models.published.table import recognise

KEY = "trust_remote_code"


def refuse_code_setting(settings: Mapping[str, Any] | None, where: str) -> None:
    """Nothing where `trust_remote_code` is not among the settings, or false.

    Raises:
        ConfigError: it is set; `where` starts the message.
    """
    if isinstance(settings, Mapping) and settings.get(KEY):
        raise ConfigError(
            f"{where}: Sightline never runs code of a model's folder. Leave {KEY} out: what transformers knows by its "
            f"model_type is loaded by its own class. For others: {INSTEAD}"
        )


def without_code(args: Any, models: Iterable[Any], trl_arguments: dict[str, Any]) -> dict[str, Any]:
    """TRL's arguments for models, perhaps named, whose folders bring code: with the processor that loads without it.

    Raises:
        ConfigError: the arguments set `trust_remote_code`, themselves or in `model_init_kwargs`.
        InputError: a model, a processor or the source of a chat template that only its own code can load.
    """
    from transformers import AutoProcessor, AutoTokenizer

    init = getattr(args, "model_init_kwargs", None)
    refuse_code_setting(vars(args) if args is not None else None, f"args.{KEY}")
    refuse_code_setting(init, f"model_init_kwargs: {KEY}")
    revision = init.get("revision") if isinstance(init, Mapping) else None
    template = getattr(args, "chat_template_path", None)
    if template and not Path(template).is_file() and code_beside(str(template)):
        load_pretrained(AutoTokenizer, template)
    named = [model for model in models if isinstance(model, str)]
    for model in named:
        check_code(model, revision)
    if named and trl_arguments.get("processing_class") is None and _differs(named[0], revision):
        processor = load_pretrained(AutoProcessor, named[0], {"revision": revision})
        return {**trl_arguments, "processing_class": processor}
    return trl_arguments


def _differs(name: str, revision: str | None) -> bool:
    """Whether TRL would not find the processor by itself."""
    return bool(code_beside(name, revision)) or recognise(name, revision) is not None


@contextmanager
def loaded_by_trl(*models: Any) -> Iterator[None]:
    """While TRL loads what is named: it asks nothing on a terminal, a pickle that would run something is one line, and
    layouts of authors are read as they are everywhere.

    Raises:
        InputError: weights of a model lie in such a pickle.
    """
    named = next((model for model in models if isinstance(model, str)), "The model")
    callers = (sft_trainer, dpo_trainer)
    for caller in callers:  # who call it by the name they imported (TRL 1.16)
        caller.create_model_from_path = create_model
    try:
        with never_asking(), refused_pickles(named):
            yield
    finally:
        for caller in callers:
            caller.create_model_from_path = create_model_from_path


def create_model(model_id: str, architecture: Any = None, **settings: Any) -> Any:
    """TRL's `create_model_from_path`, which also loads what the authors published in a layout of their own."""
    if recognise(model_id, settings.get("revision")) is None:
        return create_model_from_path(model_id, architecture, **settings)
    device_map = None if PartialState().device.type in ("cpu", "mps") else "auto"
    own = {name: value for name, value in settings.items() if name != KEY}
    return load_pretrained(AutoModelForImageTextToText, model_id, {"dtype": "float32", "device_map": device_map, **own})
