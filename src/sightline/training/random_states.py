"""Save and restore all random generators that a training step uses."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class RandomStates:
    """States of Python's, NumPy's and torch's generators, those of all CUDA devices among them."""

    python: Any
    numpy: Any
    cpu: torch.Tensor
    cuda: tuple[torch.Tensor, ...]

    def put_back(self) -> None:
        """Lets the generators go on from here."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)


def random_states() -> RandomStates:
    """The states of now."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else ()
    return RandomStates(random.getstate(), np.random.get_state(), torch.get_rng_state(), tuple(cuda))
