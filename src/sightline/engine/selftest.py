"""Choose the fastest route that equals plain rows on the user's model and rows, for training and for decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightline.engine.decode import Prompts, decode
from sightline.engine.forest import Tree, build_forest, grow_trees
from sightline.engine.masks import FLEX_ATTENTION, can_flex
from sightline.engine.routes import plain_inputs, score_plain, score_sequences
from sightline.errors import ConfigError
from sightline.types import FamilyFacts, TokenSequence

SHARE_CHOICES = ("auto", "mask", "fork", "plain")
FLOAT_TOLERANCE = 1e-4  # log-probability per token, fp32; a broken mask is off by 0.1 and more
NOISE_MULTIPLE = 4.0  # of the difference that plain itself shows between two batchings of the same rows
# What `masks.py` knows of `layer_types` and GPT-Neo's `attention_layers`; other windows show in long rows alone.
KNOWN_LAYERS = frozenset(("full_attention", "sliding_attention", "global"))
FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, IndexError)  # of a model that cannot run a route


@dataclass(frozen=True)
class RouteChoice:
    """The route that a run uses, with what the self-test measured.

    Attributes:
        route: `mask`, `fork` or `plain`.
        reason: one sentence for the user.
        error: largest difference of a token's log-probability between the routes; None if nothing was compared.
        tolerance: what `error` was held against.
        attention: the attention that the decoder was switched to for the route; empty where it stayed as it was.
    """

    route: str
    reason: str
    error: float | None = None
    tolerance: float | None = None
    attention: str = ""


@dataclass(frozen=True)
class _Rows:
    """The rows of the self-test, their images on the model's device."""

    sequences: Sequence[TokenSequence]
    image_inputs: dict[str, Any]
    pad_id: int
    counts: Sequence[int]
    max_row: int | None


def choose_route(
    model: Any,
    facts: FamilyFacts | None,
    sequences: Sequence[TokenSequence],
    image_inputs: dict[str, Any],
    pad_id: int,
    share: str = "auto",
    counts: Sequence[int] = (),
    max_row: int | None = None,
) -> RouteChoice:
    """The route for `model`, tested on `sequences` (a few rows of the user's data) in rows of up to `max_row` tokens,
    with branches and rows of several trees among them.

    Where the choice names an attention, the model's decoder runs it from now on.

    Raises:
        ConfigError: `share` is unknown, or names a route that is not right for this model.
    """
    if share not in SHARE_CHOICES:
        raise ConfigError(f"share: expected one of {', '.join(SHARE_CHOICES)}; got '{share}'.")
    obstacle = "share is set to plain" if share == "plain" else _obstacle(model, facts, share, image_inputs)
    if obstacle is None and facts is not None:
        device = model.get_input_embeddings().weight.device
        moved = {name: value.to(device) for name, value in image_inputs.items()}
        tested = forked(sequences, facts.both_ways)
        max_row = max_row or row_tokens(tested, facts.both_ways)
        choice = _first_match(model, facts, _Rows(tested, moved, pad_id, counts, max_row), share)
    else:
        choice = RouteChoice("plain", obstacle or "")
    if share != "auto" and choice.route != share:
        raise ConfigError(
            f"share is set to {share}, but the {share} route is not right here: {choice.reason}. "
            "Set share to auto or plain."
        )
    return possible(choice, facts)


def possible(choice: RouteChoice, facts: FamilyFacts | None) -> RouteChoice:
    """The choice, if the family can train on its route.

    Raises:
        ConfigError: it cannot.
    """
    if facts is not None and choice.route not in facts.routes:
        raise ConfigError(
            f"{facts.name} trains on the route {facts.routes[0]} only ({facts.note}), but {choice.reason}. Change "
            f"that, or take another model."
        )
    return choice


def use_attention(model: Any, attention: str) -> None:
    """Lets the model's decoder run `attention` from now on; nothing changes where it is empty."""
    if attention:
        model.get_decoder().set_attn_implementation(attention)


def _obstacle(model: Any, facts: FamilyFacts | None, share: str, image_inputs: Iterable[str]) -> str | None:
    """Why sharing is out of the question before any comparison, or None."""
    if facts is None:
        return f"the family {model.config.model_type} is not in Sightline's table of model families"
    given = sorted(set(image_inputs) - facts.known_inputs)
    if given:
        return f"the processor gives {', '.join(given)}, which the facts of {facts.name} do not know"
    if not any(route != "plain" and share in ("auto", route) for route in facts.routes):
        return f"the family {facts.name} runs by {' or '.join(facts.routes)} alone"
    text = model.config.get_text_config()
    layers = {*(getattr(text, "layer_types", None) or ()), *(getattr(text, "attention_layers", None) or ())}
    unknown = sorted(layers - KNOWN_LAYERS)
    if unknown and "mask" in facts.routes and "fork" not in facts.routes:
        return f"the decoder has layers of the type {', '.join(unknown)}, whose masks are not known"
    attention = str(text._attn_implementation)
    if "flash" in attention:
        return f"attn_implementation {attention} takes no 4-D mask; sdpa or eager do"
    norms = [
        name for name, module in model.named_modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
    ]
    if norms:
        return f"{norms[0]} normalises over the batch, so an image's features depend on how often it is repeated"
    return None


def _first_match(model: Any, facts: FamilyFacts, rows: _Rows, share: str) -> RouteChoice:
    """The fastest route that matches plain rows, its reason telling what was passed over; else plain."""
    was_training = model.training
    model.eval()
    reasons: list[str] = []
    choice = RouteChoice("plain", "")
    try:
        plain, tolerance = _plain_scores(model, facts, rows)
        for route, attention in _candidates(model, facts, share):
            choice = _compare(model, facts, rows, (route, attention), plain, tolerance)
            reasons.append(choice.reason)
            if choice.route != "plain":
                break
    except FAILURES as failure:
        reasons.append(f"plain rows failed in the self-test: {type(failure).__name__}: {failure}")
    finally:
        model.train(was_training)
    return replace(choice, reason="; ".join(reasons))


def _candidates(model: Any, facts: FamilyFacts, share: str) -> Iterator[tuple[str, str]]:
    """Routes to try, the fastest first, each with the attention to switch to."""
    for route in facts.routes:
        if route == "plain" or share not in ("auto", route):
            continue
        if route == "mask" and can_flex(model):
            yield route, FLEX_ATTENTION
        yield route, ""


def _compare(
    model: Any, facts: FamilyFacts, rows: _Rows, candidate: tuple[str, str], plain: list[Tensor], tolerance: float
) -> RouteChoice:
    """The candidate if it matches plain rows, else plain; an attention that fails is switched back."""
    route, attention = candidate
    before = str(model.config.get_text_config()._attn_implementation)
    what = f"the {route} route with {attention}" if attention else f"the {route} route"
    try:
        use_attention(model, attention)
        error = _largest_difference(_shared_scores(model, facts, rows, route, backward=bool(attention)), plain)
    except FAILURES as failure:
        use_attention(model, before if attention else "")
        return RouteChoice("plain", f"{what} failed on this model: {type(failure).__name__}: {failure}")
    measured = f"largest log-probability difference {error:.1e}, tolerance {tolerance:.1e}"
    if error <= tolerance:
        return RouteChoice(route, f"{what} matches plain rows ({measured})", error, tolerance, attention)
    use_attention(model, before if attention else "")
    return RouteChoice("plain", f"{what} does not match plain rows ({measured})", error, tolerance)


def _shared_scores(model: Any, facts: FamilyFacts, rows: _Rows, route: str, backward: bool) -> list[Tensor]:
    """Scores through the forest; with `backward` also a backward pass, which some attention kernels lack."""
    device = model.get_input_embeddings().weight.device
    forest = build_forest(rows.sequences, rows.pad_id, max_row=rows.max_row, both_ways=facts.both_ways).to(device)
    with torch.set_grad_enabled(backward):
        scores = score_sequences(model, facts, forest, rows.image_inputs, route)
        total = torch.cat(scores).sum()
        if total.requires_grad:
            trained = next(parameter for parameter in model.parameters() if parameter.requires_grad)
            torch.autograd.grad(total, [trained], allow_unused=True)
    return [score.detach() for score in scores]


@torch.no_grad()
def _plain_scores(model: Any, facts: FamilyFacts, rows: _Rows) -> tuple[list[Tensor], float]:
    """Scores of plain rows, and what another route may differ by: plain rows differ, too, batched and alone, or with
    embeddings that are rounded otherwise. Without the latter no other order of sums would pass in bf16 on a CPU, where
    batched rows often equal those alone to the bit."""
    device = model.get_input_embeddings().weight.device

    def score_rows(batches: Sequence[Sequence[TokenSequence]]) -> list[Tensor]:
        scores: list[Tensor] = []
        for batch in batches:
            inputs = plain_inputs(batch, rows.image_inputs, rows.pad_id, rows.counts, facts)
            scores += score_plain(model, {name: value.to(device) for name, value in inputs.items()})
        return scores

    plain, alone = score_rows([rows.sequences]), score_rows([[sequence] for sequence in rows.sequences])
    handle = model.get_input_embeddings().register_forward_hook(_rounded_otherwise)
    try:
        rounded = score_rows([rows.sequences])
    finally:
        handle.remove()
    noise = NOISE_MULTIPLE * _largest_difference(plain, alone)
    return plain, max(FLOAT_TOLERANCE, noise, _largest_difference(plain, rounded))


def _rounded_otherwise(module: torch.nn.Module, inputs: Any, embeddings: Tensor) -> Tensor:
    """Embeddings whose last binary digit goes up or down by chance."""
    sign = torch.randint(0, 2, embeddings.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return embeddings * (1 + torch.finfo(embeddings.dtype).eps * sign.to(embeddings))


def _largest_difference(left: list[Tensor], right: list[Tensor]) -> float:
    pairs = [(a, b) for a, b in zip(left, right, strict=True) if len(a)]  # an answer may be empty
    return max((float((a - b).abs().max()) for a, b in pairs), default=0.0)


SHARED_END, NEW_END = 2, 3  # tokens that a row loses, and those that its fork has instead
LAST_WORDS = 12  # of a row, where no words stand but its text's


def forked(sequences: Sequence[TokenSequence], both_ways: str) -> Sequence[TokenSequence]:
    """The sequences; where none part within a tree, one of them once more, with another end.

    A model whose layers keep a state, or shift tokens, reads rows that do not part rightly in one pass, and others
    not: what follows one branch would see the other.
    """
    if any(_parts_inside(tree) for tree in grow_trees(sequences, range(len(sequences)), both_ways)):
        return sequences
    for sequence in sorted(sequences, key=lambda one: (not one.scored_L[-SHARED_END:].all(), len(one.ids_L))):
        fork = _fork(sequence, sequences)
        if fork is not None:
            return [*sequences, fork]
    return sequences


def row_tokens(sequences: Sequence[TokenSequence], both_ways: str) -> int | None:
    """How many tokens let two trees share a row; None where there is one tree, or the longest leaves room for two."""
    lengths = sorted(len(tree) for tree in grow_trees(sequences, range(len(sequences)), both_ways))
    if len(lengths) < 2 or sum(lengths[:2]) <= lengths[-1] and len(lengths) > 2:
        return None
    return lengths[0] + lengths[-1]


def _parts_inside(tree: Tree) -> bool:
    """Whether a branch of at least two tokens stands behind another one: one of its tokens is predicted inside it."""
    jumps = [np.flatnonzero(np.diff(path) != 1) for path in tree.paths]
    return any(len(jump) and jump[-1] + 2 < len(path) for jump, path in zip(jumps, tree.paths, strict=True))


def _fork(sequence: TokenSequence, others: Sequence[TokenSequence]) -> TokenSequence | None:
    """The sequence with another end, of words of all rows; None where it does not end in text."""
    kept = len(sequence.ids_L) - SHARED_END
    if kept < 2 or not _is_text_L(sequence)[-SHARED_END:].all():
        return None
    ends = [one.ids_L[-LAST_WORDS:][_is_text_L(one)[-LAST_WORDS:]] for one in (sequence, *others)]
    words = [int(word) for word in dict.fromkeys(np.concatenate(ends).tolist()) if word != sequence.ids_L[kept]]
    if not words:
        return None
    end = np.resize(words, NEW_END).astype(sequence.ids_L.dtype)
    image_L = sequence.image_L
    return replace(
        sequence,
        ids_L=np.concatenate([sequence.ids_L[:kept], end]),
        feature_L=np.concatenate([sequence.feature_L[:kept], np.full(NEW_END, -1, sequence.feature_L.dtype)]),
        scored_L=np.concatenate([sequence.scored_L[:kept], np.ones(NEW_END, dtype=bool)]),
        image_L=None if image_L is None else np.concatenate([image_L[:kept], np.zeros(NEW_END, dtype=bool)]),
    )


def _is_text_L(sequence: TokenSequence) -> np.ndarray:
    return (sequence.feature_L < 0) & ~sequence.both_ways_L("")


# Dims: N prompts, T decoded tokens, V vocabulary.


TOKENS = 3  # the first comes from reading, the others from decoding

PlainLogits = Callable[[int, list[int], bool], Tensor]


def choose_decoding(
    model: Any, facts: FamilyFacts | None, read: Callable[[], Prompts], plain: PlainLogits
) -> RouteChoice:
    """`mask` where log-probabilities of the first tokens after the prompts match, else `plain`.

    Args:
        read: the prompts to test on; called only where nothing else speaks against the mask route.
        plain: from the number of a prompt and the tokens decoded after it the logits (T, V) that the model's own
            forward has for these tokens; with padding behind them if the third argument says so, which changes
            nothing but rounding.
    """
    obstacle = _decode_obstacle(model, facts)
    if obstacle is not None or facts is None:
        return RouteChoice("plain", obstacle or "")
    try:
        error, noise = _errors(model, facts, read(), plain)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError) as failure:
        return RouteChoice("plain", f"decoding on a forest failed on this model: {type(failure).__name__}: {failure}")
    tolerance = max(FLOAT_TOLERANCE, NOISE_MULTIPLE * noise)
    measured = f"largest log-probability difference {error:.1e}, tolerance {tolerance:.1e}"
    if error <= tolerance:
        reason = f"decoding on a forest matches the model's own forward ({measured})"
        return RouteChoice("mask", reason, error, tolerance)
    reason = f"decoding on a forest does not match the model's own forward ({measured})"
    return RouteChoice("plain", reason, error, tolerance)


def _decode_obstacle(model: Any, facts: FamilyFacts | None) -> str | None:
    """Why decoding on a forest is out of the question before any comparison, or None."""
    if facts is None:
        return f"the family {model.config.model_type} is not in Sightline's table of model families"
    if "mask" not in facts.routes:
        return f"a mask cannot separate the branches of {facts.name}"
    attention = str(model.config.get_text_config()._attn_implementation)
    dense = not attention.startswith(("flash", "flex"))
    return None if dense else f"attn_implementation {attention} takes no 4-D mask; sdpa or eager do"


@torch.inference_mode()
def _errors(model: Any, facts: FamilyFacts, prompts: Prompts, plain: PlainLogits) -> tuple[float, float]:
    """Largest difference of a log-probability between forest and plain, and between plain with and without padding."""
    forest = prompts.forest
    count = len(forest.path_NL)
    # Which tokens follow does not matter. A prompt's last one is text; what an untrained model says may be images.
    end_N = forest.path_NL.gather(1, (forest.path_NL >= 0).sum(1, keepdim=True) - 1).squeeze(1)
    last_N = forest.ids_RL.flatten()[end_N]
    seen: list[list[Tensor]] = [[] for _ in range(count)]

    def choose(active_A: Tensor, logits_AV: Tensor) -> Tensor:
        for number, logits_V in zip(active_A.tolist(), logits_AV, strict=True):
            seen[number].append(logits_V)
        return last_N[active_A]

    grown = decode(model, facts, prompts, choose, (), [TOKENS] * count)
    error = noise = 0.0
    for number, tokens in enumerate(grown):
        alone_TV = plain(number, tokens, False).float().log_softmax(-1)
        padded_TV = plain(number, tokens, True).float().log_softmax(-1)
        error = max(error, float((torch.stack(seen[number]).log_softmax(-1) - alone_TV).abs().max()))
        noise = max(noise, float((padded_TV - alone_TV).abs().max()))
    return error, noise
