"""Evaluate a trained ViLT on a file of its own formats: what it was trained for decides what is read and counted."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sightline.data.documents import require_split
from sightline.data.vilt.captions import read_captions
from sightline.data.vilt.questions import outside_vocabulary, read_questions
from sightline.data.vilt.sentences import read_sentences
from sightline.errors import ConfigError
from sightline.evaluation.asking import Progress
from sightline.evaluation.eval_config import EvalConfig
from sightline.evaluation.items import Items
from sightline.evaluation.outcome import RESULTS, RunResult
from sightline.evaluation.report import REPORT, render_report
from sightline.evaluation.run import run_eval
from sightline.evaluation.sources import DataChoice
from sightline.evaluation.task import Task
from sightline.evaluation.vilt.items import question_items, sentence_items
from sightline.evaluation.vilt.retrieval import RetrievalResult, evaluate_retrieval, retrieval_json
from sightline.evaluation.vilt.retrieval_report import retrieval_report
from sightline.models.pretrained import load_pretrained
from sightline.models.vilt.heads import load_head, task_of
from sightline.models.vilt.matching import PairScorer
from sightline.runs import RunFolder


@dataclass(frozen=True)
class ViltEvalConfig:
    """What to evaluate on what; the names are those of the command's flags.

    Attributes:
        candidates: for retrieval, score only so many pictures of each text in full.
        compare: score everything as well, to see what the shortlist loses.
        resume: go on with the answers in `output_dir`; retrieval cannot.
    """

    model: str
    data: str
    image_folder: str | None = None
    annotations: str | None = None
    split: str | None = None
    limit: int | None = None
    candidates: int | None = None
    compare: bool = False
    output_dir: Path | None = None
    resume: bool = False


def run_vilt_eval(
    config: ViltEvalConfig, progress: Progress | None = None, say: Callable[[str], None] = print
) -> RunResult | RetrievalResult | None:
    """The model's result on the rows; written to `output_dir` if one is given, as `sightline eval` writes it.

    None in all processes of a launcher but the first; retrieval runs in one.

    Raises:
        InputError: rows, model or folder cannot be used.
    """
    task = task_of(config.model)
    if task == "retrieval":
        return _run_retrieval(config)
    choice = DataChoice(config.data, limit=config.limit)
    settings = EvalConfig(config.model, choice=choice, output_dir=config.output_dir, resume=config.resume)
    return run_eval(
        settings, progress, read=lambda _: [_questions(config, say) if task == "vqa" else _sentences(config)]
    )


def _questions(config: ViltEvalConfig, say: Callable[[str], None]) -> tuple[Task, Items]:
    from transformers import AutoConfig

    require_split(Path(config.data), config.split)
    rows = read_questions(config.data, config.image_folder, config.annotations)[: config.limit]
    outside = outside_vocabulary(rows, load_pretrained(AutoConfig, config.model).id2label.values())
    if outside:
        say(f"{outside} of {len(rows)} questions have no answer in the model's vocabulary.")
    return question_items(rows, config.data)


def _sentences(config: ViltEvalConfig) -> tuple[Task, Items]:
    require_split(Path(config.data), config.split)
    return sentence_items(read_sentences(config.data, config.image_folder)[: config.limit], config.data)


def _run_retrieval(config: ViltEvalConfig) -> RetrievalResult:
    if config.resume:
        raise ConfigError("resume: retrieval keeps no scores to go on with. Name a new --output_dir instead.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "Retrieval is evaluated by one process, but a launcher started several. Start it without one."
        )
    run = RunFolder(config.output_dir) if config.output_dir is not None else None
    if run is not None:
        run.check()
    rows = read_captions(config.data, config.image_folder, config.split)[: config.limit]
    scorer = PairScorer(*load_head(config.model, "retrieval"))
    result = evaluate_retrieval(scorer, config.model, rows, config.candidates, config.compare)
    if run is not None:
        run.begin(dataclasses.asdict(config))
        run.write_json(RESULTS, retrieval_json(result))
        run.write_text(REPORT, render_report(retrieval_report(result, rows)))
    return result
