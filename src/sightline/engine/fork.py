"""Run a forest on a recurrent decoder: each trunk once, then its branches from copies of its states."""

# Dims: R rows, L tokens of a row, N sequences, G trunks of one length T, B branches, Q tokens of the longest branch,
# K tokens that a pass may look at, F feature rows, H hidden, E edges.
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import transformers
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from sightline.engine.features import placed
from sightline.engine.forest import Forest
from sightline.errors import ConfigError
from sightline.types import FamilyFacts

if TYPE_CHECKING:
    from transformers.modeling_layers import GradientCheckpointingLayer

# What a decoder calls the cache it is given; 5.24 takes the old name with a warning until 5.40.
CACHE = "cache" if tuple(map(int, transformers.__version__.split(".")[:2])) >= (5, 24) else "past_key_values"
MIN_BRANCH = 2  # below it layers run the kernels of decoding, which are not made for training: fla's raise in backward


class Stage(NamedTuple):
    """Trunks of one length, and the branches that go on from them; flat indices of a forest's tokens.

    Attributes:
        trunk_GT: the trunks; of length 0 where sequences share nothing.
        branch_BQ: what follows, -1 behind a branch's last token.
        owner_B: which trunk each branch goes on from.
    """

    trunk_GT: Tensor
    branch_BQ: Tensor
    owner_B: Tensor


class BranchStates:
    """The cache that a decoder's layers ask: before a trunk empty, before branches with a copy for each.

    Nothing is written in place, and what a layer left is kept once. So gradients reach the trunk, and a layer that
    gradient checkpointing runs a second time finds what it found the first time.
    """

    def __init__(self, past: dict[tuple[str, int], Tensor] | None = None, owner_B: Tensor | None = None) -> None:
        self.layers: set[int] = set()  # that asked
        self._past = past or {}
        self._owner_B = owner_B
        self._left: dict[tuple[str, int], Tensor] | None = {} if past is None else None
        self._has_graph = torch.is_grad_enabled()

    def hand_over(self) -> dict[tuple[str, int], Tensor]:
        """What the layers left behind the trunk. Nothing stays here, where the graph would hold on to itself."""
        left, self._left = self._left, None
        return left or {}

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Keys and values of the trunk and of these tokens; layers of transformers 5.24 also hand over `kwargs`."""
        whole_key = self._continued("key", layer_idx, key, dim=-2)
        whole_value = self._continued("value", layer_idx, value, dim=-2)
        self._leave("key", layer_idx, whole_key)
        self._leave("value", layer_idx, whole_value)
        return whole_key, whole_value

    def get_conv_state(self, layer_idx: int, state_idx: int = 0) -> Tensor | None:
        """The last inputs of a convolution in the trunk."""
        return self._read(f"conv{state_idx}", layer_idx)

    def update_conv_state(self, inputs: Tensor, layer_idx: int, state_idx: int = 0, *, conv_kernel_size: int) -> Tensor:
        """A convolution's inputs, behind the last ones of the trunk."""
        whole = self._continued(f"conv{state_idx}", layer_idx, inputs, dim=-1)
        missing = max(conv_kernel_size - whole.shape[-1], 0)
        last = pad(whole, (missing, 0))[..., -conv_kernel_size:]
        self._leave(f"conv{state_idx}", layer_idx, last)
        return whole

    def get_recurrent_state(self, layer_idx: int, state_idx: int = 0) -> Tensor | None:
        """The recurrent state at the end of the trunk."""
        return self._read(f"recurrent{state_idx}", layer_idx)

    def update_recurrent_state(self, state: Tensor, layer_idx: int, state_idx: int = 0) -> Tensor:
        """The recurrent state behind these tokens."""
        self._leave(f"recurrent{state_idx}", layer_idx, state)
        return state

    def is_recording_past(self, layer_idx: int) -> bool:
        """Always: it keeps layers from writing into a state."""
        return True

    def _read(self, name: str, layer: int) -> Tensor | None:
        self.layers.add(layer)
        state = self._past.get((name, layer))
        return None if state is None or self._owner_B is None else state.index_select(0, self._owner_B)

    def _continued(self, name: str, layer: int, new: Tensor, dim: int) -> Tensor:
        past = self._read(name, layer)
        return new if past is None else torch.cat([past, new], dim)

    def _leave(self, name: str, layer: int, state: Tensor) -> None:
        if self._left is None:
            return
        if self._has_graph and not torch.is_grad_enabled():
            raise ConfigError(
                "The fork route needs gradient checkpointing that keeps the graph between trunk and branches, but "
                "got use_reentrant true. Set gradient_checkpointing_kwargs to {use_reentrant: false}, or share to "
                "plain."
            )
        self._left[name, layer] = state


def fork_hidden(
    model: Any, facts: FamilyFacts, forest: Forest, features_FH: Tensor | None, positions: Tensor
) -> Tensor:
    """Hidden states at the parents of the forest's edges, (E, H).

    A trunk is what all sequences of a tree share; what only some of them share is computed in each. Branches are padded
    behind their last token, where no token looks. Trunks are never padded, for pads would enter their states: those of
    equal length pass together. `positions` are position ids, (R, L) or (3, R, L).

    Raises:
        ConfigError: a layer did not take the trunk's states, or gradients would not reach the trunk.
    """
    decoder = _Decoder(model, facts, forest, features_FH, positions)
    hidden: list[Tensor] = []
    places: list[Tensor] = []
    for stage in stages(forest.path_NL):
        past = None
        if stage.trunk_GT.shape[1]:
            states = BranchStates()
            hidden.append(decoder.run(stage.trunk_GT, states, 0))
            places.append(stage.trunk_GT.flatten())
            past = states.hand_over()
        if stage.branch_BQ.numel():
            branch_states = BranchStates(past, stage.owner_B) if past is not None else None
            hidden.append(decoder.run(stage.branch_BQ, branch_states, stage.trunk_GT.shape[1]))
            places.append(stage.branch_BQ[stage.branch_BQ >= 0])
    # Stages ran in an order of their own; edges name tokens by their place in the forest.
    place_T = forest.ids_RL.new_zeros(forest.ids_RL.numel())
    flat = torch.cat(places)
    place_T[flat] = torch.arange(len(flat), device=flat.device)
    return torch.cat(hidden)[place_T[forest.parent_E]]


def stages(path_NL: Tensor) -> list[Stage]:
    """The passes that a forest takes, from the paths of its sequences; one stage per length of trunk."""
    rows = path_NL.cpu()
    trees_of: dict[int, list[Tensor]] = {}
    for root in rows[:, 0].unique():
        tree = rows[rows[:, 0] == root].unique(dim=0)  # sequences of one tree have one root; equal ones pass once
        # A sequence alone has no trunk: as one branch it passes once, and its states need not be copied.
        shared = int(((tree == tree[0]) & (tree[0] >= 0)).all(dim=0).sum()) if len(tree) > 1 else 0
        trees_of.setdefault(shared, []).append(tree)
    found = []
    for length, trees in trees_of.items():
        branches = [(row[length:], owner) for owner, tree in enumerate(trees) for row in tree]
        tails = [(tail[tail >= 0], owner) for tail, owner in branches if (tail >= 0).any()]
        branch_BQ = rows.new_empty(0, 0)
        if tails:
            branch_BQ = pad_sequence([tail for tail, _ in tails], batch_first=True, padding_value=-1)
            branch_BQ = pad(branch_BQ, (0, max(MIN_BRANCH - branch_BQ.shape[1], 0)), value=-1)
        owner_B = torch.tensor([owner for _, owner in tails], dtype=torch.long)
        trunk_GT = torch.stack([tree[0, :length] for tree in trees])
        found.append(Stage(*(part.to(path_NL.device) for part in (trunk_GT, branch_BQ, owner_B))))
    return found


class _Decoder:
    """Runs a model's backbone on chosen tokens of a forest."""

    def __init__(
        self, model: Any, facts: FamilyFacts, forest: Forest, features_FH: Tensor | None, positions: Tensor
    ) -> None:
        self._model = model
        self._facts = facts
        self._config = model.config.get_text_config()
        self._features_FH = features_FH
        self._positions = positions.flatten(-2)
        self._ids_T = forest.ids_RL.flatten()
        shown_T = forest.block_RL.flatten() >= 0
        self._feature_T = torch.full_like(self._ids_T, -1)
        self._feature_T[shown_T] = forest.feature_P
        self._filler = self._ids_T[~shown_T][0]  # no placeholder, so that it asks for no feature
        # Imported here, because it loads what needs torchvision's operators, which are declared when a model is loaded.
        from transformers.modeling_layers import GradientCheckpointingLayer

        decoder = model.get_decoder()
        self._layers = [layer for layer in decoder.modules() if isinstance(layer, GradientCheckpointingLayer)]

    def run(self, token_BQ: Tensor, states: BranchStates | None, past_length: int) -> Tensor:
        """Hidden states of the tokens that are there (flat index 0 or more), one after another."""
        is_pad_BQ, index_BQ = token_BQ < 0, token_BQ.clamp(min=0)
        feature_BQ = self._feature_T[index_BQ].masked_fill(is_pad_BQ, -1)
        images = {}
        if self._features_FH is not None and (feature_BQ >= 0).any():
            images = placed(self._facts, self._features_FH, feature_BQ[feature_BQ >= 0], self._config.hidden_size)
        with _keeping_states(self._layers):
            hidden_BQH = self._model.base_model(
                input_ids=self._ids_T[index_BQ].masked_fill(is_pad_BQ, self._filler),
                position_ids=self._positions[..., index_BQ],
                attention_mask=self._masks(token_BQ.shape[1], past_length),
                use_cache=False,
                **{CACHE: states},
                **images,
            ).last_hidden_state
        if states is not None and len(states.layers) < self._config.num_hidden_layers:
            raise ConfigError(
                f"The fork route needs every layer of the decoder to take the trunk's states, but only "
                f"{len(states.layers)} of {self._config.num_hidden_layers} did. Set gradient_checkpointing to false, "
                "or share to plain."
            )
        return hidden_BQH[~is_pad_BQ]

    def _masks(self, length: int, past_length: int) -> dict[str, Tensor | None]:
        """Additive causal mask behind the trunk for attention, (1, 1, Q, K); recurrent layers need none."""
        embeddings = self._model.get_input_embeddings().weight
        index_K = torch.arange(past_length + length, device=embeddings.device)
        later_QK = index_K > index_K[past_length:, None]
        mask_QK = torch.zeros(later_QK.shape, dtype=embeddings.dtype, device=embeddings.device)
        mask = mask_QK.masked_fill_(later_QK, torch.finfo(embeddings.dtype).min)[None, None]
        return {kind: mask if kind == "full_attention" else None for kind in self._config.layer_types}


@contextmanager
def _keeping_states(layers: list[GradientCheckpointingLayer]) -> Iterator[None]:
    """Lets checkpointed layers keep their cache, which transformers 5.23 takes from layers without this flag."""
    for layer in layers:
        layer._can_checkpoint_with_cache = True
    try:
        yield
    finally:
        for layer in layers:
            del layer._can_checkpoint_with_cache
