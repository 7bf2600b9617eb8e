"""Write scores into a model's card (model-index) and its `.eval_results` files."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, eval_result_entries_to_yaml
from huggingface_hub.repocard import REGEX_YAML_BLOCK
from huggingface_hub.repocard_data import eval_results_to_model_index

from sightline.errors import ConfigError, DataError
from sightline.evaluation.outcome import RunResult, TaskOutcome
from sightline.evaluation.scores import MetricScore
from sightline.evaluation.tasks.registry import load_task
from sightline.notation import NotationError, read_yaml
from sightline.runs import write_text

CARD = "README.md"
RESULTS = ".eval_results"
INDEX = "model-index"
TASK_TYPE = "image-text-to-text"

_SHARE_DIGITS, _POINT_DIGITS = 2, 4


def check_card(folder: Path) -> None:
    """Raise ConfigError unless `folder` can hold a card, DataError where its card cannot be read."""
    if not folder.is_dir():
        raise ConfigError(f"--card: expected a model's folder, got {folder}. Name one that exists.")
    path = folder / CARD
    if path.is_file():
        _index_of(_header(_read(path))[1], path)


def write_card(result: RunResult, folder: Path) -> list[Path]:
    """Add the run's metrics to the model card of a folder, and its headline scores to `.eval_results`.

    A metric that the card has of the same data, prompt and profile gets its new value; all else of the card stays as
    it is, to the letter. `.eval_results` names Hub datasets, so it is written for tasks that have one, and for whole
    tasks alone.

    Raises:
        ConfigError, DataError: as `check_card`.
    """
    check_card(folder)
    path = folder / CARD
    model = folder.resolve().name
    text = _read(path) if path.is_file() else f"# {model}\n"
    written = [write_text(path, _with_results(text, path, model, result))]
    for name, outcome in result.tasks.items():
        entry = _leaderboard_entry(result, outcome)
        if isinstance(entry, str):
            print(f"{name} is not in {RESULTS}: {entry}.", file=sys.stderr)
            continue
        (folder / RESULTS).mkdir(exist_ok=True)
        content = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True)
        written.append(write_text(folder / RESULTS / f"sightline_{name}.yaml", content))
    return written


def _with_results(text: str, path: Path, model: str, result: RunResult) -> str:
    """The card with the run's metrics in its model-index; only the lines of that key change."""
    start, header, end = _header(text)
    index = _index_of(header, path)
    if not index:
        index.append({"name": model, "results": []})
    known = index[0].setdefault("results", [])
    for outcome in result.tasks.values():
        for found in eval_results_to_model_index(model, [*_entries(result, outcome)])[0]["results"]:
            _merge(known, found)
    entry = yaml.safe_dump({INDEX: index}, sort_keys=False, allow_unicode=True)
    if not end:
        return f"---\n{entry}---\n\n{text}"
    first, last = _lines_of_index(header)
    parts = (part.strip("\n") for part in (header[:first], entry, header[last:]))
    return text[:start] + "\n".join(part for part in parts if part) + text[end:]


def _merge(known: list[dict[str, Any]], found: dict[str, Any]) -> None:
    """Adds a result, or its metrics to the one of the same task and data."""
    about = (found["task"], found["dataset"])
    same = next((one for one in known if (one.get("task"), one.get("dataset")) == about), None)
    if same is None:
        known.append(found)
        return
    names = {(metric["type"], metric.get("name")) for metric in found["metrics"]}
    others = [one for one in same.get("metrics", []) if (one.get("type"), one.get("name")) not in names]
    same["metrics"] = [*found["metrics"], *others]


def _header(text: str) -> tuple[int, str, int]:
    """Where the card's metadata start, they themselves, and where they end."""
    match = REGEX_YAML_BLOCK.search(text)
    if match is None:
        return 0, "", 0
    return match.start(2), match.group(2), match.end(2)


def _read(path: Path) -> str:
    """The text with its line ends as they are."""
    return path.read_bytes().decode("utf-8")


def _index_of(header: str, path: Path) -> list[dict[str, Any]]:
    """The card's model-index; empty where it has none."""
    try:
        data = read_yaml(header) or {}
    except NotationError as error:
        raise DataError(f"{path}: what stands between the --- lines is no YAML ({error.placed}). Mend it.") from error
    index = data.get(INDEX) or [] if isinstance(data, dict) else None
    if not isinstance(index, list) or not all(isinstance(one, dict) for one in index):
        raise DataError(f"{path}: expected {INDEX} to be a list of names and results. Mend it, or take it out.")
    return index


def _lines_of_index(header: str) -> tuple[int, int]:
    """Start and end of the model-index in the metadata; comments behind it stay out. Both are the end without one."""
    tree = yaml.compose(header, Loader=yaml.SafeLoader) if header.strip() else None
    for key, value in tree.value if tree is not None else ():
        if key.value != INDEX:
            continue
        start, end = key.start_mark.index, value.end_mark.index
        lines = header[start:end].splitlines(keepends=True)
        while lines[-1].lstrip().startswith("#") or not lines[-1].strip():
            end -= len(lines.pop())
        return start, end
    return len(header), len(header)


def _entries(result: RunResult, outcome: TaskOutcome) -> Iterator[EvalResult]:
    data, scores = outcome.data, outcome.scores
    args = {
        "prompt": outcome.prompt,
        "profile": scores.profile,
        "method": result.settings.get("method"),
        "limit": result.settings.get("limit"),
        "fingerprint": data["fingerprint"],
    }
    for score in scores.metrics:
        low, high = (_shown(score, value) for value in (score.interval.low, score.interval.high))
        yield EvalResult(
            task_type=TASK_TYPE,
            dataset_type=(not outcome.doubts and _dataset(outcome)) or outcome.public_name,
            dataset_name=_data_name(outcome),
            dataset_config=data["config"] or None,
            dataset_split=data["split"] or None,
            dataset_revision=data["revision"] or None,
            dataset_args={name: value for name, value in args.items() if value is not None},
            metric_type=score.name,
            metric_name=score.name,
            metric_value=_shown(score, score.interval.value),
            metric_args={
                "interval_95": [low, high],
                "items": score.interval.n,
                "pictures": score.interval.clusters,
                "unparsed": scores.unparsed,
            },
        )


def _leaderboard_entry(result: RunResult, outcome: TaskOutcome) -> EvalResultEntry | str:
    """The entry of a task's headline, or why it has none."""
    dataset, count = _dataset(outcome), len(outcome.samples)
    if not dataset:
        return "its rows belong to no dataset of the Hub"
    if outcome.doubts:
        return f"its data are not verified: {'; '.join(outcome.doubts)}"
    if result.settings.get("limit") or outcome.data["bad_rows"]:
        return f"{count:,} items were asked, which is not all"
    headline = outcome.scores.metrics[0]
    low, high = (_shown(headline, value) for value in (headline.interval.low, headline.interval.high))
    return EvalResultEntry(
        dataset_id=dataset,
        task_id=outcome.data["config"].strip("*") or "default",
        value=_shown(headline, headline.interval.value),
        dataset_revision=outcome.data["revision"] or None,
        date=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        notes=f"Sightline {outcome.scores.task}: {headline.name}, 95% interval {low} to {high}, {count:,} items, "
        f"{outcome.scores.unparsed:,} unparsed, prompt {outcome.prompt}, profile {outcome.scores.profile}",
    )


def _data_name(outcome: TaskOutcome) -> str:
    """What the card calls the data: the benchmark only where they are known to be it."""
    if not outcome.doubts:
        return outcome.title
    return f"{Path(str(outcome.data['place'])).name}, {len(outcome.samples):,} items, not verified as {outcome.title}"


def _dataset(outcome: TaskOutcome) -> str:
    """The Hub id of the data: of the rows, or of the task where its rows came from a file; empty without one."""
    if outcome.data["kind"] == "hub":
        return str(outcome.data["place"])
    own = (source.place for source in load_task(outcome.scores.task).sources if source.kind == "hub")
    return next(own, "")


def _shown(score: MetricScore, value: float) -> float | None:
    """Shares in percent, as leaderboards have them, other metrics as they are; None for what is no number."""
    if value != value:
        return None
    return round(100 * value, _SHARE_DIGITS) if score.scale == 1 else round(value, _POINT_DIGITS)
