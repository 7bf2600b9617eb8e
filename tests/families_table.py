"""docs/families.md, measured on tiny models of real classes; run as a module it rewrites the file, or rows by name."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

import tests.conftest  # noqa: F401  its settings must come before transformers' image processors
from sightline.engine.feature_store import PROJECTORS, TOWER, find_storable, vision_parameters
from sightline.models.families import FAMILIES
from sightline.types import ADDED, FRONT, IMAGE, IMAGES, PROMPT, REPLACED, THROUGH_MODEL, FamilyFacts
from tests.families.case import Case, difference, gradient_error
from tests.families.tiny_families import BUILDERS

TARGET = Path(__file__).resolve().parents[1] / "docs" / "families.md"
HEADER = """# Model families

Written by `make docs` from `src/sightline/models/families.py` and from measurements on tiny random models of each
family's real classes (transformers 5.23). A family that is not listed here trains on the plain route, on
rows that TRL's collator makes. An encoder-decoder (BLIP-2 with T5) is refused.

## What is measured

fp32 on a CPU: three preference examples with images of three sizes, one example with two images where the family takes
two, packed into one row, against plain rows. *Error* is the largest difference of a token's log-probability,
*gradients* the largest difference relative to a parameter's largest gradient. *Attention* says what the masks of these
models hold besides causality. *Stored features* are those of a frozen tower and projector or, where a row says so, also
of a frozen tower whose projector trains.

Not measured: real checkpoints, GPUs, bf16. On your own model the self-test measures at the start of each run, and takes
the plain route where the forest does not match.

| family | route | attention | error | gradients | stored features | packing |
| --- | --- | --- | --- | --- | --- | --- |
"""
FACTS = """
## What is known

*Placeholder* is the token that stands for one feature. *Features* enter `through the model` where it takes them as they
are; otherwise they replace its embeddings of placeholders, or are added to them. *Position* is that of a sequence's
first token, or M-RoPE, or `one an image` for all of its patches. *Both ways* are tokens that look ahead, too: those of
one image, of all images of a sequence, of everything up to its last image, or of the whole prompt; sequences then share
only what agrees to the end of it.
*Adapters* without `lora_target_modules` stand on the linear layers below the path named here.

| family | placeholder | features | position | both ways | adapters | routes | notes |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""
ENTER = {THROUGH_MODEL: "through the model", REPLACED: "replace", ADDED: "added"}
BOTH_WAYS = {
    "": "none",
    IMAGE: "one image",
    IMAGES: "all images",
    FRONT: "all to the last image",
    PROMPT: "the prompt",
}


def render_families(measure: bool = True, only: Collection[str] = ()) -> str:
    """The whole document; without measuring, `#` stands for figures. With `only`, other rows stay as they stand."""
    before = {line.split(" | ")[0].removeprefix("| "): line for line in _rows_before()} if only else {}
    rows = (
        before[name] if name in before and name not in only else _measured(name, measure) for name in sorted(BUILDERS)
    )
    measured = "\n".join(rows)
    return HEADER + measured + "\n" + FACTS + "\n".join(_known(facts) for facts in FAMILIES.values()) + "\n"


def _rows_before() -> list[str]:
    """The rows of measurements as they stand in the document."""
    lines = TARGET.read_text(encoding="utf-8").split("## What is known")[0].splitlines()
    return [line for line in lines if line.startswith("| ") and "---" not in line and "family | route" not in line]


def without_figures(document: str) -> str:
    """The document with each measured figure blotted out: machines round differently."""
    return re.sub(r"\d\.\de-\d\d", "#", document)


def _known(facts: FamilyFacts) -> str:
    position = "M-RoPE" if facts.grid_input else "one an image" if facts.typed else str(facts.first_position)
    notes = [facts.note] if facts.note else []
    notes += ["features also enter deeper layers"] * facts.deepstack
    notes += ["an image that shares its row is processed in another way"] * bool(facts.row_input)
    notes += [f"evaluation reads rows beyond {facts.length_setting} alone"] * bool(facts.length_setting)
    cells = (
        facts.name,
        "`" + facts.placeholder.replace("|", "\\|") + "`",
        ENTER[facts.features_enter],
        position,
        BOTH_WAYS[facts.both_ways],
        f"`{facts.decoder}`",
        ", ".join(facts.routes),
        "; ".join(notes),
    )
    return _row(cells)


def _measured(name: str, measure: bool) -> str:
    with tempfile.TemporaryDirectory() as folder:
        case = Case(name, Path(folder))
    windows = "sliding_attention" in (getattr(case.model.config.get_text_config(), "layer_types", None) or [])
    both_ways = f"both ways in {BOTH_WAYS[case.facts.both_ways]}" if case.facts.both_ways else ""
    attention = ", ".join(filter(None, ["windows per layer type" * windows, both_ways])) or "nothing"
    error, gradients = _figures(case) if measure else ("#", "#")
    packing = "yes" if case.route == "mask" else "no, a pass per trunk"
    return _row((name, case.facts.routes[0], attention, error, gradients, _stored(case), packing))


def _stored(case: Case) -> str:
    """Whether features can be stored with tower and projector frozen, and with the projector training."""
    for parameter in vision_parameters(case.model):
        parameter.requires_grad_(False)
    inputs = case.facts, case.batch.image_inputs, case.batch.image_spans
    frozen = find_storable(case.model, *inputs).stage
    for name, parameter in case.model.base_model.named_parameters():
        parameter.requires_grad_(parameter.requires_grad or name.startswith(PROJECTORS))
    training = find_storable(case.model, *inputs).stage
    return ("yes, also while the projector trains" if training == TOWER else "yes") if frozen else "no"


def _figures(case: Case) -> tuple[str, str]:
    shared, plain = case.shared(), case.plain()
    error = difference(shared, plain)
    return f"{error:.1e}", f"{gradient_error(case.gradients(shared), case.gradients(plain)):.1e}"


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    TARGET.write_text(render_families(only=sys.argv[1:]), encoding="utf-8")
    print(f"wrote {TARGET.name}", file=sys.stderr)
