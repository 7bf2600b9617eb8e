"""Scores of a model that one process or several hold, written to `FOLDER/RANK.json`; run as a module."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch.distributed

from sightline.evaluation.in_training import task_scores
from tests.processes import end_beside_others
from tests.tiny import tiny_llava, tiny_processor


def main(rows: str, folder: str) -> None:
    """Joins the launcher's processes where there are several."""
    rank = int(os.environ.get("RANK", "0"))
    if "RANK" in os.environ:
        torch.distributed.init_process_group("gloo")
    score = task_scores([f"custom:{rows}"])
    assert score is not None
    found = score(tiny_llava().train(), tiny_processor())
    Path(folder, f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
    end_beside_others()
