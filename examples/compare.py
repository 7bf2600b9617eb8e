"""Compare two evaluated runs on the same rows: is the second one better, and how sure is that?

python examples/evaluate.py runs/sft --output_dir runs/sft-scores
python examples/evaluate.py runs/dpo --output_dir runs/dpo-scores
python examples/compare.py runs/sft-scores runs/dpo-scores
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sightline import run_compare


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", nargs="?", default="runs/sft-scores", help="the folder of the first evaluation")
    parser.add_argument("after", nargs="?", default="runs/dpo-scores", help="the folder of the second evaluation")
    given = parser.parse_args(arguments)

    comparison = run_compare(given.before, given.after)
    for name, change in comparison.tasks.items():
        # The same questions were asked twice, so each answer is compared with its partner.
        overall, difference = change.overall, change.overall.difference
        print(f"{name}: {change.metric} {overall.before:.1%} before, {overall.after:.1%} after.")
        print(f"Difference {difference.value:+.1%}, between {difference.low:+.1%} and {difference.high:+.1%}.")
        print(f"{overall.improved} items became right, {overall.worsened} became wrong.")

        # A difference of chance alone is as large as this one with the probability p.
        verdict = "more than chance" if change.p_holm < 0.05 else "not more than chance can explain"
        print(f"p = {change.p_holm:.3f}: {verdict}.")
        for pair in change.samples.worsened[:3]:
            before, after = pair.before.prediction, pair.after.prediction
            print(f"  {pair.after.question} {before!r} became {after!r}, expected {pair.after.answers[0]!r}.")

    # What else differs between the two runs, so that the difference is not taken for the model's.
    print(comparison.reproduction.conclusion)


if __name__ == "__main__":
    main()
