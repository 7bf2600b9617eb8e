"""Time ways of answering the same questions, interleaved in one process, and compare them by medians."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from arms import write_results

from sightline.types import Answer, Question

OURS = "sightline"
Way = Callable[[Sequence[Question]], list[Answer]]


def settings(description: str) -> argparse.Namespace:
    """The command line of a benchmark: how much to ask, and where to write."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=4, help="the first warms up")
    parser.add_argument("--images", type=int, default=2, help="per round")
    parser.add_argument("--output", type=Path, help="JSON file; benchmarks/results/NAME.json by default")
    return parser.parse_args()


def compare_ways(
    benchmark: str, ways: dict[str, Way], rounds: list[list[Question]], limits: dict[str, float]
) -> list[dict[str, Any]]:
    """Every way answers each round's questions in turn; the first round warms up. Equal answers are asserted.

    How much longer a way takes than Sightline is the median of the rounds' ratios.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    difference = 0.0
    for number, questions in enumerate(rounds):
        answers: dict[str, list[Answer]] = {}
        order = list(ways.items()) if number % 2 else list(ways.items())[::-1]
        for name, way in order:
            start = time.perf_counter()
            answers[name] = way(questions)
            elapsed = time.perf_counter() - start
            if number:
                seconds[name].append(elapsed)
            print(f"  {benchmark} round {number} {name}: {elapsed:.2f} s", file=sys.stderr)
        for name in ways:
            difference = max(difference, _difference(answers[OURS], answers[name], f"{benchmark}: {name}"))
    rows = []
    for name in (name for name in ways if name != OURS):
        ratios = [theirs / ours for theirs, ours in zip(seconds[name], seconds[OURS], strict=True)]
        row = {
            "benchmark": benchmark,
            "peer": name,
            "ratio": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
            "limit": limits[name],
            "peer_seconds": statistics.median(seconds[name]),
            "our_seconds": statistics.median(seconds[OURS]),
            "largest_logprob_difference": difference,
        }
        print(
            f"{benchmark}: {row['ratio']:.2f} times {name} ({row['lowest']:.2f} to {row['highest']:.2f}; arithmetic "
            f"limit {row['limit']:.2f}; {row['peer_seconds']:.2f} s against {row['our_seconds']:.2f} s)"
        )
        rows.append(row)
    return rows


def report(rows: list[dict[str, Any]], name: str, output: Path | None) -> None:
    """Write the comparisons with the machine as JSON."""
    write_results(rows, output or Path(__file__).parent / f"results/{name}.json")


def _difference(ours: list[Answer], theirs: list[Answer], name: str) -> float:
    """The largest difference of an option's log-probability; raises where texts differ or anything failed."""
    largest = 0.0
    for mine, other in zip(ours, theirs, strict=True):
        if mine.error or other.error or mine.text != other.text:
            raise AssertionError(f"{name}: {mine} against {other}")
        for score, its in zip(mine.options, other.options, strict=True):
            largest = max(largest, abs(score.logprob - its.logprob))
    if largest > 1e-3:
        raise AssertionError(f"{name}: log-probabilities differ by {largest:.1e}")
    return largest
