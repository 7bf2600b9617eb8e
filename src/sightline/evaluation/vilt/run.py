"""Evaluate a trained ViLT on a file of the format that it was trained on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sightline.answering.asking import Progress
from sightline.data.pictures.images import named_key, read_whole
from sightline.data.sources.bad_rows import BadRows, left_out
from sightline.data.sources.column_names import OWN_NAMES, ColumnNames
from sightline.data.sources.documents import require_split
from sightline.data.sources.stored import FilePicture
from sightline.data.vilt.captions import CaptionedPicture, read_captions
from sightline.data.vilt.questions import AskedPicture, outside_vocabulary, read_questions
from sightline.data.vilt.sentences import LABELS, JudgedPictures, read_sentences
from sightline.data.vilt.sources import Picture, PictureCheck
from sightline.errors import ConfigError, DataError
from sightline.evaluation.eval_config import EvalConfig
from sightline.evaluation.items import Items, fingerprint
from sightline.evaluation.outcome import RESULTS, RunResult
from sightline.evaluation.run import run_eval
from sightline.evaluation.sources import DataChoice
from sightline.evaluation.task import Source, Task
from sightline.evaluation.tasks.registry import load_task
from sightline.evaluation.tasks.soft_answers import soft_item
from sightline.evaluation.vilt.retrieval import RetrievalResult, evaluate_retrieval, retrieval_json, retrieval_report
from sightline.models.pretrained import load_pretrained
from sightline.models.vilt.heads import load_head, task_of
from sightline.models.vilt.matching import PairScorer
from sightline.models.vilt.start import load_shape
from sightline.pages.report import REPORT, render_report
from sightline.runs import RunFolder
from sightline.scoring.records import Item

R = TypeVar("R", CaptionedPicture, AskedPicture, JudgedPictures)


@dataclass(frozen=True)
class ViltEvalConfig:
    """What to evaluate on what; the names are those of the command's flags.

    Attributes:
        skip_bad_rows: leave out rows that cannot be used, and list them.
        candidates: for retrieval, score only so many pictures of each text in full.
        compare: score everything as well, to see what the shortlist loses.
        resume: go on with the answers in `output_dir`; retrieval cannot.
        columns: names given to columns before rows are read.
    """

    model: str
    data: str
    image_folder: str | None = None
    annotations: str | None = None
    split: str | None = None
    limit: int | None = None
    skip_bad_rows: bool = False
    candidates: int | None = None
    compare: bool = False
    output_dir: Path | None = None
    resume: bool = False
    columns: ColumnNames = OWN_NAMES


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
        return _run_retrieval(config, say)
    choice = DataChoice(config.data, limit=config.limit)
    settings = EvalConfig(config.model, choice=choice, output_dir=config.output_dir, resume=config.resume)
    return run_eval(
        settings, progress, read=lambda _: [_questions(config, say) if task == "vqa" else _sentences(config)]
    )


def _questions(config: ViltEvalConfig, say: Callable[[str], None]) -> tuple[Task, Items]:
    from transformers import AutoConfig

    require_split(Path(config.data), config.split)
    check = PictureCheck(BadRows(config.skip_bad_rows), columns=config.columns)
    rows = read_questions(config.data, config.image_folder, config.annotations, check)
    rows = _usable(rows, lambda row: (row.picture,), config, check)
    outside = outside_vocabulary(rows, load_pretrained(AutoConfig, config.model).id2label.values())
    if outside:
        say(f"{outside} of {len(rows)} questions have no answer in the model's vocabulary.")
    return question_items(rows, config.data, check.bad.problems)


def _sentences(config: ViltEvalConfig) -> tuple[Task, Items]:
    require_split(Path(config.data), config.split)
    check = PictureCheck(BadRows(config.skip_bad_rows), columns=config.columns)
    rows = _usable(read_sentences(config.data, config.image_folder, check), lambda row: row.pictures, config, check)
    return sentence_items(rows, config.data, check.bad.problems)


def _usable(
    rows: Sequence[R], pictures_of: Callable[[R], Sequence[Picture]], config: ViltEvalConfig, check: PictureCheck
) -> list[R]:
    """The first `limit` rows whose pictures, each distinct one decoded once, are whole and have a patch.

    Raises:
        DataError: rows cannot be used, and are not to be left out, or none remains.
    """
    shape, whole = load_shape(config.model), PictureCheck(check.bad, read_whole)
    kept: list[R] = []
    for row in rows:
        if len(kept) == config.limit:
            break
        with check.bad.of_row(row.name):
            for picture in pictures_of(row):
                whole.require(picture, row.name)
                shape.target(*whole.sizes[picture], row.name)
            kept.append(row)
    if len(kept) == config.limit:
        check.bad.forget_behind(kept[-1].name)
    check.bad.settle(len(kept))
    return kept


def _run_retrieval(config: ViltEvalConfig, say: Callable[[str], None]) -> RetrievalResult:
    if config.resume:
        raise ConfigError("resume: retrieval keeps no scores to go on with. Name a new --output_dir instead.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "Retrieval is evaluated by one process, but a launcher started several. Start it without one."
        )
    run = RunFolder(config.output_dir, resume_by="") if config.output_dir is not None else None
    if run is not None:
        run.check()
    check = PictureCheck(BadRows(config.skip_bad_rows), columns=config.columns)
    rows = read_captions(config.data, config.image_folder, config.split, check)
    rows = _usable(rows, lambda row: (row.picture,), config, check)
    if check.bad.problems:
        say(left_out(config.data, check.bad.problems, len(check.bad.places)))
    scorer = PairScorer(*load_head(config.model, "retrieval"))
    result = evaluate_retrieval(scorer, config.model, rows, config.candidates, config.compare)
    if run is not None:
        run.begin(dataclasses.asdict(config))
        run.write_json(RESULTS, retrieval_json(result))
        run.write_text(REPORT, render_report(retrieval_report(result, rows)))
    return result


def question_items(rows: Sequence[AskedPicture], data: str, bad_rows: Sequence[str] = ()) -> tuple[Task, Items]:
    """Questions as items of `soft_answers`. Raises DataError where no row has answers to compare with."""
    if not any(row.scores for row in rows):
        raise DataError(f"{rows[0].name}: no row has answers. For VQAv2 name its --annotations.")
    found = tuple(
        soft_item(row.id, row.name, row.question, _shown(row.picture, row.name), row.scores, row.kind) for row in rows
    )
    return load_task("soft_answers"), _items(found, data, bad_rows)


def sentence_items(rows: Sequence[JudgedPictures], data: str, bad_rows: Sequence[str] = ()) -> tuple[Task, Items]:
    """Sentences as items of `custom` with the options false and true, clustered by the groups that share pictures."""
    found = tuple(
        Item(
            id=row.id,
            name=row.name,
            question=row.sentence,
            pictures=tuple(_shown(picture, row.name) for picture in row.pictures),
            options=LABELS,
            answers=("AB"[row.label],),
            category=LABELS[row.label],
            facts={"cluster": row.group},
        )
        for row in rows
    )
    return load_task("custom"), _items(found, data, bad_rows)


def _shown(picture: Picture, name: str) -> FilePicture:
    return FilePicture(picture, named_key(picture, name), name)


def _items(items: tuple[Item, ...], data: str, bad_rows: Sequence[str]) -> Items:
    return Items(items, Source("file", str(Path(data))), fingerprint(items), tuple(bad_rows))
