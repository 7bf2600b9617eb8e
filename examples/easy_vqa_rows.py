"""Write easy-VQA as rows for Sightline: train.jsonl and test.jsonl, with their pictures beside them.

The questions and pictures are those of the package easy-vqa (MIT licence, github.com/vzhou842/easy-VQA):

    pip install easy-vqa
    python examples/easy_vqa_rows.py ../shared/data/easy_vqa
"""

from __future__ import annotations

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path


def write_rows(data: Path, out: Path) -> dict[str, int]:
    """Writes both parts of the package's folder `data`; gives the number of rows of each."""
    counts = {}
    for part in ("train", "test"):
        shutil.copytree(data / part / "images", out / "images" / part, dirs_exist_ok=True)
        asked = json.loads((data / part / "questions.json").read_text(encoding="utf-8"))
        rows = [
            {"id": f"{part}-{index}", "image": f"images/{part}/{picture}.png", "question": question, "answer": answer}
            for index, (question, answer, picture) in enumerate(asked)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (out / f"{part}.jsonl").write_text(text, encoding="utf-8")
        counts[part] = len(rows)
    return counts


def main() -> None:
    package = find_spec("easy_vqa")
    if package is None or package.origin is None or len(sys.argv) != 2:
        sys.exit("Usage: python examples/easy_vqa_rows.py OUT, with the package of: pip install easy-vqa")
    print(write_rows(Path(package.origin).parent / "data", Path(sys.argv[1])))


if __name__ == "__main__":
    main()
