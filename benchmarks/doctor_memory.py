"""The memory that `sightline doctor` estimates against the measured peak of a step: six shapes of an 50M LLaVA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

WAYS = ("full", "LoRA", "frozen tower")
ROWS, WORDS = 2, 60
WITHIN = 0.2
GIVE_BACK = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "1048576"}  # what is freed leaves the process at once


def main() -> None:
    """Each shape in a process of its own; one line each, and JSON."""
    from arms import write_results

    results = []
    for way in WAYS:
        for checkpointing in (False, True):
            found = run_shape(way, checkpointing)
            results.append({"benchmark": "doctor_memory", "way": way, "gradient_checkpointing": checkpointing, **found})
            print(
                f"doctor_memory: {way}{', checkpointing' if checkpointing else ''}: {found['estimate_mib']:,.0f} MiB "
                f"estimated, {found['peak_mib']:,.0f} MiB measured ({100 * found['difference']:+.0f}%)"
            )
    write_results(results, Path(__file__).parent / "results/doctor_memory.json")
    worst = max(abs(result["difference"]) for result in results)
    if worst > WITHIN:
        raise AssertionError(f"doctor_memory: an estimate is {100 * worst:.0f}% off")


def run_shape(way: str, checkpointing: bool) -> dict[str, Any]:
    """Estimate and measured peak of one shape, in a new process."""
    command = [sys.executable, __file__, way, str(checkpointing)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **GIVE_BACK})
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(way: str, checkpointing: bool) -> None:
    """Print what the doctor estimates, and what it measures in a step: on a CPU weights and optimizer states, and the
    growth of this process in the step; on a GPU all that was allocated."""
    os.environ["SIGHTLINE_CACHE"] = tempfile.mkdtemp()
    from datasets import Dataset
    from shapes import caption_rows, llava_50m, processor

    from sightline.inspection.doctor import diagnose
    from sightline.training.arguments import read_settings
    from sightline.training.plan import SFT, plan_run
    from sightline.training.sft import SFTConfig
    from sightline.training.source import ModelSource

    folder = tempfile.mkdtemp()
    Dataset.from_list(caption_rows(ROWS, WORDS)).save_to_disk(folder)
    model = llava_50m()
    if way == "frozen tower":
        model.model.vision_tower.requires_grad_(False)
    argv = ["--dataset_name", folder, "--max_length", "null", "--bf16", "false", "--use_peft", str(way == "LoRA")]
    argv += ["--gradient_checkpointing", str(checkpointing), "--per_device_train_batch_size", str(ROWS)]
    seen = diagnose(plan_run(read_settings(argv, SFTConfig), SFT, ModelSource(model, processor()), is_checked=False))
    if seen.memory is None or seen.trial is None or seen.trial.peak_bytes is None:
        raise RuntimeError(f"No step was measured: {seen.findings}")
    estimate, peak = seen.memory.peak, seen.trial.peak_bytes
    found = {
        "estimate_mib": estimate / 2**20,
        "peak_mib": peak / 2**20,
        "difference": estimate / peak - 1,
        "parts_mib": {name: value / 2**20 for name, value in vars(seen.memory).items()},
    }
    print(json.dumps(found))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], sys.argv[2] == "True")
    else:
        main()
