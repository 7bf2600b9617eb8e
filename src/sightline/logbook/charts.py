"""Arrange training curves in charts: which metrics share one, axis names, values that are not finite."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from sightline.logbook.metrics import SECONDS, Metrics, Series
from sightline.pages.curves import Curve, CurveChart

EVAL = "eval_"
NUMBERS_ONLY = frozenset({"step", "epoch", "num_tokens", "total_flos", SECONDS})  # what counts up, or is no measure
MAX_OTHERS = 24
DECADES = 100.0  # a positive metric that spans more than this is drawn on a logarithmic axis
MAX_NAMED_STEPS = 3


@dataclass(frozen=True)
class _Plot:
    """One chart: the metrics that share it, and what its y axis counts."""

    title: str
    y_label: str
    names: tuple[str, ...]


_FIRST = (
    _Plot("Loss", "loss", ("loss", "eval_loss")),
    _Plot("Reward accuracy", "share of pairs", ("rewards/accuracies", "eval_rewards/accuracies")),
    _Plot("Reward margin", "chosen minus rejected", ("rewards/margins", "eval_rewards/margins")),
    _Plot("Rewards", "reward", ("rewards/chosen", "rewards/rejected")),
    _Plot("Rewards in evaluation", "reward", ("eval_rewards/chosen", "eval_rewards/rejected")),
    _Plot("Log-probabilities of answers", "nats", ("logps/chosen", "logps/rejected")),
    _Plot("Tokens predicted right", "share of tokens", ("mean_token_accuracy", "eval_mean_token_accuracy")),
)
_LAST = (
    _Plot("Learning rate", "learning rate", ("learning_rate",)),
    _Plot("Gradient norm", "before clipping", ("grad_norm",)),
)


def training_charts(metrics: Metrics, rows_per_step: float) -> tuple[CurveChart, ...]:
    """The charts of one run, the loss first."""
    others = tuple(_others(metrics))
    plots = (*_FIRST, *others[:MAX_OTHERS], *_LAST)
    charts = [_chart(plot, {_called(name, plot): metrics[name] for name in plot.names}) for plot in plots]
    charts += [_chart(plot, {plot.title: series}) for plot, series in _throughput(metrics, rows_per_step)]
    return tuple(chart for chart in charts if chart is not None)


def compared_charts(runs: Mapping[str, Metrics], rows_per_step: Mapping[str, float]) -> tuple[CurveChart, ...]:
    """A chart for each metric that a run logged, the runs over one another."""
    union = Metrics()
    for metrics in runs.values():
        for name in metrics.names:
            union.add({"step": 0, name: 0.0})
    names = [name for plot in (*_FIRST, *_others(union), *_LAST) for name in plot.names if name in union]
    titles = {name: plot for plot in (*_FIRST, *_others(union), *_LAST) for name in plot.names}
    charts = []
    for name in names:
        plot = titles[name]
        title = plot.title if len(plot.names) == 1 else f"{plot.title}: {_called(name, plot)}"
        charts.append(_chart(_Plot(title, plot.y_label, ()), {run: found[name] for run, found in runs.items()}))
    rates = {run: dict(_throughput(found, rows_per_step[run])) for run, found in runs.items()}
    for plot in dict.fromkeys(plot for of_run in rates.values() for plot in of_run):
        charts.append(_chart(plot, {run: of_run.get(plot, Series()) for run, of_run in rates.items()}))
    return tuple(chart for chart in charts if chart is not None)


def score_charts(runs: Mapping[str, Metrics]) -> tuple[CurveChart, ...]:
    """A chart for each score of a task in training, with its interval; of one run or several."""
    charts = []
    for score in dict.fromkeys(score for metrics in runs.values() for score in metrics.scores()):
        curves = [_with_band(run, metrics, score) for run, metrics in runs.items() if score in metrics]
        title = score.removeprefix(EVAL).replace("_", " ")
        charts.append(CurveChart(title, "step", "score", tuple(curves), smooth=False))
    return tuple(charts)


def _with_band(run: str, metrics: Metrics, score: str) -> Curve:
    """A score with its interval, as far as one is known."""
    steps, values = metrics[score].known
    low, high = (dict(zip(*metrics[f"{score}_{end}"].known, strict=True)) for end in ("low", "high"))
    return Curve(run, steps, values, *([of.get(step, math.nan) for step in steps] for of in (low, high)))


def final_figures(metrics: Metrics) -> dict[str, float]:
    """The last finite value of each metric that a chart shows, and the evaluation's."""
    names = [name for name in metrics.names if name not in NUMBERS_ONLY and not _is_summary(name)]
    return {name: metrics[name].last for name in names if math.isfinite(metrics[name].last)}


def _others(metrics: Metrics) -> Iterator[_Plot]:
    """What is logged besides: each in a chart of its own, evaluation beside training."""
    shown = {name for plot in (*_FIRST, *_LAST) for name in plot.names} | NUMBERS_ONLY
    of_tasks = set(metrics.of_tasks())
    for name in metrics.names:
        base = name.removeprefix(EVAL)
        if name in shown or name in of_tasks or base in NUMBERS_ONLY or _is_summary(name):
            continue
        pair = tuple(one for one in (base, EVAL + base) if one in metrics)
        shown.update(pair)
        yield _Plot(base.replace("_", " ").replace("/", ": ").capitalize(), base, pair)


def _is_summary(name: str) -> bool:
    """Whether it is of the whole run, or of the time that an evaluation took."""
    return name.startswith("train_") or name.endswith(("_runtime", "_per_second"))


def _throughput(metrics: Metrics, rows_per_step: float) -> Iterator[tuple[_Plot, Series]]:
    if SECONDS not in metrics:
        return
    yield _Plot("Rows a second", "rows a second", ()), metrics.rate(rows_per_step)
    if "num_tokens" in metrics:
        yield _Plot("Tokens a second", "tokens a second", ()), metrics.rate("num_tokens")


def _chart(plot: _Plot, found: Mapping[str, Series]) -> CurveChart | None:
    logged = {name: series for name, series in found.items() if series.steps}
    if not logged:
        return None
    values = np.concatenate([series.known[1] for series in logged.values()])
    log = bool(values.size and values.min() > 0 and values.max() / values.min() > DECADES)
    caption = " ".join(filter(None, (_not_finite(name, series) for name, series in logged.items())))
    curves = tuple(Curve(name, *series.points) for name, series in logged.items())
    return CurveChart(plot.title, "step", plot.y_label, curves, caption, log=log)


def _called(name: str, plot: _Plot) -> str:
    """A metric as the legend of its chart names it."""
    if {one.removeprefix(EVAL) for one in plot.names} == {name.removeprefix(EVAL)}:
        return "evaluation" if name.startswith(EVAL) else "training"
    return name.rpartition("/")[2].replace("_", " ")


def _not_finite(name: str, series: Series) -> str:
    broken = series.broken
    if not len(broken):
        return ""
    steps = ", ".join(f"{step:,.0f}" for step in broken[:MAX_NAMED_STEPS])
    more = f" and {len(broken) - MAX_NAMED_STEPS:,} more" if len(broken) > MAX_NAMED_STEPS else ""
    at = f"step{'s' * (len(broken) > 1)} {steps}{more}"
    return f"{name} was not finite (NaN or infinite) at {at}: the line has gaps there."
