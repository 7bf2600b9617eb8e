"""Findings of a data check: kind, count, rows and advice; with the table of all kinds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
ROWS, PICTURES, EVAL_ROWS = "rows", "pictures", "evaluation rows"
MAX_EXAMPLES = 12


@dataclass(frozen=True)
class Kind:
    """A kind of finding: how bad it is, what is counted, what it is called, and what to do about it."""

    severity: str
    unit: str
    title: str
    advice: str


_REPLACE = "Replace the file, or drop its rows."
KINDS = {
    "columns": Kind(ERROR, ROWS, "no columns that training reads", "Rename the columns, or convert the file."),
    "broken": Kind(ERROR, ROWS, "line or record that is no row", "Mend it, or take it out."),
    "refused": Kind(ERROR, ROWS, "row that training refuses", "Mend the row, or drop it."),
    "missing": Kind(ERROR, PICTURES, "picture not found", "Mend the path, or drop its rows."),
    "denied": Kind(ERROR, PICTURES, "picture that may not be read", "Give this user the right to read it."),
    "unreadable": Kind(ERROR, PICTURES, "no picture", _REPLACE),
    "truncated": Kind(ERROR, PICTURES, "picture cut off or damaged", _REPLACE),
    "too_large": Kind(
        ERROR, PICTURES, "picture over the pixel limit, not decoded", "Save it smaller, or raise SIGHTLINE_MAX_PIXELS."
    ),
    "placeholders": Kind(
        ERROR, ROWS, "placeholders do not match pictures", "Mark each picture once in the prompt, or none of them."
    ),
    "rejected_pictures": Kind(
        ERROR, ROWS, "more or fewer rejected_images than images", "Give one for each image, or none."
    ),
    "empty_answer": Kind(ERROR, ROWS, "empty answer", "Fill it in, or drop the row."),
    "wide_values": Kind(
        ERROR, PICTURES, "pixels of 32 bits beyond 0 to 255", "Scale them to 8 bits, and save the picture as PNG."
    ),
    "same_answers": Kind(ERROR, ROWS, "chosen and rejected are the same", "Mend one of them, or drop the row."),
    "leaked_picture": Kind(
        ERROR, EVAL_ROWS, "evaluation picture is in the training data", "Drop the picture from one of the two."
    ),
    "leaked_copy": Kind(
        ERROR,
        EVAL_ROWS,
        "evaluation picture is a copy of a training picture, resized or compressed again",
        "Look at the pairs; drop the picture from one of the two.",
    ),
    "leaked_question": Kind(
        ERROR,
        EVAL_ROWS,
        "evaluation question about a training picture is in the training data, too",
        "Drop these rows from one of the two.",
    ),
    "remote": Kind(WARNING, PICTURES, "picture at an address, not fetched", "Add --allow_urls, or name a file."),
    "vanishing": Kind(
        WARNING,
        PICTURES,
        "nothing is left on white",
        "Put it on a darker background: training lays transparent pictures on white.",
    ),
    "strip": Kind(
        WARNING, PICTURES, "over 100 times as long as wide", "Cut it into parts: many processors refuse such a picture."
    ),
    "roles": Kind(WARNING, ROWS, "roles out of order", "Let user and assistant take turns, as templates want them."),
    "unmarked": Kind(
        WARNING,
        ROWS,
        "plain prompt beside a picture that no mark stands for",
        "Write it as messages, or put the model's own mark into it: training gives plain text to the processor as it "
        "is, and most models' refuse the row then. Evaluation asks it by the chat template, the picture first.",
    ),
    "empty_question": Kind(WARNING, ROWS, "empty question", "Say what is asked of the picture."),
    "no_picture": Kind(WARNING, ROWS, "no picture, where other rows have one", "Add it, or leave the row as text."),
    "no_pictures": Kind(
        WARNING, ROWS, "no row has a picture", "Right for text alone; else name the column of pictures image."
    ),
    "same_picture": Kind(WARNING, PICTURES, "same picture as another file", "Let the rows share one file."),
    "near_picture": Kind(
        NOTE, PICTURES, "copy of another picture, resized or compressed again", "Look at the pairs: copies count twice."
    ),
    "same_row": Kind(WARNING, ROWS, "same row as an earlier one", "Drop it, unless it should count twice."),
    "turned_preference": Kind(
        WARNING, ROWS, "chosen here, rejected there", "Keep one of the two: together they cancel out."
    ),
    "other_answer": Kind(
        NOTE, ROWS, "same question and picture, another answer", "Right for captions; else one of the answers is wrong."
    ),
    "length_bias": Kind(
        WARNING, ROWS, "length alone tells chosen from rejected", "Balance the pairs, or a model may learn length."
    ),
    "majority": Kind(
        WARNING, ROWS, "one answer makes more than half", "Hold results against always giving this answer."
    ),
    "known_question": Kind(
        NOTE, EVAL_ROWS, "question is asked in the training data, of other pictures", "Expected of generic questions."
    ),
    "animated": Kind(NOTE, PICTURES, "animated: the first frame is used", "Save the frame that you mean."),
    "cmyk": Kind(NOTE, PICTURES, "CMYK, turned into RGB", "Colours are those of a plain conversion, without profile."),
    "sixteen_bit": Kind(NOTE, PICTURES, "16 bits a pixel, scaled to 8", "Nothing to do."),
    "transparent": Kind(
        NOTE, PICTURES, "transparent, laid on white", "Put the picture on the background that you mean."
    ),
    "turned": Kind(NOTE, PICTURES, "turned upright by its EXIF tag", "Nothing to do."),
}


@dataclass(frozen=True)
class Place:
    """Where a picture stands.

    Attributes:
        source: 0 for the training data, 1 and up for evaluation data, in the order given.
        row: from 0.
        part: its number among the pictures of the row.
    """

    source: int
    row: int
    part: int = 0


@dataclass(frozen=True)
class Example:
    """One case of a finding.

    Attributes:
        row: the row's name ("train.jsonl row 12").
        detail: what is wrong there, or what it is like.
        places: pictures that show it.
    """

    row: str
    detail: str = ""
    places: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Finding:
    """All cases of one kind.

    Attributes:
        of: how many rows or pictures there are in all.
        examples: the first cases.
    """

    kind: str
    severity: str
    title: str
    unit: str
    count: int
    of: int
    advice: str
    examples: tuple[Example, ...]

    @property
    def share(self) -> float:
        """Cases among all rows or pictures."""
        return self.count / self.of if self.of else 0.0


class Findings:
    """Cases, counted by kind; of each kind the first few are kept."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[Example]] = {}

    def add(self, kind: str, example: Example, count: int = 1) -> None:
        """Count a case, or `count` cases that one example stands for."""
        self._counts[kind] += count
        examples = self._examples.setdefault(kind, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(example)

    @property
    def of_errors(self) -> int:
        """How many cases keep rows from training."""
        return sum(count for kind, count in self._counts.items() if KINDS[kind].severity == ERROR)

    def wants_example(self, kind: str) -> bool:
        """Whether the next case of a kind would be kept, so that its detail is worth finding."""
        return len(self._examples.get(kind, ())) < MAX_EXAMPLES

    def listed(self, totals: dict[str, int]) -> tuple[Finding, ...]:
        """What was found, the worst first; `totals` says how many there are of each unit."""
        found = []
        for name, kind in KINDS.items():
            count = self._counts[name]
            if count:
                of, examples = totals[kind.unit], tuple(self._examples[name])
                found.append(Finding(name, kind.severity, kind.title, kind.unit, count, of, kind.advice, examples))
        return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))
