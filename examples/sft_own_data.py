"""Fine-tune a model on your own images, questions and answers, then ask it a question.

python examples/sft_own_data.py                    # the small model "nano" on generated scenes, on a CPU
python examples/sft_own_data.py --data rows.jsonl --model llava-hf/llava-1.5-7b-hf
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sightline import SFTConfig, SFTTrainer, ask, load_vlm
from sightline.data.sources.datasets import read_dataset
from sightline.data.worlds.rows import write_world
from sightline.models.build import build_vlm, save_vlm
from sightline.models.presets import PRESETS


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a file with image, question and answer in each row")
    parser.add_argument("--model", help="a model folder or Hub id")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--output_dir", type=Path, default=Path("runs/sft"))
    given = parser.parse_args(arguments)
    start = given.output_dir.parent

    # The rows: yours, or questions about 400 scenes that are drawn here.
    data = given.data or write_world(start / "world", seed=0, train_scenes=400, heldout_scenes=50).train
    rows = read_dataset(data)

    # The model to start from: yours, or a new one of a million parameters.
    model = given.model or save_vlm(build_vlm(PRESETS["nano"], seed=0), start / "nano")

    # Training. Questions about one image come into one batch, and the image is read once for all of them.
    settings = SFTConfig(
        output_dir=str(given.output_dir),
        max_steps=given.steps,
        per_device_train_batch_size=16,
        learning_rate=1e-3 if given.model is None else 2e-5,
        max_length=None,
        logging_steps=10,
        save_strategy="no",
        report_to="none",
    )
    trainer = SFTTrainer(str(model), settings, train_dataset=rows)
    trainer.train()
    trainer.save_model()
    print(f"Route {trainer.route.route}: {trainer.route.reason}")

    # The trained folder is an ordinary Hugging Face model.
    row = rows[0]
    answer = ask(load_vlm(given.output_dir), row["image"], row["question"])
    print(f"{row['question']} The model says {answer!r}, the row says {row['answer']!r}.")


if __name__ == "__main__":
    main()
