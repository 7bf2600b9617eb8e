"""Peak memory of reading a large VLMEvalKit TSV: every row, and every picture opened once, in a process of its own."""

from __future__ import annotations

import argparse
import base64
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PICTURE_BYTES = 250_000
ROTATIONS = 4


def main() -> None:
    """Writes the file, reads it in a child process and prints what the kernel counted there; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the file is written; a temporary folder by default"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "Large.tsv"
        questions = write(path, int(arguments.gigabytes * 1e9))
        done = subprocess.run(
            [sys.executable, __file__, "--measure", str(path)], stdout=subprocess.PIPE, text=True, check=True
        )
        found = {"benchmark": "tsv_memory", "file_mib": path.stat().st_size / 2**20, "questions": questions}
    found |= json.loads(done.stdout.splitlines()[-1])
    print(
        f"tsv_memory: {found['peak_over_start_mib']:,.0f} MiB over the interpreter with its imports for a file of "
        f"{found['file_mib']:,.0f} MiB ({found['items']:,} items, {found['seconds']:.1f} s)",
        file=sys.stderr,
    )
    print(json.dumps(found))
    if arguments.gigabytes >= 1:
        target = Path(__file__).parent / "results" / "tsv_memory.json"
        target.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def write(path: Path, wanted_bytes: int) -> int:
    """How many questions a file in MMBench's schema got: a picture each, to which the rotations refer."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0)
    side = int((PICTURE_BYTES / 3) ** 0.5)
    written = questions = 0
    with path.open("w", encoding="utf-8") as file:
        file.write("index\timage\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\tl2-category\tsplit\n")
        while written < wanted_bytes:
            questions += 1
            buffer = io.BytesIO()
            Image.fromarray(noise.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(
                buffer, "PNG", compress_level=0
            )
            picture = base64.b64encode(buffer.getvalue()).decode()
            for rotation in range(ROTATIONS):
                index = questions + rotation * 1_000_000
                options = "\t".join("wxyz"[(place - rotation) % 4] for place in range(4))
                image = picture if rotation == 0 else str(questions)
                line = f"{index}\t{image}\twhich?\t\t{options}\t{'ABCD'[rotation]}\tc\tl\tdev\n"
                written += file.write(line)
    return questions


def measure(path: Path) -> None:
    """Loads the items as an evaluation does and prints the peak, as the kernel counts it for this process."""
    from sightline.evaluation.sources import DataChoice, load_items
    from sightline.evaluation.tasks.registry import load_task

    task = load_task("mmbench_dev_en")
    before = peak_mib()
    start = time.perf_counter()
    items = load_items(task, DataChoice(data=str(path)))
    found = {"items": len(items.items), "seconds": time.perf_counter() - start}
    print(json.dumps({**found, "start_mib": before, "peak_over_start_mib": peak_mib() - before}))


def peak_mib() -> float:
    """The most resident memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
    else:
        main()
