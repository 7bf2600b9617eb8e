"""Write the model card of a trained ViLT: origin, training, use."""

from __future__ import annotations

from typing import Any

from sightline.machine import installed_version
from sightline.runs import RunFolder, plain_data
from sightline.secrets import hidden
from sightline.training.vilt.settings import ViltSettings

PACKAGES = ("sightline", "transformers", "torch")
PIPELINES = {"vqa": "visual-question-answering", "retrieval": "zero-shot-image-classification"}
USES = {
    "pretrain": "Go on from it: `sightline vilt vqa --model_name_or_path {folder} --train_data questions.jsonl`.\n"
    'See what it aligns: `sightline vilt align {folder} picture.png "a sentence" --output_path map.png`.',
    "vqa": 'Ask it: `sightline ask {folder} picture.png "What is this?"`.',
    "retrieval": 'Search with it: `sightline vilt search {folder} PICTURES "a text"`.',
    "nlvr2": "Score it: `sightline vilt evaluate {folder} sentences.jsonl`.",
}


def write_vilt_card(folder: RunFolder, task: str, settings: ViltSettings, start: Any, model: Any) -> None:
    """README.md in the run folder."""
    header = ["library_name: transformers", "tags:", "- sightline", "- vilt"]
    if task in PIPELINES:
        header.append(f"pipeline_tag: {PIPELINES[task]}")
    origin = "It was built from scratch." if start.name == "scratch" else f"It starts from `{start.name}`."
    rows = "\n".join(f"| {key} | {value} |" for key, value in sorted(hidden(plain_data(settings.given)).items()))
    versions = ", ".join(f"{package} {installed_version(package)}" for package in PACKAGES)
    folder.write_text(
        "README.md",
        "---\n"
        + "\n".join(header)
        + f"""
---

# {folder.path.name}

A ViLT of {model.num_parameters() / 1e6:.1f}M parameters (`{type(model).__name__}`), trained by `sightline vilt {task}`.
{origin}

{USES[task].format(folder=folder.path)}

| setting | value |
| --- | --- |
{rows}

Versions: {versions}.
""",
    )
