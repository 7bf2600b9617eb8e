"""Export results as lmms-eval files or into a model card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sightline.errors import ConfigError, nearest
from sightline.evaluation.exchange.lmms_eval_files import FOLDER as LMMS_EVAL, write_lmms_eval
from sightline.evaluation.exchange.model_card import check_card, write_card
from sightline.evaluation.outcome import RunResult

EXPORTS = (LMMS_EVAL,)


@dataclass(frozen=True)
class Exchange:
    """What to write for others; the names are those of the command's flags.

    Attributes:
        export: `lmms-eval` for its results and samples, in a folder of that name in the run's.
        card: a model's folder, whose card and `.eval_results` get the scores.

    Raises:
        ConfigError, DataError: there is no such format, or the card cannot be written.
    """

    export: str = ""
    card: Path | None = None

    def __post_init__(self) -> None:
        if self.export and self.export not in EXPORTS:
            hint = nearest(self.export, EXPORTS)
            raise ConfigError(f"--export: expected {', '.join(EXPORTS)}; got '{self.export}'. {hint}".rstrip())
        if self.card is not None:
            check_card(self.card)

    def write(self, result: RunResult, run: Path | None) -> list[Path]:
        """Writes what was asked for; returns the files."""
        written = []
        if self.export:
            assert run is not None
            written += write_lmms_eval(result, run)
        if self.card is not None:
            written += write_card(result, self.card)
        return written
