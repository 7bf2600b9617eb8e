"""Evaluate a model on a dataset: read rows, load, ask, score, write."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sightline.data.sources import read_dataset
from sightline.errors import ConfigError
from sightline.evaluation.eval_report import eval_report
from sightline.evaluation.report import render_report
from sightline.evaluation.results import EvalResult, write_results
from sightline.evaluation.rows import DatasetRows, read_vqa_rows
from sightline.evaluation.vqa import DEFAULT_MAX_NEW_TOKENS, Progress, evaluate
from sightline.models.generate import DEFAULT_BATCH_SIZE, LocalAnswerer
from sightline.models.load import load_vlm
from sightline.runs import RunFolder


@dataclass(frozen=True)
class EvalConfig:
    """What to evaluate on what; the names are those of the command's flags.

    Attributes:
        model: folder or Hub id.
        data: file, folder or Hub id with VQA rows.
        limit: how many rows from the start; all by default.
        blind: ask without the pictures, to see what the questions alone give away.
        output_dir: run folder to write; nothing is written by default.
    """

    model: str
    data: str
    split: str | None = None
    adapter: str | None = None
    limit: int | None = None
    batch_size: int = DEFAULT_BATCH_SIZE
    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS
    blind: bool = False
    output_dir: Path | None = None

    def __post_init__(self) -> None:
        for name in ("limit", "batch_size", "max_new_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}: expected at least 1, got {value}.")


def run_eval(config: EvalConfig, progress: Progress | None = None) -> EvalResult:
    """The model's result on the rows; written to `output_dir` with settings, environment and report if one is given.

    Everything that can be wrong with rows, pictures and folders shows before the first question is asked.

    Raises:
        InputError: rows, model or folder cannot be used.
        MachineError: the model answered nothing.
    """
    run = RunFolder(config.output_dir) if config.output_dir is not None else None
    if run is not None:
        run.check()
    rows = read_rows(config)
    loaded = load_vlm(config.model, adapter=config.adapter)
    answered = evaluate(LocalAnswerer(loaded, config.batch_size), rows, config.blind, config.max_new_tokens, progress)
    result = replace(answered, data=config.data)
    if run is not None:
        run.begin(vars(config))
        write_results(result, run)
        run.write_text("report.html", render_report(eval_report(result, rows)))
    return result


def read_rows(config: EvalConfig) -> DatasetRows:
    """The rows that `config` names, checked.

    Raises:
        DataError: with file and row.
    """
    name = config.data if config.split is None else f"{config.data} ({config.split})"
    source = config.data if Path(config.data).is_file() else name
    return read_vqa_rows(read_dataset(config.data, config.split), source, config.limit)
