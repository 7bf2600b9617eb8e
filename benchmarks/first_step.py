"""Seconds from `sightline sft` to its first step on easy-VQA's 38,575 rows, and how many of them the rows add."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent.parent
RESULT = Path(__file__).parent / "results" / "first_step.json"
ADDED = RESULT.with_name("first_step_added.json")
FEW = 24
Seconds = dict[str, float]
SETTINGS = (
    "--preset nano --max_length none --per_device_train_batch_size 8 --max_steps 2 --logging_steps 1 "
    "--save_strategy no --gradient_checkpointing false --bf16 false --report_to none --seed 42"
).split()


def main() -> None:
    """Starts the command in each checkout by turns and prints medians; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--added", action="store_true", help="time what the rows add to a run of one step on 24 of them"
    )
    parser.add_argument("--against", type=Path, nargs="*", default=[], help="other checkouts, timed by turns with this")
    arguments = parser.parse_args()
    shared = Path(os.environ.get("SIGHTLINE_SHARED", HERE.parent / "shared")).resolve()
    rows = shared / "data" / "easy_vqa" / "train.jsonl"
    if not rows.is_file():
        sys.exit(f"expected easy-VQA's rows at {rows}; set SIGHTLINE_SHARED to the folder above data/")
    checkouts = [HERE, *(path.resolve() for path in arguments.against)]
    if arguments.added:
        time_added(rows, checkouts, arguments.repeats)
        return
    seconds: dict[str, list[float]] = {path.name: [] for path in checkouts}
    for _ in range(arguments.repeats):
        for path in checkouts:
            seconds[path.name].append(first_step_s(path, rows))
            print(f"first_step: {path.name} {seconds[path.name][-1]:.1f} s", file=sys.stderr)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {name: medians[HERE.name] / value for name, value in medians.items() if name != HERE.name}
    cpus = len(os.sched_getaffinity(0))
    found = {"benchmark": "first_step", "cpus": cpus, "seconds": seconds, "medians": medians, "ratios": ratios}
    print(json.dumps(found))
    RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def time_added(rows: Path, checkouts: list[Path], repeats: int) -> None:
    """Prints and keeps how many seconds more a run of one step takes on all rows than on 24 of them.

    Seconds of the clock, and of the processor, which other work on the machine changes less.
    """
    seconds: dict[str, dict[str, list[Seconds]]] = {path.name: {"few": [], "all": []} for path in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "few.jsonl"
        few.write_text("".join(rows.read_text(encoding="utf-8").splitlines(keepends=True)[:FEW]), encoding="utf-8")
        for _ in range(repeats):
            for path in checkouts:
                for name, file in (("few", few), ("all", rows)):
                    seconds[path.name][name].append(whole_run(path, file, rows.parent))
                print(f"first_step: {path.name} {seconds[path.name]['all'][-1]}", file=sys.stderr)
    added = {
        checkout: {
            kind: statistics.median(one[kind] for one in taken["all"])
            - statistics.median(one[kind] for one in taken["few"])
            for kind in ("clock", "processor")
        }
        for checkout, taken in seconds.items()
    }
    found = {"benchmark": "first_step", "cpus": len(os.sched_getaffinity(0)), "seconds": seconds, "added": added}
    print(json.dumps(found))
    ADDED.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def whole_run(checkout: Path, rows: Path, images: Path) -> Seconds:
    """A run of one step in `checkout` with the default `max_length`, nothing kept from runs before."""
    with tempfile.TemporaryDirectory() as folder:
        named = ["--dataset_name", str(rows), "--image_folder", str(images), "--output_dir", f"{folder}/run"]
        command = [sys.executable, "-m", "sightline.cli.main", "sft", *named, *SETTINGS, "--max_steps", "1"]
        command[command.index("--max_length") + 1] = "1024"
        caches = {"SIGHTLINE_CACHE": folder, "HF_DATASETS_CACHE": f"{folder}/datasets"}
        changed = {"PYTHONPATH": str(checkout / "src"), "HF_HUB_OFFLINE": "1", **caches}
        begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env={**os.environ, **changed}, cwd=checkout, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"clock": time.perf_counter() - begun, "processor": processor}


def first_step_s(checkout: Path, rows: Path) -> float:
    """Wall seconds until the run in `checkout` has written the metrics of its first step."""
    with tempfile.TemporaryDirectory() as folder:
        metrics = Path(folder) / "run" / "metrics.jsonl"
        named = ["--dataset_name", str(rows), "--output_dir", str(metrics.parent)]
        command = [sys.executable, "-m", "sightline.cli.main", "sft", *named, *SETTINGS]
        changed = {"PYTHONPATH": str(checkout / "src"), "HF_HUB_OFFLINE": "1", "SIGHTLINE_CACHE": folder}
        begun = time.perf_counter()
        with open(Path(folder) / "said", "w+", encoding="utf-8") as said:
            run = subprocess.Popen(command, env={**os.environ, **changed}, cwd=checkout, stdout=said, stderr=said)
            while not (metrics.is_file() and metrics.stat().st_size):
                if run.poll() is not None:
                    said.seek(0)
                    sys.exit(f"the run in {checkout} ended before its first step:\n{said.read()}")
                time.sleep(0.02)
            taken = time.perf_counter() - begun
            run.wait()
    return taken


if __name__ == "__main__":
    main()
