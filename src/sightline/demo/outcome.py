"""What a demo found: standings before and after alignment, baselines, comparisons, and what to try next."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

from sightline.demo.preferences import PairCounts
from sightline.demo.stages import Stage
from sightline.demo.standing import Standing, error_shares
from sightline.evaluation.compare import Comparison, compare, comparison_table
from sightline.evaluation.results import EvalResult, results_table, to_json
from sightline.pages.report import Commands
from sightline.types import Interval, Table, VqaRow

SMOKE_TEST = (
    "--quick is a smoke test: all steps ran, on too few scenes to learn anything. Leave it out for a model that sees."
)


@dataclass(frozen=True)
class DemoOutcome:
    """All that a demo found.

    Attributes:
        folder: the demo's folder.
        blind: the trained model asked without pictures.
        majority: always the most frequent answer of a question's kind.
        example: the first held-out question.
        is_quick: it was a smoke test.
    """

    folder: Path
    before: Standing
    after: Standing
    blind: EvalResult
    majority: EvalResult
    pairs: PairCounts
    stages: tuple[Stage, ...]
    example: VqaRow
    is_quick: bool = False

    @property
    def note(self) -> str:
        """What the figures are not to be read as; empty where they are a result."""
        return SMOKE_TEST if self.is_quick else ""

    @cached_property
    def accuracy_change(self) -> Comparison:
        """Questions before and after alignment, paired by item."""
        return compare(self.before.questions, self.after.questions)

    @cached_property
    def error_change(self) -> Comparison:
        """Shares of descriptions with an invented or missing object, paired by picture; less is better."""
        return compare(error_shares(self.before.descriptions), error_shares(self.after.descriptions))

    @property
    def seconds(self) -> float:
        """Wall-clock time of all stages."""
        return sum(stage.seconds for stage in self.stages)

    def questions_table(self) -> Table:
        """Accuracy of the trained model per kind, beside the baselines."""
        table = results_table(self.before.questions, self.blind, self.majority)
        return replace(table, title="Held-out questions, trained model")

    def accuracy_table(self) -> Table:
        """Accuracy per kind before and after alignment."""
        table = comparison_table(self.before.questions, self.after.questions, self.accuracy_change)
        return replace(table, title="Held-out questions, before and after alignment")

    def errors_table(self) -> Table:
        """Share of descriptions with an invented or missing object before and after alignment."""
        before, after = (error_shares(standing.descriptions) for standing in (self.before, self.after))
        table = comparison_table(before, after, self.error_change)
        mended, spoilt = len(self.error_change.worsened), len(self.error_change.improved)
        caption = (
            f"{mended} descriptions mended, {spoilt} spoilt of {len(self.error_change.pairs)}; "
            f"McNemar's exact test p = {self.error_change.p_value:.2g}"
        )
        title = "Descriptions with an invented or missing object (less is better)"
        return Table(title, table.header, table.rows, caption)

    def next_commands(self) -> Commands:
        """Three commands to try."""
        sightline = "sightline" if shutil.which("sightline") else quote(sys.argv[0])  # as it was called
        model, world = quote(str(self.folder / "model")), self.folder / "world"
        picture = quote(str(world / "images" / "heldout-00000.png"))
        return Commands(
            "What to try next",
            (
                (
                    f"{sightline} ask {model} {picture} {quote(self.example.question)}",
                    f"Ask the aligned model about a picture that it never saw. Right is: {self.example.answers[0]}.",
                ),
                (
                    f"{sightline} eval --model {model} --data {quote(str(world / 'heldout.jsonl'))}",
                    "Evaluate it on every held-out question.",
                ),
                (
                    f"{sightline} sft --model_name_or_path {model} --dataset_name rows.jsonl --max_length none "
                    f"--output_dir {quote(str(self.folder / 'mine'))}",
                    "Train it further on your own rows: image, question, answer.",
                ),
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """What `results.json` and `--json` hold."""
        before, after = (error_shares(standing.descriptions) for standing in (self.before, self.after))
        return {
            "model": str(self.folder / "model"),
            "accuracy": _interval(self.before.questions.accuracy),
            "accuracy_after": _interval(self.after.questions.accuracy),
            "accuracy_change": _interval(self.accuracy_change.difference),
            "blind_accuracy": _interval(self.blind.accuracy),
            "majority_accuracy": _interval(self.majority.accuracy),
            "description_errors": _interval(before.accuracy),
            "description_errors_after": _interval(after.accuracy),
            "description_errors_change": _interval(self.error_change.difference),
            "pairs": {"own_mistakes": self.pairs.own, "altered_truths": self.pairs.altered},
            "questions": to_json(self.before.questions),
            "questions_after": to_json(self.after.questions),
            "seconds": round(self.seconds, 1),
            "stages": {stage.name: round(stage.seconds, 1) for stage in self.stages},
        }


def _interval(interval: Interval) -> dict[str, Any]:
    return {"value": interval.value, "interval": [interval.low, interval.high], "n": interval.n}
