"""Peak memory of DPO steps against TRL 1.16: the work of dpo_step, each trainer in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ARMS = ("TRL as it is", "TRL scoring labelled positions only", "sightline")
PAIRS = 2
STEPS = 3


def main() -> None:
    """Three steps per arm; one line per peer, and JSON."""
    from arms import write_results

    found = {}
    for arm in ARMS:
        done = subprocess.run([sys.executable, __file__, arm], stdout=subprocess.PIPE, text=True, check=True)
        found[arm] = json.loads(done.stdout.splitlines()[-1])
    ours = found.pop("sightline")
    comparisons = []
    for peer, theirs in found.items():
        difference = max(abs(a - b) for a, b in zip(ours["losses"], theirs["losses"], strict=True))
        if difference > 1e-4:
            raise AssertionError(f"dpo_memory: losses of {peer} and sightline differ by {difference:.2e}")
        row = {
            "benchmark": "dpo_memory",
            "peer": peer,
            "ratio": ours["peak_mib"] / theirs["peak_mib"],
            "limit": ours["weights_mib"] / theirs["weights_mib"],
            "peer_peak_mib": theirs["peak_mib"],
            "our_peak_mib": ours["peak_mib"],
            "largest_loss_difference": difference,
        }
        comparisons.append(row)
        print(
            f"dpo_memory: {row['ratio']:.2f} of {peer} ({row['our_peak_mib']:,.0f} MiB against "
            f"{row['peer_peak_mib']:,.0f} MiB; weights, gradients and optimizer alone {row['limit']:.2f}; "
            f"largest loss difference {difference:.1e})"
        )
    write_results(comparisons, Path(__file__).parent / "results/dpo_memory.json")


def measure(arm: str) -> None:
    """Train a few steps and print losses and peak, as the kernel counts it for this process."""
    os.environ["SIGHTLINE_CACHE"] = tempfile.mkdtemp()
    import trl
    from arms import Arm, stepper
    from datasets import Dataset
    from shapes import llava_80m, preference_rows, processor

    import sightline

    rows = preference_rows(PAIRS * STEPS)
    ours = arm == "sightline"
    config = (sightline.DPOConfig if ours else trl.DPOConfig)(
        output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=PAIRS,
        learning_rate=1e-5,
        max_length=None,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
    )
    model = llava_80m(0)
    weights_mib = sum(parameter.numel() for parameter in model.parameters()) * 4 / 2**20
    trainer = (sightline.DPOTrainer if ours else trl.DPOTrainer)(
        model=model,
        ref_model=None if ours else llava_80m(0),  # TRL would read it from a folder; ours needs none
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=processor(),
    )
    step = stepper(Arm(arm, trainer, labelled_only=arm == ARMS[1]))
    losses = [step(range(start, start + PAIRS)) for start in range(0, len(rows), PAIRS)]
    copies = 4 if ours else 5  # weights, gradient, two moments; TRL: the reference as well
    print(json.dumps({"losses": losses, "peak_mib": _peak_mib(), "weights_mib": copies * weights_mib}))


def _peak_mib() -> float:
    """Largest resident set so far; VmHWM starts anew with the program, which getrusage's ru_maxrss does not."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmHWM. This benchmark needs Linux.")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1])
    else:
        main()
