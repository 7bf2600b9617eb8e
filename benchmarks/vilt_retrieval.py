"""ViLT retrieval against transformers: 200 pictures of mixed sizes x 200 captions, all pairs and 16 candidates each.

ViLT-B/32's 12 layers and patches of 32, a third as wide, with random weights: what a pair costs does not depend on what
was learned. The best batch is what a careful user does: each picture is prepared once and stands, repeated, beside
batches of captions, so that no picture is padded. Scores must be equal, so both prepare pictures with Pillow; resizing
by torchvision, transformers' default, differs by one level of 255 here and there.

Exact mode and peers are timed on the same 800 of the 40,000 pairs (a picture of each size, half of the captions: as in
the whole, several captions of one length meet a picture), the two-step mode on all;
peers are scaled from their subset where they are compared with it. The recall loss is that of random weights and
says nothing of a trained model: `sightline vilt evaluate MODEL DATA --candidates 16 --compare` measures yours.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arms import write_results
from PIL import Image

from sightline.evaluation.vilt.retrieval import TO_PICTURES, recalls_of
from sightline.models.vilt.heads import build_ranking
from sightline.models.vilt.matching import PairScorer
from sightline.models.vilt.start import ViltSizes, build_start

from transformers.models.vilt.image_processing_pil_vilt import ViltImageProcessorPil  # isort: skip  after the schemas

PICTURES = TEXTS = 200
CANDIDATES = 16
SUBSET_PICTURES, SUBSET_TEXTS = 8, 100  # 800 of 40,000 pairs
ROUNDS = 3
BATCHES = (5, 25)
SIZES = [(640, 480), (480, 640), (500, 375), (640, 427), (427, 640), (400, 400), (600, 400), (333, 500)]
WORDS = "a man woman dog cat red blue small large street table with on in near two three sitting standing green".split()
MODEL = ViltSizes(hidden_size=256, num_attention_heads=4, intermediate_size=1024, image_size=224)


def main() -> None:
    random = np.random.default_rng(0)
    pictures = [_picture(SIZES[index % len(SIZES)], random) for index in range(PICTURES)]
    captions = [" ".join(random.choice(WORDS, size=random.integers(6, 18))) for _ in range(TEXTS)]
    start = build_start(MODEL, captions, seed=0)
    model, processor = build_ranking(start).eval(), start.processor
    scorer = PairScorer(model, processor)
    names = [f"picture {index}" for index in range(PICTURES)]
    pairs = SUBSET_PICTURES * SUBSET_TEXTS
    some_pictures = pictures[:SUBSET_PICTURES]
    some_captions = captions[:: TEXTS // SUBSET_TEXTS]

    def ours() -> np.ndarray:
        embedded = scorer.embed_pictures(some_pictures, names[:SUBSET_PICTURES]), scorer.embed_texts(some_captions)
        return scorer.score_all(*embedded)

    def theirs(size: int) -> Callable[[], np.ndarray]:
        return lambda: _transformers(model, processor, some_pictures, some_captions, size)

    best = min(
        BATCHES,
        key=lambda size: _seconds(lambda: _transformers(model, processor, some_pictures[:4], some_captions, size)),
    )
    print(f"transformers' best batch: {best} of {BATCHES}", file=sys.stderr)
    arms = {"sightline": ours, "pair by pair": theirs(1), f"batches of {best}": theirs(best)}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    scores: dict[str, np.ndarray] = {}
    for number in range(ROUNDS):
        for name, arm in arms.items() if number % 2 else reversed(arms.items()):
            began = time.perf_counter()
            scores[name] = arm()
            seconds[name].append(time.perf_counter() - began)
            print(f"  round {number} {name}: {seconds[name][-1]:.2f} s for {pairs} pairs", file=sys.stderr)
    difference = max(float(np.abs(scores[name] - scores["sightline"]).max()) for name in arms)
    if difference > 2e-5:
        raise AssertionError(f"scores differ by {difference:.1e}")
    two_step_s, kept = _two_step(scorer, pictures, captions, names)
    scale = PICTURES * TEXTS / pairs
    results = []
    for name in list(arms)[1:]:
        ratios = [peer / own for peer, own in zip(seconds[name], seconds["sightline"], strict=True)]
        whole = statistics.median(seconds[name]) * scale
        results.append(
            {
                "benchmark": "vilt_retrieval",
                "peer": f"transformers, {name}",
                "exact_ratio": statistics.median(ratios),
                "lowest": min(ratios),
                "highest": max(ratios),
                "two_step_ratio": whole / two_step_s,
                "two_step_seconds": two_step_s,
                "peer_seconds_scaled": whole,
                "timed_pairs": pairs,
                "pairs": PICTURES * TEXTS,
                "largest_score_difference": difference,
                "pairs_of_exact_top1_kept": kept,
            }
        )
        print(
            f"vilt_retrieval: exact {results[-1]['exact_ratio']:.2f} times transformers {name} "
            f"({min(ratios):.2f} to {max(ratios):.2f}), two-step {whole / two_step_s:.1f} times "
            f"({two_step_s:.0f} s against {whole:.0f} s, scaled from {pairs} of {PICTURES * TEXTS} pairs); "
            f"largest score difference {difference:.1e}"
        )
    print(f"two-step with random weights keeps the exact first picture of {100 * kept:.0f}% of {SUBSET_TEXTS} captions")
    write_results(results, Path(__file__).parent / "results" / "vilt_retrieval.json")


def _two_step(scorer: PairScorer, pictures: list[Any], captions: list[str], names: list[str]) -> tuple[float, float]:
    """Seconds for all pictures and captions, and how often the exact first picture is among the candidates."""
    began = time.perf_counter()
    embedded, texts = scorer.embed_pictures(pictures, names), scorer.embed_texts(captions)
    wanted = scorer.shortlist(embedded, texts, CANDIDATES)
    scorer.score(embedded, texts, wanted)
    elapsed = time.perf_counter() - began
    checked = np.arange(0, len(captions), len(captions) // SUBSET_TEXTS)
    full = np.zeros_like(wanted)
    full[:, checked] = True
    exact = scorer.score(embedded, texts, full)[:, checked]
    first = exact.argmax(axis=0)
    listed = np.where(wanted[:, checked], exact, -np.inf)
    return elapsed, recalls_of(listed, first)[TO_PICTURES, 1].value


@torch.inference_mode()
def _transformers(model: Any, processor: Any, pictures: list[Any], captions: list[str], size: int) -> np.ndarray:
    """Scores by transformers' processor and model: each picture prepared once, beside `size` captions at a time."""
    settings = processor.image_processor
    images = ViltImageProcessorPil(size=dict(settings.size), size_divisor=settings.size_divisor)
    scores = []
    for picture in pictures:
        image = images(picture, return_tensors="pt")
        for start in range(0, len(captions), size):
            texts = processor.tokenizer(captions[start : start + size], padding=True, return_tensors="pt")
            repeated = {
                name: tensor.expand(len(texts["input_ids"]), *tensor.shape[1:]) for name, tensor in image.items()
            }
            scores.append(model(**texts, **repeated).logits[:, 0].numpy())
    return np.concatenate(scores).reshape(len(pictures), -1)


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _picture(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    small = random.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


if __name__ == "__main__":
    main()
