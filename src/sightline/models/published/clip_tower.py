"""The CLIP tower of a checkpoint that only names it: its sizes from stored weights, or from a folder of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModel

from sightline.errors import InputError
from sightline.models.guarded import load_guarded
from sightline.models.published.folder import Folder, is_hub_id

HEAD = 64  # channels of a head in every CLIP tower that LLaVA uses (openai/CLIP)
PREFIX = "model.vision_tower.vision_tower.vision_model."


@dataclass(frozen=True)
class TowerBeside:
    """A tower whose weights lie in a folder of its own.

    Attributes:
        where: that folder or Hub id, or the model's own.
        subfolder: where it lies in `where`; empty for all of it.
        revision: of the Hub id.
        inside: the path of the tower in the model.
    """

    where: str
    subfolder: str = ""
    revision: str | None = None
    inside: str = "model.vision_tower"

    @property
    def settings(self) -> dict[str, Any]:
        """What `from_pretrained` takes beside `where`."""
        return {"subfolder": self.subfolder, "revision": self.revision}

    def fill(self, model: Any) -> frozenset[str]:
        """Copy its weights into the model, unless that has no memory for them; gives the names that are filled."""
        weights = self.tensors()
        if model.device.type != "meta":
            model.load_state_dict(weights, strict=False)
        return frozenset(weights)

    def tensors(self) -> dict[str, Tensor]:
        """Its weights under the names they have in the model."""
        tower = load_guarded(CLIPVisionModel, self.where, {"dtype": "auto", **self.settings})
        return {f"{self.inside}.{name}": tensor for name, tensor in tower.state_dict().items()}


def stored_tower(folder: Folder) -> CLIPVisionConfig | None:
    """The config of the tower that is stored in a checkpoint, read off its shapes; None where none is."""
    shapes = {name.removeprefix(PREFIX): shape for name, shape in folder.shapes().items() if name.startswith(PREFIX)}
    if not shapes:
        return None
    try:
        hidden, _, patch, _ = shapes["embeddings.patch_embedding.weight"]
        positions, _ = shapes["embeddings.position_embedding.weight"]
        inner, _ = shapes["encoder.layers.0.mlp.fc1.weight"]
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{folder.name}: the vision tower stored below {PREFIX} is no CLIP tower ({error}). Copy the folder again."
        ) from error
    layers = {name.split(".")[2] for name in shapes if name.startswith("encoder.layers.")}
    return CLIPVisionConfig(
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=len(layers),
        num_attention_heads=max(1, hidden // HEAD),
        patch_size=patch,
        image_size=round((positions - 1) ** 0.5) * patch,
        projection_dim=min(hidden, 768),
    )


def tower_beside(folder: Folder, named: str) -> TowerBeside:
    """Where the tower lies that a checkpoint names and does not hold: a folder in it, any other folder, or a Hub id.

    Raises:
        InputError: it is not here.
    """
    inside = Path(folder.name, named)
    if folder.file(str(Path(named, "config.json"))) is not None:
        return TowerBeside(folder.name, str(Path(named)), folder.revision)
    if Path(named, "config.json").is_file():
        return TowerBeside(named)
    if is_hub_id(named) and Folder(named, None, {}).file("config.json") is not None:
        return TowerBeside(named)
    raise InputError(
        f"{folder.name} holds no vision tower and names {named} (mm_vision_tower), which is not here. Copy that "
        f"model's folder to {inside}, or use a converted checkpoint (its name ends in -hf)."
    )


def config_beside(tower: TowerBeside) -> CLIPVisionConfig:
    """The config of a tower in a folder of its own."""
    config: CLIPVisionConfig = load_guarded(CLIPVisionConfig, tower.where, tower.settings)
    return config
