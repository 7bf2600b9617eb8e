"""Settings of `sightline eval`, checked for conflicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline.errors import ConfigError, nearest
from sightline.evaluation.exchange.choice import Exchange
from sightline.evaluation.judge import MAX_VERDICT_TOKENS
from sightline.evaluation.requests import LIKELIHOOD_NORMS, LIKELIHOOD_OF, METHODS, Asking
from sightline.evaluation.sources import DataChoice
from sightline.models.endpoint import DEFAULT_KEY_VARIABLE, DEFAULT_TIMEOUT_S, JUDGE, Endpoint, with_thinking
from sightline.pages.browser import MAX_PICTURES
from sightline.settings.loading import AT_SERVER, LoadingOptions

CUSTOM = "custom"


@dataclass(frozen=True)
class EvalConfig:
    """Settings of an evaluation, named like the flags of `sightline eval`.

    Attributes:
        model: a folder or Hub id; with `endpoint` the model's name there; with `predictions` a label.
        tasks: names of benchmarks; `custom` stands for your own rows.
        choice: where the rows are, and which of them to use.
        asking: how to ask.
        profile: whose rules read the answers; each task's default where empty.
        adapter: a PEFT adapter folder to put on top of the model.
        batch_tokens: tokens to compute at once; no answer depends on it. 4096 on a CPU and 16384 on a GPU by default.
        blind: ask every question a second time without its images.
        endpoint: address of an OpenAI-compatible server to ask, in place of a model on this machine.
        concurrency: number of requests that a server gets at the same time.
        api_key_env: name of the environment variable that holds the server's key.
        predictions: a file with answers to score; no model is asked.
        prediction_column: the column of that file that holds the answers, if its name does not tell.
        judge: address of a server whose `judge_model` scores the answers that `profile` cannot read.
        judge_model: name of the judge model at that server.
        output_dir: folder for results, samples, journal and report; nothing is written where None.
        report_pictures: number of images in `report.html`.
        resume: continue the run in `output_dir`.
        exchange: files to write for other tools.
        extra_body: more fields for each request to the endpoint.
        timeout_s: seconds that a server may take for one reply.
        judge_extra_body: more fields for each request to the judge.
        judge_max_new_tokens: the judge's longest reply in tokens, its thinking included.
        loading: how the model is loaded.
    """

    model: str = ""
    tasks: tuple[str, ...] = (CUSTOM,)
    choice: DataChoice = field(default_factory=DataChoice)
    asking: Asking = field(default_factory=Asking)
    profile: str = ""
    adapter: str | None = None
    batch_tokens: int | None = None
    blind: bool = False
    endpoint: str | None = None
    concurrency: int = 8
    api_key_env: str = DEFAULT_KEY_VARIABLE
    predictions: str | Path | None = None
    prediction_column: str = ""
    judge: str | None = None
    judge_model: str = ""
    output_dir: str | Path | None = None
    report_pictures: int = MAX_PICTURES
    resume: bool = False
    exchange: Exchange = field(default_factory=Exchange)
    extra_body: Mapping[str, Any] | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    judge_extra_body: Mapping[str, Any] | None = None
    judge_max_new_tokens: int = MAX_VERDICT_TOKENS
    loading: LoadingOptions = field(default_factory=LoadingOptions)

    def __post_init__(self) -> None:
        _check_choices(self.asking)
        for message in _conflicts(self):
            raise ConfigError(message)
        if self.endpoint is not None:
            self.loading.refuse(AT_SERVER)
        if self.predictions is not None:
            self.loading.refuse("predictions are answered already, so that no model is loaded. Leave it out.")

    def asked_endpoint(self, url: str) -> Endpoint:
        """The endpoint whose model answers."""
        return Endpoint(
            url,
            self.model,
            self.api_key_env,
            concurrency=self.concurrency,
            timeout_s=self.timeout_s,
            extra_body=with_thinking(self.extra_body, self.asking.enable_thinking, "--extra_body"),
        )

    def judging_endpoint(self, url: str) -> Endpoint:
        """The endpoint whose model judges."""
        return Endpoint(
            url,
            self.judge_model,
            self.api_key_env,
            concurrency=self.concurrency,
            timeout_s=self.timeout_s,
            extra_body=self.judge_extra_body or {},
            flags=JUDGE,
        )


def _check_choices(asking: Asking) -> None:
    for name, known in (
        ("method", METHODS), ("likelihood_of", LIKELIHOOD_OF), ("likelihood_norm", LIKELIHOOD_NORMS),
    ):  # fmt: skip
        value = getattr(asking, name)
        if value not in known:
            raise ConfigError(f"{name}: expected one of {', '.join(known)}; got '{value}'. {nearest(value, known)}")
    if asking.max_new_tokens is not None and asking.max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens: expected at least 1, got {asking.max_new_tokens}.")


def _conflicts(config: EvalConfig) -> list[str]:
    """What in the settings cannot be together, in words for the user."""
    stored, remote = config.predictions is not None, config.endpoint is not None
    framed = bool(config.asking.system) or config.asking.enable_thinking is not None
    judged_otherwise = bool(config.judge_extra_body) or config.judge_max_new_tokens != MAX_VERDICT_TOKENS
    likelihood = config.asking.method == "likelihood"
    rules = (
        (stored and remote, "predictions and endpoint exclude each other: name where the answers come from once."),
        (not config.model and not stored, "model: name what to evaluate, a folder, a Hub id or an endpoint's model."),
        ((stored or remote) and config.adapter, "adapter: only a model on this machine takes one. Leave it out."),
        (remote and likelihood, "An endpoint gives no likelihood of options. Use --method generate."),
        (stored and likelihood, "Predictions are texts; their likelihood is not known. Use --method generate."),
        (stored and config.blind, "blind: predictions cannot be asked again without pictures. Leave it out."),
        (config.prediction_column and not stored, "prediction_column: name the file it is in by --predictions."),
        (stored and len(config.tasks) > 1, "predictions: a file belongs to one task. Name that one by --tasks."),
        (config.choice.data and len(config.tasks) > 1, "data: rows belong to one task. Name that one by --tasks."),
        (config.choice.image_folder and not config.choice.data, "image_folder: name the rows it is for by --data."),
        (config.choice.columns and not config.choice.data, "columns: name the rows they are of by --data."),
        (config.tasks == (CUSTOM,) and not config.choice.data, "Name benchmarks by --tasks, or your rows by --data."),
        (bool(config.extra_body) and not remote, "extra_body: only a server takes it. Name one by --endpoint."),
        (stored and framed, "system, enable_thinking: predictions are answered already. Leave them out."),
        (judged_otherwise and not config.judge, "judge_extra_body, judge_max_new_tokens: name the server by --judge."),
        (
            config.judge_max_new_tokens < 1,
            f"judge_max_new_tokens: expected at least 1, got {config.judge_max_new_tokens}.",
        ),
        (config.judge and not config.judge_model, "judge: name the model to ask there by --judge_model."),
        (config.report_pictures < 0, f"report_pictures: expected 0 or more, got {config.report_pictures}."),
        (config.resume and config.output_dir is None, "resume: name the run to go on with by --output_dir."),
        (config.exchange.export and config.output_dir is None, "export: name a folder for the files by --output_dir."),
    )
    return [message for wrong, message in rules if wrong]
