"""Write a merged model like its base: shards, generation settings, processor, licence, and a card with its use."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard, ModelCardData, split_torch_state_dict_into_shards

from sightline.errors import MachineError
from sightline.models.adapter_folders import SETTINGS, Base, lasting_name
from sightline.models.folders import require_settings
from sightline.models.load import load_model
from sightline.models.pretrained import load_pretrained
from sightline.models.published.folder import stored_file
from sightline.models.published.table import recognise
from sightline.models.stored_weights import give_usual_rights
from sightline.runs import write_text
from sightline.secrets import redact
from sightline.settings.loading import LoadingOptions

GENERATION, CARD = "generation_config.json", "README.md"
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
LICENCE = ("license", "license_name", "license_link", "language")
SHOWN = ("r", "lora_alpha", "use_rslora", "use_dora", "target_modules", "modules_to_save")
WIDER = 1.02  # by so much a file may grow at a time, until there are as few as the base has


@dataclass(frozen=True)
class Origin:
    """An adapter, what PEFT calls its kind, and the model it is merged into."""

    base: Base
    adapter: str
    kind: str

    @property
    def name(self) -> str:
        """Both, for messages."""
        return f"{self.base.name} + {self.adapter}"


@dataclass(frozen=True)
class WrittenModel:
    """What was written: the precision of most weights, and the number of files that hold them."""

    dtype: str
    shards: int


def write_model(folder: Path, model: Any, processor: Any, origin: Origin, max_shard_size: str | None) -> WrittenModel:
    """Weights, configuration, generation settings, processor and licence files."""
    from transformers import GenerationConfig

    size: int | str = max_shard_size or _shard_bytes(model, _shards(origin.base))
    model.generation_config = GenerationConfig()  # that of many a base is refused when it is saved, and is copied below
    model.save_pretrained(folder, max_shard_size=size)
    (folder / GENERATION).unlink(missing_ok=True)
    processor.save_pretrained(folder)
    for file in (GENERATION, *licence_files(origin.base)):
        path = stored_file(origin.base.name, file, origin.base.revision)
        if path is not None:
            shutil.copyfile(path, folder / file)
    dtype = str(model.dtype).removeprefix("torch.")
    recognised = recognise(origin.base.name, origin.base.revision)
    if recognised is not None:  # whose authors left stops to their code
        load_pretrained(GenerationConfig, origin.base.name, {"revision": origin.base.revision}).save_pretrained(folder)
    give_usual_rights(folder)
    return WrittenModel(dtype, len(list(folder.glob("*.safetensors"))))


def require_same_weights(folder: Path, model: Any) -> None:
    """Reads what was written, and raises MachineError where it is not the model."""
    read = load_model(Base(str(folder)), LoadingOptions(device="cpu")).state_dict()
    written = model.state_dict()
    differing = [name for name in written.keys() | read.keys() if not _same(written.get(name), read.get(name))]
    if differing:
        raise MachineError(
            f"What was written is not what was merged: {len(differing)} weights read otherwise, such as "
            f"{min(differing)}. Nothing is kept. Please report this with the model's name."
        )


def write_card(folder: Path, name: str, origin: Origin) -> None:
    """A README.md that says what was merged into what, under the base's licence."""
    base = lasting_name(origin.base.name, origin.base.revision)
    on_hub = not Path(base.name).exists()
    kept = _card_of(origin.base)
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        base_model=base.name if on_hub else kept.get("base_model"),
        tags=["sightline", "merged"],
        **{key: kept[key] for key in LICENCE if kept.get(key)},
    )
    settings = require_settings(Path(origin.adapter, SETTINGS))
    rows = "\n".join(f"| {key} | {_told(settings[key])} |" for key in SHOWN if settings.get(key))
    at = f" at revision `{base.revision}`" if base.revision else ""
    text = f"""# {name}

`{base.name}`{at} with an adapter ({origin.kind}, `{Path(origin.adapter).name}`) merged into its weights by Sightline:
an ordinary model folder, which needs neither PEFT nor the adapter. The licence of the base model holds for it.

| adapter | |
| --- | --- |
| kind | {origin.kind} |
{rows}

{ask_snippet(name)}
"""
    write_text(folder / CARD, redact(str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}"))))


def _told(value: Any) -> str:
    return str(value).replace("|", "\\|")[:300]


def _same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    return one is not None and other is not None and one.dtype == other.dtype and torch.equal(one, other)


def _shards(base: Base) -> int:
    """The number of files that the weights of the base lie in."""
    for name in INDICES:
        path = stored_file(base.name, name, base.revision)
        if path is not None:
            return len(set(json.loads(path.read_bytes())["weight_map"].values()))
    return 1


def _shard_bytes(model: Any, shards: int) -> int:
    """The smallest size of a file, in small steps, with which the model lies in so many files."""
    weights = model.state_dict()
    size = sum(value.nbytes for value in weights.values()) // shards + 1
    while len(split_torch_state_dict_into_shards(weights, max_shard_size=size).filename_to_tensors) > shards:
        size = int(size * WIDER) + 1
    return size


def licence_files(base: Base) -> list[str]:
    """Names of the files in a model's folder that say what may be done with it."""
    folder = Path(base.name)
    wanted = ("license", "licence", "notice", "use_policy")
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in found if path.is_file() and path.name.lower().startswith(wanted))


def _card_of(base: Base) -> dict[str, Any]:
    """The settings at the head of the base's card; empty where it has none here."""
    path = stored_file(base.name, CARD, base.revision)
    if path is None:
        return {}
    try:
        found: dict[str, Any] = ModelCard.load(path).data.to_dict()
    except Exception:  # the hand-written head of a card may be anything
        return {}
    return found


def ask_snippet(repository: str, model: str = "") -> str:
    """A section of Markdown; `model` is the line that loads the model, where it is not the plain one."""
    load = model or f'model = AutoModelForImageTextToText.from_pretrained("{repository}")'
    return f"""## Ask it

```python
from transformers import AutoModelForImageTextToText, AutoProcessor

{load}
processor = AutoProcessor.from_pretrained("{repository}")
content = [{{"type": "image", "path": "picture.png"}}, {{"type": "text", "text": "What is this?"}}]
inputs = processor.apply_chat_template(
    [{{"role": "user", "content": content}}],
    add_generation_prompt=True,
    tokenize=True,
    return_dict=True,
    return_tensors="pt",
)
output = model.generate(**inputs, max_new_tokens=64)
print(processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
```

or `sightline ask {repository} picture.png "What is this?"`."""
