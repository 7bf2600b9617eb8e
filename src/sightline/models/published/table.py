"""Which layouts of authors are known, told apart by config.json alone; each is imported when a folder has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightline.models.published.folder import Folder, read_folder

if TYPE_CHECKING:
    from sightline.models.published.layout import Parts


@dataclass(frozen=True)
class Layout:
    """A layout that transformers does not load by itself.

    Attributes:
        name: for messages and documentation.
        has: whether a config.json, as an object, is of this layout.
        parts: imports what it is loaded by; a class of ours is registered with transformers by this.
    """

    name: str
    has: Callable[[Mapping[str, Any]], bool]
    parts: Callable[[], Parts]


@dataclass(frozen=True)
class Recognised:
    """A folder whose layout is known."""

    folder: Folder
    layout: Layout


def recognise(name: str, revision: str | None = None) -> Recognised | None:
    """The layout of a folder or Hub id; None for what transformers loads by itself, or cannot load either."""
    folder = read_folder(name, revision)
    if folder is None:
        return None
    found = next((layout for layout in LAYOUTS if layout.has(folder.settings)), None)
    return Recognised(folder, found) if found is not None else None


def cuts_tiles(settings: Mapping[str, Any]) -> bool:
    """Whether a LLaVA cuts pictures into tiles, as from 1.6 on."""
    return settings.get("image_aspect_ratio") == "anyres"


def _architecture(settings: Mapping[str, Any]) -> str:
    named = settings.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else ""


def _is_llava(settings: Mapping[str, Any]) -> bool:
    """A language model's config that names a tower and a projector beside it; Yi-VL's has LayerNorms in that."""
    names = isinstance(settings.get("mm_vision_tower"), str)
    return (
        names
        and _architecture(settings).startswith("Llava")
        and not str(settings.get("mm_projector_type", "")).endswith("_Norm")
    )


def _is_llava_15(settings: Mapping[str, Any]) -> bool:
    return _is_llava(settings) and not cuts_tiles(settings)


def _llava_15() -> Parts:
    from sightline.models.published.llava import WHOLE_PICTURES

    return WHOLE_PICTURES


def _is_llava_16(settings: Mapping[str, Any]) -> bool:
    return _is_llava(settings) and cuts_tiles(settings)


def _llava_16() -> Parts:
    from sightline.models.published.llava import TILES

    return TILES


def _is_yi_vl(settings: Mapping[str, Any]) -> bool:
    """The authors' `llava` with layer norms in its projector, or what our class saved."""
    norms = str(settings.get("mm_projector_type", "")).endswith("_Norm")
    return settings.get("model_type") == "yi_vl" or (norms and isinstance(settings.get("mm_vision_tower"), str))


def _yi_vl() -> Parts:
    from sightline.models.published.yi_vl import PARTS

    return PARTS


def has_two_towers(settings: Mapping[str, Any]) -> bool:
    """Whether a DeepSeek-VL sees with two towers, as its 7B does."""
    vision = settings.get("vision_config")
    return isinstance(vision, Mapping) and vision.get("cls") == "HybridVisionTower"


def _is_deepseek_vl(settings: Mapping[str, Any]) -> bool:
    """Not Janus, which also draws pictures."""
    return settings.get("model_type") == "multi_modality" and "gen_vision_config" not in settings


def _is_deepseek_vl_small(settings: Mapping[str, Any]) -> bool:
    return _is_deepseek_vl(settings) and not has_two_towers(settings)


def _deepseek_vl_small() -> Parts:
    from sightline.models.published.deepseek_vl import ONE_TOWER

    return ONE_TOWER


def _is_deepseek_vl_large(settings: Mapping[str, Any]) -> bool:
    return _is_deepseek_vl(settings) and has_two_towers(settings)


def _deepseek_vl_large() -> Parts:
    from sightline.models.published.deepseek_vl import TWO_TOWERS

    return TWO_TOWERS


def _qwen_vl() -> Parts:
    from sightline.models.ports.qwen_vl.layout import qwen_vl

    return qwen_vl()


def _is_cogvlm(settings: Mapping[str, Any]) -> bool:
    """Any generation, of which the first alone is loaded; and folders that our class has saved."""
    named = _architecture(settings).startswith(("CogVLM", "CogAgent")) and isinstance(
        settings.get("vision_config"), dict
    )
    return named or settings.get("model_type") == "cogvlm"


def _cogvlm() -> Parts:
    from sightline.models.ports.cogvlm.layout import PARTS

    return PARTS


def _is_moondream_2024(settings: Mapping[str, Any]) -> bool:
    return settings.get("model_type") == "moondream1" and not _is_moondream_2025(settings)


def _is_moondream_2025(settings: Mapping[str, Any]) -> bool:
    """Published with the name and settings of a wrapper, or saved by our class."""
    published = settings.get("model_type") == "moondream1" and _architecture(settings) == "HfMoondream"
    return published or settings.get("model_type") == "moondream2"


def _moondream_2024() -> Parts:
    from sightline.models.ports.moondream.layout import parts_of_2024

    return parts_of_2024()


def _moondream_2025() -> Parts:
    from sightline.models.ports.moondream.layout import parts_of_2025

    return parts_of_2025()


# The first that has a folder's config.json is taken.
LAYOUTS: list[Layout] = [
    Layout("LLaVA 1.5 of the authors", _is_llava_15, _llava_15),
    Layout("LLaVA 1.6 of the authors", _is_llava_16, _llava_16),
    Layout("Yi-VL", _is_yi_vl, _yi_vl),
    Layout("DeepSeek-VL 1.3B of the authors", _is_deepseek_vl_small, _deepseek_vl_small),
    Layout("DeepSeek-VL 7B of the authors", _is_deepseek_vl_large, _deepseek_vl_large),
    # Plain Qwen-7B, too, so that it is refused by its name.
    Layout("Qwen-VL", lambda settings: settings.get("model_type") == "qwen", _qwen_vl),
    Layout("CogVLM", _is_cogvlm, _cogvlm),
    Layout("moondream2 of 2024", _is_moondream_2024, _moondream_2024),
    Layout("moondream2 of 2025", _is_moondream_2025, _moondream_2025),
]
