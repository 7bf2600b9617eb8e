"""`sightline data check` on 20,000 questions about 4,000 pictures: rows a second, and peak memory of its process."""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROWS, PICTURES = 20_000, 4_000
RESULT = Path(__file__).parent / "results" / "data_check.json"


def main() -> None:
    """Checks the rows in processes of their own and prints medians; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, source = write(Path(folder))
        command = [sys.executable, __file__, "--measure", str(path)]
        runs = [measured(command) for _ in range(arguments.repeats)]
    found = {"benchmark": "data_check", "pictures_from": source, "cpus": len(os.sched_getaffinity(0)), **runs[0]}
    for name in ("seconds", "cpu_seconds", "command_seconds", "peak_mib"):
        found[name] = statistics.median(run[name] for run in runs)
    found["rows_per_second"] = found["rows"] / found["seconds"]
    print(
        f"data_check: {found['rows_per_second']:,.0f} rows a second ({found['rows']:,} rows, {found['pictures']:,} "
        f"pictures, {found['seconds']:.1f} s, {found['cpu_seconds']:.1f} s of processors; "
        f"{found['command_seconds']:.1f} s with the start of the process), {found['peak_mib']:,.0f} MiB at most",
        file=sys.stderr,
    )
    print(json.dumps(found))
    RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def write(folder: Path) -> tuple[Path, str]:
    """A file of rows, and where its pictures come from: easy-VQA's where it is at hand, else drawn ones like them."""
    easy_vqa = Path(os.environ.get("SIGHTLINE_SHARED", "")) / "data" / "easy_vqa" / "train.jsonl"
    per_picture = ROWS // PICTURES
    if easy_vqa.is_file():
        counts: Counter[str] = Counter()
        rows, others = [], []
        for row in map(json.loads, easy_vqa.read_text(encoding="utf-8").splitlines()):
            counts[row["image"]] += 1
            chosen = rows if counts[row["image"]] <= per_picture else others  # some pictures have fewer
            chosen.append({**row, "image": str(easy_vqa.parent / row["image"])})
        rows += others[: ROWS - len(rows)]
    else:
        names = [draw(folder, number) for number in range(PICTURES)]
        rows = [
            {"image": name, "question": f"what is thing {number}?", "answer": f"shape {number}"}
            for name in names
            for number in range(per_picture)
        ]
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path, "easy_vqa" if easy_vqa.is_file() else "drawn"


def draw(folder: Path, number: int) -> str:
    """A picture of 64 x 64 pixels with one rectangle on a pale ground."""
    from PIL import Image

    place = random.Random(number)
    picture = Image.new("RGB", (64, 64), tuple(place.randint(225, 255) for _ in range(3)))
    left, top, width, height = (place.randint(4, 30) for _ in range(4))
    picture.paste(tuple(place.randint(0, 200) for _ in range(3)), (left, top, left + width, top + height))
    picture.save(folder / f"{number}.png")
    return f"{number}.png"


def measured(command: list[str]) -> dict[str, float]:
    """What a child process says of one check, with its time from start to end."""
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "command_seconds": time.perf_counter() - start}


def measure(path: str) -> None:
    """Reads and checks the rows, and prints the time and the most memory that this process ever had."""
    import datasets  # noqa: F401  its import is not the check's

    from sightline.inspection.check import CheckConfig, run_check

    start, cpu_start = time.perf_counter(), time.process_time()
    check = run_check(CheckConfig(path), lambda done, total: None)
    times = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu_start}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": check.rows, "pictures": check.pictures.stored, **times, "peak_mib": peak}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2])
    else:
        main()
