"""Evaluate a trained ViLT on a file: what it was trained for decides what is read and counted."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig

from sightline.data.vilt.captions import read_captions
from sightline.data.vilt.questions import AskedPicture, outside_vocabulary, read_questions
from sightline.data.vilt.sentences import read_sentences
from sightline.errors import ConfigError, InputError
from sightline.evaluation.asking import Progress
from sightline.evaluation.outcome import RESULTS
from sightline.evaluation.results import EvalResult, to_json
from sightline.evaluation.samples import SAMPLES
from sightline.evaluation.vilt.questions import evaluate_answers, evaluate_judgements
from sightline.evaluation.vilt.retrieval import RetrievalResult, evaluate_retrieval, retrieval_json
from sightline.models.vilt.answers import load_answerer
from sightline.models.vilt.heads import CLASSES, load_head
from sightline.models.vilt.matching import PairScorer
from sightline.runs import RunFolder, plain_data


@dataclass(frozen=True)
class ViltEvalConfig:
    """What to evaluate on what; the names are those of the command's flags.

    Attributes:
        candidates: for retrieval, score only so many pictures of each text in full.
        compare: score everything as well, to see what the shortlist loses.
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


@dataclass(frozen=True)
class ViltEvaluation:
    """The result, and what to say beside it; one of the two results is there."""

    scored: EvalResult | None = None
    retrieval: RetrievalResult | None = None
    note: str = ""


def run_vilt_eval(config: ViltEvalConfig, progress: Progress | None = None) -> ViltEvaluation:
    """The model's result on the rows; written to `output_dir` if one is given.

    Raises:
        InputError: rows, model or folder cannot be used.
    """
    if config.limit is not None and config.limit < 1:
        raise ConfigError(f"limit: expected at least 1, got {config.limit}.")
    run = RunFolder(config.output_dir) if config.output_dir is not None else None
    if run is not None:
        run.check()
    evaluation = _evaluate(config, progress)
    if run is not None:
        run.begin(dataclasses.asdict(config))
        if evaluation.scored is not None:
            lines = [json.dumps(plain_data(item), ensure_ascii=False) for item in evaluation.scored.items]
            run.write_text(SAMPLES, "".join(line + "\n" for line in lines))
            run.write_json(RESULTS, to_json(evaluation.scored))
        if evaluation.retrieval is not None:
            run.write_json(RESULTS, retrieval_json(evaluation.retrieval))
    return evaluation


def _evaluate(config: ViltEvalConfig, progress: Progress | None) -> ViltEvaluation:
    task = _task_of(config.model)
    if task == "vqa":
        rows = read_questions(config.data, config.image_folder, config.annotations)[: config.limit]
        answerer = load_answerer(config.model)
        result = evaluate_answers(answerer, rows, progress)
        return ViltEvaluation(scored=_of(result, config), note=_outside(rows, answerer.answers))
    model, processor = load_head(config.model, task)
    if task == "nlvr2":
        judged = read_sentences(config.data, config.image_folder)[: config.limit]
        result = evaluate_judgements(model, processor, config.model, judged, progress)
        return ViltEvaluation(scored=_of(result, config))
    captioned = read_captions(config.data, config.image_folder, config.split)[: config.limit]
    scorer = PairScorer(model, processor)
    return ViltEvaluation(
        retrieval=evaluate_retrieval(scorer, config.model, captioned, config.candidates, config.compare)
    )


def _task_of(name: str) -> str:
    """What the folder or Hub id was trained for."""
    try:
        found = (AutoConfig.from_pretrained(name).architectures or ["none"])[0]
    except (OSError, ValueError) as error:
        raise InputError(f"{name} could not be loaded: {error}") from error
    for task in ("vqa", "retrieval", "nlvr2"):
        if CLASSES[task].__name__ == found:
            return task
    raise InputError(
        f"{name} holds a {found}; expected a ViLT that answers, ranks or judges. "
        "Train one by `sightline vilt vqa`, `retrieval` or `nlvr2`."
    )


def _of(result: EvalResult, config: ViltEvalConfig) -> EvalResult:
    return dataclasses.replace(result, data=config.data)


def _outside(rows: list[AskedPicture], answers: tuple[str, ...]) -> str:
    count = outside_vocabulary(rows, answers)
    return f"{count} of {len(rows)} questions have no answer in the model's vocabulary." if count else ""
