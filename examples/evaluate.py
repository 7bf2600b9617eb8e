"""Evaluate a model on rows that it has not seen, with a 95% interval and two baselines beside the score.

python examples/sft_own_data.py && python examples/evaluate.py       # the model of the first example
python examples/evaluate.py llava-hf/llava-1.5-7b-hf --data test.jsonl --output_dir runs/llava-scores
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sightline import DataChoice, EvalConfig, run_eval
from sightline.data.worlds.rows import write_world


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="runs/sft", help="a model folder or Hub id")
    parser.add_argument("--data", help="a file with image, question and answer in each row")
    parser.add_argument("--limit", type=int, help="use only the first N rows")
    parser.add_argument("--output_dir", type=Path, default=Path("runs/sft-scores"))
    given = parser.parse_args(arguments)

    # The rows: yours, or questions about 50 scenes that no training of these examples has shown.
    world = given.output_dir.parent / "unseen"
    data = given.data or str(write_world(world, seed=2, train_scenes=0, heldout_scenes=50).heldout)

    # `blind` asks everything a second time without the images: what can be guessed from the words alone?
    choice = DataChoice(data, limit=given.limit)
    result = run_eval(EvalConfig(given.model, choice=choice, blind=True, output_dir=given.output_dir))
    if result is None:  # one of several processes under a launcher: the first one prints
        return

    task = result.tasks["custom"]
    for name, scores in task.sides.items():  # the model, the model without images, always the most frequent answer
        metric = scores.metrics[0]
        value, low, high = metric.interval.value, metric.interval.low, metric.interval.high
        print(f"{name}: {metric.name} {value:.1%}, between {low:.1%} and {high:.1%} with 95% confidence.")
    print(f"Every answer with its image: {given.output_dir / 'report.html'}")


if __name__ == "__main__":
    main()
