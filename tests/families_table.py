"""docs/families.md, measured on tiny models of the families' real classes; run as a module it rewrites the file."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import tests.conftest  # noqa: F401  its settings must come before transformers' image processors
from sightline.models.families import FAMILIES
from sightline.types import FamilyFacts
from tests.families.case import Case, difference, gradient_error
from tests.families.tiny_families import BUILDERS

TARGET = Path(__file__).resolve().parents[1] / "docs" / "families.md"
HEADER = """# Model families

Written by `make docs` from `src/sightline/models/families.py` and from measurements on tiny random models of each
family's real classes (transformers 5.23, fp32, CPU): three preference examples with images of three sizes, one example
with two images, packed into one row (on the [route](engine.md#routes) `fork` a pass per trunk), against plain rows.
*Error* is the largest difference of a token's log-probability, *gradients* the largest difference relative to a
parameter's largest gradient.

Not measured: real checkpoints, GPUs, bf16. On your own model the self-test measures at the start of each run, and takes
the plain route where the forest does not match. A family that is not listed here trains on the plain route.

| family | route | positions | masks | error | gradients | a stored feature | packing |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


def render_families() -> str:
    """The whole document; measures every family that has a tiny model."""
    return HEADER + "\n".join(_row(facts) for facts in FAMILIES.values()) + "\n"


def without_figures(document: str) -> str:
    """The document with each measured figure blotted out: machines round differently."""
    return re.sub(r"\d\.\de-\d\d", "#", document)


def _row(facts: FamilyFacts) -> str:
    positions = "M-RoPE" if facts.grid_input else f"depth + {facts.first_position}" if facts.first_position else "depth"
    feature = "with its deeper layers" if facts.deepstack else "one vector a placeholder"
    error, gradients, masks, packing = _measured(facts)
    cells = (facts.name, facts.routes[0], positions, masks, error, gradients, feature, packing)
    return f"| {' | '.join(cells)} |"


def _measured(facts: FamilyFacts) -> tuple[str, str, str, str]:
    blocks = ", image blocks both ways" if facts.image_blocks else ""
    if facts.name not in BUILDERS:
        return "not measured", "not measured", "causal" + blocks, "not measured"
    with tempfile.TemporaryDirectory() as folder:
        case = Case(facts.name, Path(folder))
    shared, plain = case.shared(), case.plain()
    error = difference(shared, plain)
    gradients = gradient_error(case.gradients(shared), case.gradients(plain))
    windows = "sliding_attention" in (getattr(case.model.config.get_text_config(), "layer_types", None) or [])
    masks = ("causal, windows per layer type" if windows else "causal") + blocks
    packing = "yes" if facts.routes[0] == "mask" else "no, a pass per trunk"
    return f"{error:.1e}", f"{gradients:.1e}", masks, packing


if __name__ == "__main__":
    TARGET.write_text(render_families(), encoding="utf-8")
    print(f"wrote {TARGET.name}", file=sys.stderr)
