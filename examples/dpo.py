"""Align a model with preferences: for each image and question one better and one worse answer.

python examples/sft_own_data.py && python examples/dpo.py            # goes on with the model of the first example
python examples/dpo.py --data pairs.jsonl --model llava-hf/llava-1.5-7b-hf
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sightline import DPOConfig, DPOTrainer
from sightline.data.sources.datasets import read_dataset
from sightline.data.worlds.rows import write_world


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a file with image, question, chosen and rejected in each row")
    parser.add_argument("--model", default="runs/sft", help="a model folder or Hub id")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--output_dir", type=Path, default=Path("runs/dpo"))
    given = parser.parse_args(arguments)

    # The pairs: yours, or true descriptions of drawn scenes against descriptions with one mistake.
    world = given.output_dir.parent / "pairs"
    data = given.data or write_world(world, seed=1, train_scenes=200, heldout_scenes=0).preferences
    pairs = read_dataset(data)

    # Training. Both answers of a pair share their image and their question, which are read once.
    settings = DPOConfig(
        output_dir=str(given.output_dir),
        max_steps=given.steps,
        per_device_train_batch_size=8,
        learning_rate=1e-4 if given.data is None else 5e-6,
        beta=0.1,
        loss_type=["sigmoid", "sft"],  # the second keeps the better answer likely
        loss_weights=[1.0, 0.5],
        max_length=None,
        logging_steps=5,
        save_strategy="no",
        report_to="none",
    )
    trainer = DPOTrainer(given.model, args=settings, train_dataset=pairs)
    trainer.train()
    trainer.save_model()

    # How often the model now finds the better answer more likely than before, compared with the worse one.
    accuracies = [entry["rewards/accuracies"] for entry in trainer.state.log_history if "rewards/accuracies" in entry]
    print(f"Route {trainer.route.route}: {trainer.route.reason}")
    print(f"Pairs told apart: {accuracies[0]:.0%} at first, {accuracies[-1]:.0%} at the end.")


if __name__ == "__main__":
    main()
