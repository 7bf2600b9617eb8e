"""Give a model embeddings for tokens that its processor adds: rows behind the stored ones, which are never chosen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.core_model_loading import ConversionOps, WeightConverter

MULTIPLE = 64  # embeddings of converted checkpoints are padded to it (llava-hf), which suits matrix products


def padded_rows(vocabulary: int, token_id: int) -> int:
    """Rows of embeddings with one for `token_id`: as many as there are, or the next multiple of 64."""
    return vocabulary if token_id < vocabulary else -(-(token_id + 1) // MULTIPLE) * MULTIPLE


class PadRows(ConversionOps):
    """Append rows (V, H) up to the model's vocabulary. Each is the mean of all others: as an output it has the mean of
    all logits, which the largest is never below, so that greedy decoding never chooses it."""

    @torch.no_grad()
    def convert(
        self,
        input_dict: dict[str, Any],
        source_patterns: list[str],
        target_patterns: list[str],
        config: Any = None,
        **others: Any,
    ) -> dict[str, Tensor]:
        stored = next(iter(input_dict.values()))
        rows_VH = stored[0] if isinstance(stored, list) else stored
        missing = config.get_text_config().vocab_size - len(rows_VH)
        if missing > 0:
            mean_H = rows_VH.float().mean(0, keepdim=True).to(rows_VH.dtype)
            rows_VH = torch.cat([rows_VH, mean_H.expand(missing, -1)])
        return {target_patterns[0]: rows_VH}


def padding_of(stored: str, own: str) -> WeightConverter:
    """The conversion of one table of embeddings, `stored` there and `own` in the class."""
    return WeightConverter(source_patterns=stored, target_patterns=own, operations=[PadRows()])
