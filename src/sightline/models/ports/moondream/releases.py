"""Tell which release of moondream2 a folder holds: from its weights, the authors' code beside them, or its revision."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import InputError
from sightline.models.ports.moondream.config import CROPS, ONE_VIEW, STARMIE_CROPS, TILES
from sightline.models.ports.moondream.prompts import FIRST_MARK, MARKS, PLAIN, TAGGED, TIGHT
from sightline.models.published.folder import Folder

STARMIE = "moondream/starmie-v1"
TOKENIZER_FILE = "tokenizer.json"
# Releases are named by dates. Before the first of these the tower was timm's, before the second an image stood in tags.
OWN_TOWER, WITHOUT_TAGS = "2024-03-31", "2024-03-13"
LOG_SIZES, OF_STARMIE = "2025-03-27", "2025-06-21"
_DATE = re.compile(r"20\d\d-\d\d-\d\d")
_PATCHES, _PROJECTOR = "vision_encoder.encoder.model.visual.patch_embed.linear.weight", "projection.mlp.fc1.weight"
_PROJECTOR_OF_2025 = "vision.proj_mlp.fc1.weight"


@dataclass(frozen=True)
class Release:
    """What tells a release from others.

    Attributes:
        generation: A to D.
        form: the words around a question.
        of_timm: the tower is timm's, with exact GELU and norms of eps 1e-6.
        log_sizes: bins of the region head's sizes are steps of a factor.
    """

    generation: str
    form: str = PLAIN
    of_timm: bool = False
    log_sizes: bool = True


def find_release(folder: Folder) -> Release:
    """The release of a published folder or Hub id.

    What the weights do not tell (names of 2024 or 2025, the projector's width) is read in the authors' `moondream.py`
    and `vision_encoder.py`, else told by a revision that is a date; of 2024 it is that of 2024-04-02 without either.

    Raises:
        InputError: the weights are of no release, or of 2025 without what tells C from D.
    """
    shapes = {name.replace("._orig_mod", "").removeprefix("model."): shape for name, shape in folder.shapes().items()}
    if _PROJECTOR_OF_2025 in shapes:
        return _of_2025(folder)
    tower, projector = shapes.get(_PATCHES), shapes.get(f"vision_encoder.{_PROJECTOR}")
    if tower is None or projector is None or projector[1] not in (tower[0], 2 * tower[0]):
        got = f"{', '.join(sorted(shapes)[:2])} and others" if shapes else "none"
        raise InputError(
            f"{folder.name}: expected the weights of moondream2, among them {_PROJECTOR_OF_2025} (2025) or "
            f"vision_encoder.{_PROJECTOR} of the tower's width or twice that (2024), got "
            f"{got}. Copy all of its files again, from one revision."
        )
    return _of_2024(folder, ONE_VIEW if projector[1] == tower[0] else TILES)


def is_of_starmie(path: Path | None) -> bool:
    """Whether a tokenizer.json is that of starmie-v1, whose token 1 is `<|md_reserved_0|>`."""
    if path is None:
        return False
    try:
        found = json.loads(path.read_bytes())
        added = {one["content"]: one["id"] for one in found.get("added_tokens") or ()}
        vocabulary = found["model"]["vocab"]
        return {**(vocabulary if isinstance(vocabulary, dict) else {}), **added}.get(FIRST_MARK) == 1
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # which whoever loads it tells
        return False


def _of_2024(folder: Folder, generation: str) -> Release:
    words, tower, date = _code(folder, "moondream.py"), _code(folder, "vision_encoder.py"), _date(folder)
    of_timm = "timm" in tower if tower else "" < date < OWN_TOWER
    tagged = 'Answer: "' in words if words else "" < date < WITHOUT_TAGS
    if generation == TILES:
        return Release(TILES)
    return Release(ONE_VIEW, TAGGED if tagged else PLAIN, of_timm)


def _of_2025(folder: Folder) -> Release:
    code, date = _code(folder, "moondream.py"), _date(folder)
    if STARMIE in code if code else is_of_starmie(folder.file(TOKENIZER_FILE)) or date >= OF_STARMIE:
        return Release(STARMIE_CROPS, MARKS)
    if not code and not date:
        raise InputError(
            f"{folder.name}: the weights are those of moondream2 of 2025, but not which: those of 2025-06-21 need the "
            f"tokenizer of {STARMIE}, those before need the one beside them, and no weight or setting tells. Expected "
            "the authors' moondream.py beside the weights (it is read, never run), or a revision that is a date. Copy "
            f"moondream.py of the same revision, or, for 2025-06-21, {TOKENIZER_FILE} of {STARMIE} over that there."
        )
    log_sizes = "1023" in code if code else date >= LOG_SIZES
    return Release(CROPS, PLAIN if log_sizes else TIGHT, log_sizes=log_sizes)


def _code(folder: Folder, name: str) -> str:
    """The authors' code as text, which is never run; empty where it is not there."""
    path = folder.file(name)
    return path.read_text(encoding="utf-8", errors="replace") if path is not None else ""


def _date(folder: Folder) -> str:
    return folder.revision if folder.revision and _DATE.fullmatch(folder.revision) else ""
