"""Synthesise rows: read the source, ask what the journal lacks, read the replies, write."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sightline.answering.answerers import Answering, local_answering, remote_answering
from sightline.answering.asking import Journal, Progress
from sightline.data.sources.bad_rows import BadRows, left_out
from sightline.data.sources.file_signatures import model_files, rows_signature
from sightline.errors import MachineError, RunFolderError
from sightline.launch.processes import say
from sightline.runs import CONFIG, RunFolder, plain_data, write_text
from sightline.secrets import bare_address, hidden, without_secrets
from sightline.synthesis.instructions import make_instructions, read_units
from sightline.synthesis.outcome import Made, SynthesisResult
from sightline.synthesis.preferences import make_preferences
from sightline.synthesis.replies import PromptFile, read_prompt
from sightline.synthesis.settings import PREFERENCES, SynthesisConfig
from sightline.synthesis.units import read_questions, source_table

REJECTS, RESULTS = "rejects.jsonl", "results.json"
_FREE_TO_CHANGE = (
    "limit",
    "concurrency",
    "timeout_s",
    "api_key_env",
    "output_path",
    "prompts",
    "date",
    "skip_bad_rows",
)
JUDGE = "judge"


@dataclass(frozen=True)
class _Prompts:
    """The prompt files of a run: of its kind, and of its judge."""

    kind: PromptFile | None = None
    judge: PromptFile | None = None

    @property
    def hashes(self) -> dict[str, str]:
        files = {"prompt": self.kind, "judge_prompt": self.judge}
        return {name: file.hash for name, file in files.items() if file is not None}


def run_synthesis(config: SynthesisConfig, progress: Progress | None = None) -> SynthesisResult:
    """What was made, after rows, rejects and record were written; the same command goes on with a run that was killed.

    Raises:
        InputError: source, settings, prompts or folder cannot be used; nothing is asked then.
        MachineError: the endpoint answers no more (the journal keeps what was said), or no row came of it.
    """
    prompts = _read_prompts(config)
    run = RunFolder(config.run_folder, resume_by="the same command")
    run.require_idle()
    settings = _settings(config, prompts, run)
    begun = _begun(config)
    if (run.path / CONFIG).is_file():
        run.require_same(begun)
    bad = BadRows(config.skip_bad_rows)
    make = _prepare(config, prompts, bad)
    if bad.problems:
        say(left_out(Path(config.source).name, bad.problems, len(bad.places)))
    config.output_path.parent.mkdir(parents=True, exist_ok=True)
    with run.held():
        run.begin(settings, (run.path / CONFIG).is_file(), begun)
        ask = partial(make, Journal(run.path), progress=progress)
        return _written(config, run, settings, partial(_counted, ask, len(bad.problems)), prompts)


def _written(
    config: SynthesisConfig, run: RunFolder, settings: dict[str, Any], make: Callable[..., Made], prompts: _Prompts
) -> SynthesisResult:
    """What comes of the replies, written."""
    provenance = _provenance(config, prompts, settings["date"])
    start = time.perf_counter()
    made = make(provenance=provenance)
    run.write_text(REJECTS, _lines(made.rejects))
    changes = {"request_changes": made.changes} if made.changes else {}
    record = {**provenance, **changes, "output": config.output_path, "settings": settings, "counts": made.counts}
    run.write_json(RESULTS, {**record, "seconds": round(time.perf_counter() - start, 1)})
    if not made.rows:
        first = f" The first: {made.rejects[0]['reason']}." if made.rejects else ""
        raise MachineError(
            f"Expected rows for {config.output_path}, got none ({_told(made.counts)}).{first} "
            f"Look into {run.path / REJECTS}, then change the prompt, the model or the settings."
        )
    write_text(config.output_path, _lines(made.rows))
    return SynthesisResult(config.output_path, run.path, record)


def _counted(ask: Callable[..., Made], bad_rows: int, provenance: Mapping[str, Any]) -> Made:
    """What is made, with how many bad rows of the source were left out among its counts."""
    made = ask(provenance=provenance)
    return replace(made, counts={**made.counts, "bad rows left out": bad_rows}) if bad_rows else made


def _begun(config: SynthesisConfig) -> dict[str, Any]:
    """The rows of the source and the files of a model here: what a run that goes on must find as it was."""
    rows = source_table(config).dataset
    model = model_files(config.pairs.policy) if config.pairs.policy else {}
    return {
        "source rows": f"{len(rows):,} of content {rows_signature(rows)[:8]}",
        **{f"policy file {name}": key for name, key in model.items()},
    }


def _read_prompts(config: SynthesisConfig) -> _Prompts:
    if config.kind != PREFERENCES:
        return _Prompts(kind=read_prompt(config.kind, config.prompts))
    return _Prompts(judge=read_prompt(JUDGE, config.prompts) if config.pairs.judge else None)


def _prepare(config: SynthesisConfig, prompts: _Prompts, bad: BadRows) -> Callable[..., Made]:
    """What remains to be called with a journal, the rows' provenance and a progress: the source is read and good."""
    if prompts.kind is not None:
        answering = remote_answering(config.asked_endpoint, prompts.kind.opening)
        return partial(make_instructions, config, read_units(config, prompts.kind, bad), answering)
    questions = read_questions(config, bad)
    judge = None if prompts.judge is None else remote_answering(config.judging_endpoint, prompts.judge.opening)
    return partial(make_preferences, config, questions, _policy(config), judge)


def _policy(config: SynthesisConfig) -> Answering:
    """Who answers the questions of preference pairs."""
    if config.pairs.policy:
        from sightline.models.load import load_vlm

        loaded = load_vlm(config.pairs.policy, options=config.loading)
        return local_answering(loaded, system=config.system or "", enable_thinking=config.enable_thinking)
    return remote_answering(config.asked_endpoint)


def _settings(config: SynthesisConfig, prompts: _Prompts, run: RunFolder) -> dict[str, Any]:
    """The settings of a run that may take the folder, new or with the same ones, and the date of its first start.

    Raises:
        RunFolderError: the output file is not ours, or the folder belongs to a run of other settings.
    """
    loading = {name: one for name, one in config.loading.given.items() if name not in ("device", "device_map")} or None
    given = {**vars(config), "loading": loading, **prompts.hashes}
    settings = hidden(plain_data({**given, "date": time.strftime("%Y-%m-%d", time.gmtime())}))
    saved = run.path / CONFIG
    resume = saved.is_file()
    if not resume and config.output_path.exists():
        raise RunFolderError(
            f"--output_path {config.output_path} is there already, and no {run.path.name} tells how it was made. "
            "Choose another name, or move the file away."
        )
    if resume:
        before = run.read_config()
        same, now_same = without_secrets(before), without_secrets(settings)
        names = [name for name in now_same if name not in _FREE_TO_CHANGE]
        changed = [name for name in names if _given(same.get(name)) != _given(now_same[name])]
        if changed:
            was, now = (", ".join(f"{name} {of.get(name)}" for name in changed) for of in (before, settings))
            raise RunFolderError(
                f"{run.path} holds a run with {was}; got {now}. Choose another --output_path, or remove the folder "
                "and the file to start again."
            )
        settings["date"] = before["date"]
    return settings


def _given(value: Any) -> Any:
    """A setting without those in it that are not set, which a run of before they were known does not name."""
    return {name: one for name, one in value.items() if one is not None} if isinstance(value, dict) else value


def _provenance(config: SynthesisConfig, prompts: _Prompts, date: str) -> dict[str, Any]:
    """What each row says of how it was made."""
    pairs = config.pairs
    judge = {"judge": pairs.judge_model, "judge_endpoint": bare_address(pairs.judge)} if pairs.judge else {}
    return {
        "kind": config.kind,
        "source": Path(config.source).name,
        "model": config.model or pairs.policy,
        "endpoint": bare_address(config.endpoint),
        **judge,
        **prompts.hashes,
        "temperature": config.temperature,
        "seed": config.seed,
        "date": date,
    }


def _lines(rows: tuple[dict[str, Any], ...]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
