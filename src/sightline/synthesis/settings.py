"""Settings of `sightline data synthesize`, checked for conflicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline.data.sources.column_names import ColumnNames
from sightline.errors import ConfigError, nearest
from sightline.models.endpoint import DEFAULT_KEY_VARIABLE, DEFAULT_TIMEOUT_S, JUDGE, Endpoint, with_thinking
from sightline.settings.loading import AT_SERVER, LoadingOptions

PREFERENCES = "preferences"
KINDS = ("conversation", "description", "reasoning", "paraphrase", PREFERENCES)
SAMPLES, GOLD, CORRUPTION = "samples", "gold", "corruption"
CORRUPTIONS = ("noise", "blur", "blank")


@dataclass(frozen=True)
class PairChoice:
    """Where the answers of preference pairs come from; the names are those of the command's flags.

    Attributes:
        policy: model folder or Hub id to sample here, instead of a model at an endpoint.
        samples: answers to each question: the likeliest, then drawn ones.
        chosen_from: `samples`, the best of them, or `gold`, the row's own answer.
        rejected_from: `samples`, the worst of them, or `corruption`: what the model says of a spoilt picture.
        corruption: how that picture is spoilt, one of `CORRUPTIONS`.
        judge: address of a server whose `judge_model` gives scores instead of a comparison with gold answers.
        judge_extra_body: further fields of each request to the judge.
        judge_max_new_tokens: the judge's longest reply; its own default where None.
    """

    policy: str = ""
    samples: int = 4
    chosen_from: str = SAMPLES
    rejected_from: str = SAMPLES
    corruption: str = "noise"
    judge: str = ""
    judge_model: str = ""
    judge_extra_body: Mapping[str, Any] | None = None
    judge_max_new_tokens: int | None = None


@dataclass(frozen=True)
class SynthesisConfig:
    """What to make of which rows; the names are those of the command's flags.

    Attributes:
        source: file, folder or Hub id.
        kind: one of `KINDS`.
        output_path: the JSONL file to write; what belongs to the run lies beside it, in a folder `.run`.
        model: the model's name at the endpoint.
        prompts: folder whose KIND.yaml takes the place of the shipped one.
        limit: only the first so many pictures, or rows of questions.
        max_new_tokens: the longest reply; the kind's own where None.
        show_image: send the picture, too, for a model that sees.
        system: a system message before the questions of preference pairs, which their rows then hold, too.
        enable_thinking: whether the chat template lets the model think first; as it does by itself where None.
        extra_body: further fields of each request to the endpoint.
        timeout_s: how long a server may take for one reply.
        skip_bad_rows: leave out rows that cannot be used, and list them.
        columns: names given to columns of the source before its rows are read.
        loading: how the policy is loaded.
    """

    source: str
    kind: str
    output_path: Path
    endpoint: str = ""
    model: str = ""
    split: str | None = None
    prompts: Path | None = None
    limit: int | None = None
    concurrency: int = 8
    api_key_env: str = DEFAULT_KEY_VARIABLE
    seed: int = 42
    temperature: float = 0.7
    max_new_tokens: int | None = None
    show_image: bool = False
    pairs: PairChoice = field(default_factory=PairChoice)
    system: str | None = None
    enable_thinking: bool | None = None
    extra_body: Mapping[str, Any] | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    skip_bad_rows: bool = False
    columns: ColumnNames | None = None
    loading: LoadingOptions = field(default_factory=LoadingOptions)

    def __post_init__(self) -> None:
        pairs = self.pairs
        for name, value, known in (
            ("kind", self.kind, KINDS),
            ("chosen_from", pairs.chosen_from, (SAMPLES, GOLD)),
            ("rejected_from", pairs.rejected_from, (SAMPLES, CORRUPTION)),
            ("corruption", pairs.corruption, CORRUPTIONS),
        ):
            if value not in known:
                hint = nearest(value, known)
                raise ConfigError(f"--{name}: expected one of {', '.join(known)}; got '{value}'. {hint}".rstrip())
        for wrong, message in (*_range_rules(self), *_conflict_rules(self)):
            if wrong:
                raise ConfigError(message)
        if not pairs.policy:
            self.loading.refuse(AT_SERVER)

    @property
    def asked_endpoint(self) -> Endpoint:
        """The endpoint whose model writes or answers."""
        fields = with_thinking(self.extra_body, self.enable_thinking, "--extra_body")
        return Endpoint(
            self.endpoint,
            self.model,
            self.api_key_env,
            concurrency=self.concurrency,
            timeout_s=self.timeout_s,
            extra_body=fields,
        )

    @property
    def judging_endpoint(self) -> Endpoint:
        """The endpoint whose model judges."""
        return Endpoint(
            self.pairs.judge,
            self.pairs.judge_model,
            self.api_key_env,
            concurrency=self.concurrency,
            timeout_s=self.timeout_s,
            extra_body=self.pairs.judge_extra_body or {},
            flags=JUDGE,
        )

    @property
    def run_folder(self) -> Path:
        """Where settings, journal, rejects and results of the run lie."""
        return self.output_path.with_suffix(".run")


def _range_rules(config: SynthesisConfig) -> tuple[tuple[bool, str], ...]:
    tokens, pairs = config.max_new_tokens, config.pairs
    return (
        (config.output_path.suffix != ".jsonl", f"--output_path: expected a .jsonl file, got {config.output_path}."),
        (config.limit is not None and config.limit < 1, f"--limit: expected at least 1, got {config.limit}."),
        (not 0 <= config.temperature <= 2, f"--temperature: expected 0 to 2, got {config.temperature}."),
        (config.seed < 0, f"--seed: expected 0 or more, got {config.seed}."),
        (tokens is not None and tokens < 1, f"--max_new_tokens: expected at least 1, got {tokens}."),
        (
            pairs.judge_max_new_tokens is not None and pairs.judge_max_new_tokens < 1,
            f"--judge_max_new_tokens: expected at least 1, got {pairs.judge_max_new_tokens}.",
        ),
        (pairs.samples < 1, f"--samples: expected at least 1, got {pairs.samples}."),
    )


def _conflict_rules(config: SynthesisConfig) -> tuple[tuple[bool, str], ...]:
    pairs = config.pairs
    remote, local = bool(config.endpoint), bool(pairs.policy)
    own = pairs.chosen_from == SAMPLES and pairs.rejected_from == SAMPLES
    return (
        (
            config.kind != PREFERENCES and pairs != PairChoice(),
            f"--kind {config.kind}: --policy, --samples, --chosen_from, --rejected_from, --corruption and --judge "
            f"belong to --kind {PREFERENCES}. Leave them out, or change the kind.",
        ),
        (local and (remote or bool(config.model)), "--policy stands for --endpoint and --model: give one of them."),
        (
            bool(config.system) and config.kind != PREFERENCES,
            f"--system: the prompt file of --kind {config.kind} says it. Change it there (--prompts FOLDER).",
        ),
        (local and bool(config.extra_body), "--extra_body: only a server takes it. Name one by --endpoint."),
        (
            not pairs.judge and (bool(pairs.judge_extra_body) or pairs.judge_max_new_tokens is not None),
            "--judge_extra_body, --judge_max_new_tokens: name the server by --judge.",
        ),
        (not remote and not local, f"--endpoint: name an OpenAI-compatible server (and its --model){_or(config)}."),
        (remote and not config.model, "--model: name the model to ask at the endpoint."),
        (bool(pairs.judge) != bool(pairs.judge_model), "--judge and --judge_model go together: give both or neither."),
        (own and pairs.samples < 2, f"--samples: best and worst take at least 2 answers, got {pairs.samples}."),
        (
            own and config.temperature == 0,
            "--temperature: at 0 all samples are alike, so that none is best or worst. Raise it.",
        ),
    )


def _or(config: SynthesisConfig) -> str:
    return ", or a model folder by --policy" if config.kind == PREFERENCES else ""
