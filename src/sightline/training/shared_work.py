"""Count what a trainer's steps shared: tokens and images read once for several sequences."""

# Dims: R rows, L tokens, N sequences.
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sightline.logbook.story import Shared


class SharedWork:
    """Counts batches as they are trained, without waiting for the device until somebody asks."""

    def __init__(self) -> None:
        self._tokens: Tensor | None = None  # alone and read, on the device of the batches
        self._pictures = [0, 0]

    def count(self, inputs: dict[str, Any]) -> None:
        """One batch more; plain rows share nothing and count nothing."""
        forest = inputs.get("forest")
        if forest is None:
            return
        places_L = torch.arange(1, forest.reach_RL.shape[1] + 1, device=forest.reach_RL.device)
        is_token_RL = (forest.depth_RL > 0) | (forest.reach_RL > places_L)  # a pad reaches only itself
        tokens = torch.stack([(forest.path_NL >= 0).sum(), is_token_RL.sum()])
        self._tokens = tokens if self._tokens is None else self._tokens + tokens
        self._pictures[0] += len(forest.shown_I)
        self._pictures[1] += len(inputs.get("image_spans", ()))

    def so_far(self, features_stored: int = 0) -> Shared | None:
        """What was shared; None where no batch was a forest."""
        if self._tokens is None:
            return None
        alone, read = self._tokens.tolist()
        return Shared(alone, read, self._pictures[0], self._pictures[1], features_stored)
