"""Captions of COCO and Flickr30k: a sentence per picture against those of five people."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.data.sources.stored import Row
from sightline.evaluation.profiles import CAPTIONS
from sightline.evaluation.task import Source, Task
from sightline.evaluation.tasks.cells import by_kind, optional, pictures, texts
from sightline.evaluation.tasks.prompts import lmms_eval_datasets, vlmevalkit_file
from sightline.scoring.records import Item

_SUBSETS = "CIDEr weighs words by the references of the pictures evaluated: scores of a subset do not compare."


def _read(row: Row) -> Iterator[Item]:
    """COCO's Hub copies have question_id and answer, Flickr30k's img_id and caption, VLMEvalKit's index and answer."""
    references = next((name for name in ("captions", "caption", "answer") if name in row.cells), "captions")
    names = (optional(row, name) for name in ("question_id", "img_id", "index", "id"))
    yield Item(
        id=next(filter(None, names), str(row.number)),
        name=row.name,
        question="",
        pictures=pictures(row, "image"),
        answers=texts(row, references),
    )


def _lmms_eval(item: Item) -> str:
    return "Provide a one-sentence caption for the provided image."


def _lmms_eval_karpathy(item: Item) -> str:
    return "Describe the image briefly."


def _vlmevalkit(item: Item) -> str:
    return (
        "Please describe this image in general. Directly provide the description, do not include prefix like "
        '"This image depicts". '
    )


def _task(name: str, title: str, sources: tuple[Source, ...], licence: str, rows: int = 0) -> Task:
    return Task(
        name=name,
        title=title,
        rows=rows,
        sources=sources,
        read=by_kind({"hub": _read, "tsv": _read}),
        prompts={"lmms-eval": _lmms_eval, "lmms-eval:karpathy": _lmms_eval_karpathy, "vlmevalkit": _vlmevalkit},
        scorers=CAPTIONS.scorers,
        metrics=CAPTIONS.metrics,
        max_new_tokens=64,
        default_prompt="lmms-eval",
        licence=licence,
        note=_SUBSETS,
    )


_COCO_LICENCE = "Annotations CC-BY-4.0; the pictures under the terms of Flickr."

TASKS = {
    "coco_caption_val2014": _task(
        "coco_caption_val2014",
        "COCO captions, 2014 validation",
        lmms_eval_datasets("COCO-Caption", "val"),
        _COCO_LICENCE,
    ),
    "coco_caption_val2017": _task(
        "coco_caption_val2017",
        "COCO captions, 2017 validation",
        lmms_eval_datasets("COCO-Caption2017", "val"),
        _COCO_LICENCE,
        rows=5000,
    ),
    "coco_caption_vlmevalkit": _task(
        "coco_caption_vlmevalkit",
        "COCO captions, VLMEvalKit's selection",
        (vlmevalkit_file("COCO_VAL.tsv", "72a5079dead060269ac222c5aa5128af"),),
        _COCO_LICENCE,
    ),
    "coco_caption_cc": _task(
        "coco_caption_cc",
        "COCO captions of photos under free licences, for smoke tests",
        (Source("file", "coco_cc_captions/captions.jsonl"),),
        "Captions CC-BY-4.0; each photo under the licence in its row.",
        rows=74,
    ),
    "flickr30k": _task(
        "flickr30k",
        "Flickr30k captions, all pictures",
        lmms_eval_datasets("flickr30k", "test"),
        "Non-commercial research (not confirmed at the source).",
        rows=31783,
    ),
}
