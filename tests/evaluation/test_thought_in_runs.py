"""Whole runs over stored predictions of models that think: what is scored, unparsed, and what a profile takes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.evaluation.eval_config import EvalConfig
from sightline.evaluation.run import run_eval
from sightline.evaluation.scores import TaskScores
from sightline.evaluation.sources import DataChoice
from tests.tiny import picture

ROWS: list[dict[str, Any]] = [
    {"id": "1", "question": "What colour is the boat?", "answer": "white"},
    {"id": "2", "question": "How many boats?", "answer": "4"},
    {"id": "3", "question": "When was it built?", "answer": "03/05/2001"},
    {"id": "4", "question": "What colour is the sail?", "answer": "white"},
    {"id": "5", "question": "Which one is larger?", "answer": "A", "options": ["left", "right"]},
]
SAID = [
    "<think>Grey? It is white.</think>\n\nwhite",
    r"$\boxed{\text{four}}$",
    '```json\n{"answer": "03/05/2001"}\n```',
    "<think>It may be grey or",
    "◁think▷B?◁/think▷**A**",
]


def scored(rows: str, said: str, tasks: tuple[str, ...] = ("custom",), profile: str = "") -> TaskScores:
    settings = EvalConfig(choice=DataChoice(rows), tasks=tasks, predictions=Path(said), profile=profile)
    result = run_eval(settings)
    assert result is not None
    (task,) = result.tasks.values()
    return task.scores


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_own_rows_are_scored_behind_the_thought(tmp_path: Path) -> None:
    """Four of five are right; the thought that never ends is unparsed."""
    rows = write(tmp_path / "rows.jsonl", ROWS)
    said = [{"id": row["id"], "prediction": text} for row, text in zip(ROWS, SAID, strict=True)]
    scores = scored(rows, write(tmp_path / "said.jsonl", said))
    assert scores.unparsed == 1
    assert scores.metrics[0].interval.value == pytest.approx(0.8)


def test_pope_is_scored_behind_the_thought_under_lmms_eval(tmp_path: Path) -> None:
    """Its reader takes nothing but the bare word, so both answers show what was taken out."""
    picture(1).save(tmp_path / "boat.png")
    common = {"category": "random", "image": "boat.png"}
    rows = [
        {"question_id": "1", "question": "Is there a boat in the image?", "answer": "yes", **common},
        {"question_id": "2", "question": "Is there a car in the image?", "answer": "no", **common},
    ]
    said = [
        {"id": "random-1", "prediction": "<think>No car, but a boat.</think>Yes"},
        {"id": "random-2", "prediction": "<analysis>yes? no</analysis> No"},
    ]
    files = write(tmp_path / "rows.jsonl", rows), write(tmp_path / "said.jsonl", said)
    scores = scored(*files, tasks=("pope",), profile="lmms-eval")
    assert scores.unparsed == 0
    assert [one.verdict.score for one in scores.judged] == [1.0, 1.0]
