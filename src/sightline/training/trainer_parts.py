"""What TRL made of a trainer's arguments, as a record that helpers read and cannot change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sightline.models.adapters import base_model
from sightline.training.given_rows import GivenRows


@dataclass(frozen=True)
class TrainerParts:
    """A trainer as it is at one moment.

    Attributes:
        kind: its class.
        args: its settings, TRL's or ours.
        rows: those it trains and evaluates on.
        model: the policy, under PEFT's wrapper where it has adapters.
        ref_model: DPO's reference where it is a model of its own.
        processor: what prepares the model's inputs.
        accelerator: accelerate's.
        collator: makes its batches.
        prepare: brings a batch to its device.
        replaces_loss: whether a function or smoothed labels take the model's logits in place of its loss.
        balances_experts: whether the auxiliary loss of a mixture of experts is added.
    """

    kind: type[Any]
    args: Any
    rows: GivenRows
    model: Any
    ref_model: Any
    processor: Any
    accelerator: Any
    collator: Any
    prepare: Callable[[Any], Any]
    replaces_loss: bool
    balances_experts: bool

    @property
    def base(self) -> Any:
        """The transformers model of the policy, without PEFT's wrapper."""
        return base_model(self.model)

    @property
    def reference(self) -> Any:
        """What DPO asks for references; a policy that is its own has its adapters off then."""
        return self.model if self.ref_model is None else self.ref_model

    @property
    def dataset(self) -> Any:
        """The rows that train."""
        return self.rows.train.dataset

    @property
    def share(self) -> str:
        """The setting; TRL's own have none."""
        return str(getattr(self.args, "share", "auto"))
