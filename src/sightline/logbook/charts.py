"""Arrange training curves in charts: which metrics share one, axis names, values that are not finite."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from sightline.logbook.story import SECONDS, Metrics, Series
from sightline.pages.curves import Curve, CurveChart

EVAL = "eval_"
NUMBERS_ONLY = frozenset({"step", "epoch", "num_tokens", "total_flos", SECONDS})  # what counts up, or is no measure
MAX_OTHERS = 24
DECADES = 100.0  # a positive metric that spans more than this is drawn on a logarithmic axis
MAX_NAMED_STEPS = 3


@dataclass(frozen=True)
class _Plot:
    """One chart: the metrics that share it, what its y axis counts, and whether its values are noisy."""

    title: str
    y_label: str
    names: tuple[str, ...]
    smooth: bool = True


_KNOWN = (
    _Plot("Loss", "loss", ("loss", "eval_loss")),
    _Plot("Reward accuracy", "share of pairs", ("rewards/accuracies", "eval_rewards/accuracies")),
    _Plot("Reward margin", "chosen minus rejected", ("rewards/margins", "eval_rewards/margins")),
    _Plot("Rewards", "reward", ("rewards/chosen", "rewards/rejected")),
    _Plot("Rewards in evaluation", "reward", ("eval_rewards/chosen", "eval_rewards/rejected")),
    _Plot("Log-probabilities of answers", "nats", ("logps/chosen", "logps/rejected")),
    _Plot("Log-probabilities in evaluation", "nats", ("eval_logps/chosen", "eval_logps/rejected")),
    _Plot("Tokens predicted right", "share of tokens", ("mean_token_accuracy", "eval_mean_token_accuracy")),
    _Plot("Learning rate", "learning rate", ("learning_rate",), smooth=False),
    _Plot("Gradient norm", "before clipping", ("grad_norm",)),
)


def training_charts(metrics: Metrics, rows_per_step: float) -> tuple[CurveChart, ...]:
    """The charts of one run, the loss first."""
    charts = [_of_plot(plot, metrics) for plot in _KNOWN]
    charts += [_chart(plot, {plot.title: series}) for plot, series in _throughput(metrics, rows_per_step)]
    charts += [_of_plot(plot, metrics) for plot in itertools.islice(_others(metrics), MAX_OTHERS)]
    return tuple(chart for chart in charts if chart is not None)


def compared_charts(runs: Mapping[str, Metrics], rows_per_step: Mapping[str, float]) -> tuple[CurveChart, ...]:
    """A chart for each metric that a run logged, the runs over one another."""
    union = Metrics()
    for metrics in runs.values():
        for name in metrics.names:
            union.add({"step": 0, name: 0.0})
    charts = []
    rates = {run: dict(_throughput(found, rows_per_step[run])) for run, found in runs.items()}
    for plot in (*_KNOWN, *itertools.islice(_others(union), MAX_OTHERS)):
        for name in plot.names:
            title = plot.title if len(plot.names) == 1 else f"{plot.title}: {_called(name, plot)}"
            one = _Plot(title, plot.y_label, (name,), plot.smooth)
            charts.append(_chart(one, {run: found[name] for run, found in runs.items()}))
    for plot in dict.fromkeys(plot for of_run in rates.values() for plot in of_run):
        charts.append(_chart(plot, {run: of_run.get(plot, Series()) for run, of_run in rates.items()}))
    return tuple(chart for chart in charts if chart is not None)


def score_charts(runs: Mapping[str, Metrics]) -> tuple[CurveChart, ...]:
    """A chart for each score of a task in training, with its interval; of one run or several."""
    charts = []
    for score in dict.fromkeys(score for metrics in runs.values() for score in metrics.scores()):
        curves = [_with_band(run, metrics, score) for run, metrics in runs.items()]
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
    names = [name for name in metrics.names if _is_measure(name)]
    return {name: metrics[name].last for name in names if math.isfinite(metrics[name].last)}


def _others(metrics: Metrics) -> Iterator[_Plot]:
    """What is logged besides: each in a chart of its own, evaluation beside training."""
    shown = {name for plot in _KNOWN for name in plot.names}
    of_tasks = set(metrics.of_tasks())
    for name in metrics.names:
        base = name.removeprefix(EVAL)
        if name in shown or name in of_tasks or not _is_measure(name):
            continue
        pair = tuple(one for one in (base, EVAL + base) if one in metrics and one not in shown)
        shown.update(pair)
        yield _Plot(base.replace("_", " ").replace("/", ": ").capitalize(), base, pair)


def _is_measure(name: str) -> bool:
    """Whether a curve or a last value says something: not of the whole run, or of the time an evaluation took."""
    of_run = name.startswith("train_") or name.endswith(("_runtime", "_per_second"))
    return not of_run and name.removeprefix(EVAL) not in NUMBERS_ONLY


def _throughput(metrics: Metrics, rows_per_step: float) -> Iterator[tuple[_Plot, Series]]:
    if SECONDS not in metrics:
        return
    yield _Plot("Rows a second", "rows a second", ()), metrics.rate(rows_per_step)
    if "num_tokens" in metrics:
        yield _Plot("Tokens a second", "tokens a second", ()), metrics.rate("num_tokens")


def _of_plot(plot: _Plot, metrics: Metrics) -> CurveChart | None:
    return _chart(plot, {_called(name, plot): metrics[name] for name in plot.names if name in metrics})


def _chart(plot: _Plot, found: Mapping[str, Series]) -> CurveChart | None:
    """The series over one another, each with the colour of its place; None where none has a point."""
    if not any(series.steps for series in found.values()):
        return None
    values = np.concatenate([series.known[1] for series in found.values()])
    log = bool(values.size and values.min() > 0 and values.max() / values.min() > DECADES)
    caption = " ".join(filter(None, (_not_finite(name, series) for name, series in found.items())))
    curves = tuple(Curve(name, *series.points) for name, series in found.items())
    return CurveChart(plot.title, "step", plot.y_label, curves, caption, plot.smooth, log)


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
