"""examples/vlmevalkit.sh runs as it stands: VLMEvalKit (here a stub of its command) answers, and its file is scored."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from tests.evaluation.test_run import write_xlsx
from tests.tiny import picture

SAID = {"1": "B", "2": "A", "1000001": "B", "1000002": "Failed to obtain answer via API. "}
STUB = """
import argparse, json, pathlib, shutil
options = argparse.ArgumentParser()
for name in ("--config", "--mode", "--work-dir"):
    options.add_argument(name)
given = options.parse_args()
(model,) = json.loads(pathlib.Path(given.config).read_text())["model"].values()
assert model["api_base"] == "http://127.0.0.1:9/v1/chat/completions" and model["model"] == "tiny", model
folder = pathlib.Path(given.work_dir, "mine", "T20260101_Gabc")
folder.mkdir(parents=True)
shutil.copy("said.xlsx", folder / "mine_MMBench_DEV_EN.xlsx")
"""


def write_tsv(path: Path) -> None:
    """Two questions in two rotations; the right options are x and y."""
    encoded = BytesIO()
    picture(0).save(encoded, "PNG")
    image = base64.b64encode(encoded.getvalue()).decode()
    columns = ("index", "image", "question", "A", "B", "answer", "category", "l2-category", "split")
    rows = [
        ("1", image, "which one?", "y", "x", "B", "c", "l", "dev"),
        ("2", "1", "and now?", "y", "x", "A", "c", "l", "dev"),
        ("1000001", "1", "which one?", "x", "y", "A", "c", "l", "dev"),
        ("1000002", "1", "and now?", "x", "y", "B", "c", "l", "dev"),
    ]
    path.write_text("".join("\t".join(row) + "\n" for row in (columns, *rows)))


@pytest.mark.slow
def test_the_example_runs_and_scores_the_file(root: Path, tmp_path: Path) -> None:
    """Question 1 is wrong in one rotation, question 2 has no answer in one: none of two is right, one item failed."""
    kit, lmu, bin_folder = (tmp_path / name for name in ("kit", "lmu", "bin"))
    for folder in (kit, lmu, bin_folder):
        folder.mkdir()
    write_tsv(lmu / "MMBench_DEV_EN.tsv")
    (kit / "run.py").write_text(STUB)
    write_xlsx(kit / "said.xlsx", [("index", "prediction"), *SAID.items()])
    command = bin_folder / "sightline"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m sightline.cli.main "$@"\n')
    command.chmod(0o755)
    settings = {"ENDPOINT": "http://127.0.0.1:9/v1", "MODEL": "tiny", "KIT": str(kit), "PYTHON": sys.executable}
    places = {"OUT": str(tmp_path / "out"), "LMUData": str(lmu), "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    environment = {**os.environ, **settings, **places, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    script = root / "examples" / "vlmevalkit.sh"
    done = subprocess.run(["sh", script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    for name, profile in (("theirs", "vlmevalkit"), ("strict", "strict")):
        task = json.loads((tmp_path / "out" / name / "results.json").read_text())["tasks"]["mmbench_dev_en"]
        assert (task["profile"], task["n"], task["errors"]) == (profile, 4, 1)
        assert next(iter(task["metrics"].values()))["value"] == 0.0
