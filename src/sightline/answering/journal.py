"""The journal of a run: each answer is written to disk at once, so that a killed run loses none."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sightline.runs import encodable, read_json_lines
from sightline.secrets import without_known
from sightline.types import Answer, OptionScore

FOLDER, SUM = "journal", "sum"


class Journal:
    """Answers by key, in `RUN/journal/`: one file per process, which that process alone writes.

    A line that a crash cut short, or that was damaged since, is dropped with a message, and its question asked again.
    """

    def __init__(self, run: Path, process: int = 0) -> None:
        self.folder = run / FOLDER
        self.path = self.folder / f"{process}.jsonl"

    def read(self) -> dict[str, Answer]:
        """All answers, of every process and every earlier run; of a question asked again the later one."""
        answers: dict[str, Answer] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            for key, answer in _lines(path):
                if key not in answers or answers[key].error:
                    answers[key] = answer
        return answers

    def begin(self) -> None:
        """Makes the file ready for this process to append to: a torn last line goes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            print(f"{self.path}: the last line was cut short by a crash; its question is asked again.", file=sys.stderr)
            os.truncate(self.path, whole)

    def append(self, answers: Mapping[str, Answer]) -> None:
        """Adds a line per answer and hands them to the operating system; a process that dies loses none of them."""
        lines = "".join(
            json.dumps(_summed({"key": key, **_plain(answer)}), ensure_ascii=False) + "\n"
            for key, answer in answers.items()
        )
        with open(self.path, "ab") as file:
            file.write(lines.encode())


def _lines(path: Path) -> Iterator[tuple[str, Answer]]:
    spoilt = 0
    for record in read_json_lines(path):
        try:
            if record != _summed({name: value for name, value in record.items() if name != SUM}):
                raise TypeError
            options = tuple(OptionScore(**option) for option in record.get("options", ()))
            answer = Answer(
                _text(record.get("text", "")),
                _text(record.get("error", "")),
                options,
                _text(record.get("finish_reason", "")),
                tuple(map(_text, record.get("changes", ()))),
            )
            key = _text(record["key"])
        except (KeyError, TypeError, ValueError):
            spoilt += 1
            continue
        yield key, answer
    if spoilt:
        print(f"{path}: {spoilt} lines are not what was written; their questions are asked again.", file=sys.stderr)


def _summed(record: dict[str, Any]) -> dict[str, Any]:
    """The record with a sum over it, by which a line that was changed since is found."""
    content = json.dumps(record, sort_keys=True).encode()
    return {**record, SUM: hashlib.blake2b(content, digest_size=4).hexdigest()}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _plain(answer: Answer) -> dict[str, Any]:
    """The fields that say something, in characters that a file takes, and without secrets: a server may answer with the
    key that it was sent."""
    said = {name: value for name, value in asdict(answer).items() if value} or {"text": ""}
    return {name: without_known(encodable(value)) if isinstance(value, str) else value for name, value in said.items()}
