"""Answer questions with a local model; questions about one image share one reading of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sightline.data.encoding.processors import expand_images, process_images
from sightline.data.encoding.prompts import Prompt, check_template, ids_around, option_ids, render_prompt
from sightline.engine.decode import NextTokens, Prompts, decode
from sightline.engine.features import KeptFeatures, PictureTable, Shown, shown_pictures
from sightline.engine.forest import build_forest
from sightline.engine.routes import longest_shared, own_rule, score_forest
from sightline.engine.selftest import RouteChoice, choose_decoding
from sightline.errors import ConfigError
from sightline.models.families import family_of
from sightline.models.generate import (
    decoded_answers,
    generate_answers,
    greedy_rules,
    picture_tokens,
    plain_logits,
    plain_option_scores,
    processor_ids,
)
from sightline.models.load import LoadedVlm
from sightline.types import Answer, OptionScore, Question, Sampling, TokenSequence

BATCH_TOKENS = {"cpu": 4096, "cuda": 16384}
FEWEST_TOKENS = 64


@dataclass(frozen=True)
class _Asked:
    """A question and its place among those asked.

    Attributes:
        tokens: of its text and its answer or options, without its pictures.
    """

    place: int
    question: Question
    prompt: Prompt
    shown: tuple[Shown, ...]
    tokens: int

    @property
    def pictures(self) -> tuple[str, ...]:
        """Keys of the pictures in reading order."""
        return tuple(shown.key for shown in self.shown)


class LocalAnswerer:
    """An `Answerer` over a loaded model. What it answers to a question depends neither on the batch nor on its size.

    Prompts about the same pictures form a tree: it is read once, with its pictures encoded once, and every answer
    grows on a branch of its own. Where a model cannot do that exactly, which its first questions show, every prompt is
    read in a row of its own; `say` tells why.

    Args:
        batch_tokens: tokens of prompts and answers that one batch holds; by default 4096 on a CPU, 16384 on a GPU. It
            is halved when memory runs out.
        share: whether to share at all.
        arguments: of the chat template, besides the messages.
    """

    def __init__(
        self,
        loaded: LoadedVlm,
        batch_tokens: int | None = None,
        share: bool = True,
        say: Callable[[str], None] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        check_template(loaded.processor, loaded.name)
        self.name = loaded.name
        self.loaded = loaded
        self.arguments = arguments
        self.facts = family_of(loaded.model)
        self.rules = greedy_rules(loaded.model)
        default = BATCH_TOKENS.get(loaded.model.device.type, BATCH_TOKENS["cuda"])
        self.batch_tokens = default if batch_tokens is None else batch_tokens
        if self.batch_tokens < FEWEST_TOKENS:
            raise ConfigError(f"batch_tokens: expected at least {FEWEST_TOKENS}, got {batch_tokens}.")
        self.route = None if share else RouteChoice("plain", "sharing is off")
        self._say = say or (lambda text: print(text, file=sys.stderr))
        self._picture_tokens = 0
        self._differing: list[_Asked] = []
        self._features = KeptFeatures(loaded.inner, self.facts, loaded.processor) if self.facts else None

    def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
        """One answer per question, in order; the longest common start of those known is yielded after each batch.

        Questions about one picture are answered together when they are among the same `questions`.
        """
        self.rules, self._rule = greedy_rules(self.loaded.model), own_rule(self.loaded.inner)
        try:
            with evaluating(self.loaded.model):
                yield from self._answers(questions)
        finally:  # whoever stops asking in the middle may change the model before the next question
            if self._features is not None:
                self._features.keep_only(())

    def _answers(self, questions: Sequence[Question]) -> Iterator[Answer]:
        known: dict[int, Answer] = {}  # answers by place that wait for one before them
        due = 0  # the place whose answer is yielded next
        asked = self._render(questions, known)
        self._differing = _differing(asked)
        for batch in self._batches(asked):
            known |= self._attempt(batch)
            while due in known:
                yield known.pop(due)
                due += 1
        while due in known:
            yield known.pop(due)
            due += 1

    def _render(self, questions: Sequence[Question], known: dict[int, Answer]) -> list[_Asked]:
        """The questions that can be put into the model's words; the others are `known` to have an error."""
        asked = []
        for place, question in enumerate(questions):
            try:
                prompt = render_prompt(self.loaded.processor, question, self.arguments)
                shown = shown_pictures(self.loaded.processor, prompt.pictures)
                behind = sum(len(option_ids(self.loaded.processor, option)) for option in question.options)
                tokens = len(prompt.ids_L) + (behind or question.max_new_tokens)
                asked.append(_Asked(place, question, prompt, shown, tokens))
            except Exception as error:  # a template may raise anything for a text it does not take
                known[place] = _failed(error)
        return asked

    def _batches(self, asked: list[_Asked]) -> Iterator[list[_Asked]]:
        """Questions about the same pictures stand together, and a batch ends where the token budget is full.

        How many tokens a picture takes is learned from those seen before, so the first pictures go alone.
        """
        groups: dict[tuple[str, ...], list[_Asked]] = {}
        for one in asked:
            groups.setdefault(one.pictures, []).append(one)
        batch: list[_Asked] = []
        tokens = 0
        for one in (one for group in groups.values() for one in group):
            # A question about the picture of the one before it adds its words alone: the picture's tokens are there.
            is_read = self._shares and bool(batch) and batch[-1].pictures == one.pictures
            image_tokens = self._picture_tokens * len(one.pictures)
            added = one.tokens + (0 if is_read else image_tokens)
            is_full = tokens + added > self.batch_tokens
            is_unmeasured = bool(one.pictures) and not is_read and not self._picture_tokens
            other_method = bool(batch) and bool(batch[0].question.options) != bool(one.question.options)
            if batch and (is_full or is_unmeasured or other_method):
                yield batch  # which measures `_picture_tokens` when it is run, before this goes on
                batch, tokens, added = [], 0, one.tokens + self._picture_tokens * len(one.pictures)
            batch.append(one)
            tokens += added
        if batch:
            yield batch

    @property
    def _shares(self) -> bool:
        return self.route is None or self.route.route == "mask"

    def _attempt(self, batch: list[_Asked]) -> dict[int, Answer]:
        """Answers by place. A batch that fails is halved until the question that cannot be answered stands alone."""
        try:
            return self._run(batch)
        except Exception as error:  # whatever a picture, a processor or a model raises is an error of its question
            failure = _failed(error)
            full = _is_out_of_memory(error)
        if full:
            self._shrink(batch)
        if len(batch) == 1:
            return {batch[0].place: failure}
        middle = len(batch) // 2
        return self._attempt(batch[:middle]) | self._attempt(batch[middle:])

    def _shrink(self, batch: list[_Asked]) -> None:
        """Halve the budget after memory ran out."""
        if self.loaded.model.device.type == "cuda":
            torch.cuda.empty_cache()
        self.batch_tokens = max(FEWEST_TOKENS, self.batch_tokens // 2)
        self._say(
            f"Out of memory with {len(batch)} questions in a batch: going on with --batch_tokens {self.batch_tokens}."
        )

    def _run(self, batch: list[_Asked]) -> dict[int, Answer]:
        if self.route is None:
            self.route = self._choose_route(batch)
            self._say(f"One look per image: {'on' if self._shares else 'off'}, {self.route.reason}.")
        if not self._shares and not self._picture_tokens:
            self._picture_tokens = picture_tokens(self.loaded, batch[0].prompt)
        alone = [one for one in batch if not self._shares or self._is_too_long(one)]
        places = {one.place for one in alone}
        return self._run_plain(alone) | self._run_shared([one for one in batch if one.place not in places])

    def _run_shared(self, batch: list[_Asked]) -> dict[int, Answer]:
        if not batch:
            return {}
        answers = self._score_shared(batch) if batch[0].question.options else self._generate_shared(batch)
        return {one.place: answer for one, answer in zip(batch, answers, strict=True)}

    def _run_plain(self, batch: list[_Asked]) -> dict[int, Answer]:
        if not batch or not batch[0].question.options:
            return self._generate_plain(batch)
        return {
            one.place: Answer(options=plain_option_scores(self.loaded, one.prompt, one.question.options))
            for one in batch
        }

    def _is_too_long(self, one: _Asked) -> bool:
        """Whether the model reads a prompt of this length otherwise than shorter ones, so that none is shared."""
        assert self.facts is not None
        limit = longest_shared(self.loaded.inner, self.facts)
        if limit is None:
            return False
        if one.shown and not self._picture_tokens:
            self._table([one])
        behind = one.tokens - len(one.prompt.ids_L) if one.question.options else 0
        return len(one.prompt.ids_L) + behind + self._picture_tokens * len(one.shown) > limit

    def _choose_route(self, batch: list[_Asked]) -> RouteChoice:
        """The route that the first questions, two about one picture where there are, show to be right."""
        if self.rules.others:
            return RouteChoice("plain", f"the model's generation settings have {', '.join(self.rules.others)}")
        other = self._other_tokens() if self.facts is not None else ""
        if other:
            return RouteChoice("plain", other)
        tested = batch[:2]  # of one picture where there are two, so that a mask that fails shows in the second
        for one in tested:  # what the processor refuses is an error of its question, and says nothing of the model
            processor_ids(self.loaded, one.prompt)
        return choose_decoding(
            self.loaded.inner,
            self.facts,
            lambda: self._prompts([self._sequence(one, self._table(tested)) for one in tested], self._table(tested)),
            lambda number, ids, padded: plain_logits(self.loaded, tested[number].prompt, ids, padded),
        )

    def _other_tokens(self) -> str:
        """Which question's tokens are not those that the processor makes; empty where all that were looked at are."""
        processor = self.loaded.processor
        for one in self._differing:
            try:
                images = [shown.picture.open() for shown in one.shown]
                table = process_images(processor, images, [shown.beside for shown in one.shown])
                ids_L = ids_around(processor, one.prompt, [expansion.around for expansion in table.expansions])
                scored_L, shown = np.zeros(len(ids_L), dtype=bool), tuple(range(len(images)))
                ours = expand_images(processor, ids_L, scored_L, shown, table, self.name)
                theirs = processor_ids(self.loaded, one.prompt)
            except Exception:  # whatever a picture or a processor raises is an error of its question, told there
                continue
            if ours.ids_L.tolist() != theirs:
                return f"the tokens of question {one.place + 1} are not those that the processor makes"
        return ""

    def _generate_shared(self, batch: list[_Asked]) -> list[Answer]:
        table = self._table(batch)
        prompts = self._prompts([self._sequence(one, table) for one in batch], table)
        limits = [one.question.max_new_tokens for one in batch]
        assert self.facts is not None
        samplings = [one.question.sampling for one in batch]
        choose = NextTokens(prompts.forest, samplings, self.rules.repetition_penalty, self.rules.forbidden_ids)
        ids = decode(self.loaded.inner, self.facts, prompts, choose, self.rules.stop_ids, limits)
        return decoded_answers(self.loaded.processor, ids, self.rules.stop_ids, self.facts.end_word)

    def _generate_plain(self, batch: list[_Asked]) -> dict[int, Answer]:
        """Answers by place; `generate` takes prompts that all have pictures or none, one length of answer, one seed."""
        kinds: dict[tuple[bool, int, Sampling | None], list[_Asked]] = {}
        for one in batch:
            kind = (bool(one.pictures), one.question.max_new_tokens, one.question.sampling)
            kinds.setdefault(kind, []).append(one)
        answers: dict[int, Answer] = {}
        for (_, limit, sampling), members in kinds.items():
            said = generate_answers(self.loaded, [one.prompt for one in members], limit, sampling)
            answers |= {one.place: answer for one, answer in zip(members, said, strict=True)}
        return answers

    @torch.inference_mode()
    def _score_shared(self, batch: list[_Asked]) -> list[Answer]:
        table = self._table(batch)
        options = [(one, option) for one in batch for option in one.question.options]
        prompts = self._prompts([self._sequence(one, table, option) for one, option in options], table)
        assert self.facts is not None
        edges = score_forest(
            self.loaded.inner, self.facts, prompts.forest, prompts.features_FH, prompts.image_inputs, rule=self._rule
        ).logprob_E
        scores = [
            OptionScore(float(edges[scored[scored >= 0]].sum()), int((scored >= 0).sum()))
            for scored in prompts.forest.edge_NT
        ]
        answers, start = [], 0
        for one in batch:
            end = start + len(one.question.options)
            answers.append(Answer(options=tuple(scores[start:end])))
            start = end
        return answers

    def _table(self, batch: list[_Asked]) -> PictureTable:
        assert self._features is not None
        pictures = {shown.key: shown for one in batch for shown in one.shown}
        table = self._features.table(pictures)
        self._features.keep_only(pictures)
        self._picture_tokens = max([self._picture_tokens, *(len(one.ids_K) for one in table.images.expansions)])
        return table

    def _sequence(self, one: _Asked, table: PictureTable, option: str = "") -> TokenSequence:
        """The question's prompt, with an option behind it whose tokens are scored."""
        behind_L = option_ids(self.loaded.processor, option) if option else np.zeros(0, dtype=np.int64)
        shown = tuple(table.images.keys.index(key) for key in one.pictures)
        around = [table.images.expansions[image].around for image in shown]
        prompt_L = ids_around(self.loaded.processor, one.prompt, around)
        ids_L = np.concatenate([prompt_L, behind_L])
        scored_L = np.arange(len(ids_L)) >= len(prompt_L)
        return expand_images(self.loaded.processor, ids_L, scored_L, shown, table.images, self.name)

    def _prompts(self, sequences: list[TokenSequence], table: PictureTable) -> Prompts:
        pad = self.loaded.processor.tokenizer.pad_token_id
        assert self.facts is not None
        forest = build_forest(sequences, 0 if pad is None else pad, both_ways=self.facts.both_ways)
        on_device = forest.to(self.loaded.model.device)
        return Prompts(on_device, table.features_FH, table.images.image_inputs, self._rule)


def _differing(asked: list[_Asked]) -> list[_Asked]:
    """Of the questions the first, the last, the longest, and one with the most pictures."""
    if not asked:
        return []
    longest = max(asked, key=lambda one: one.tokens)
    fullest = max(asked, key=lambda one: len(one.shown))
    return list({one.place: one for one in (asked[0], fullest, longest, asked[-1])}.values())


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """The model in evaluation mode; its own mode is given back."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _failed(error: Exception) -> Answer:
    return Answer(error=f"{type(error).__name__}: {error}")


def _is_out_of_memory(error: Exception) -> bool:
    """CUDA has an error of its own; on a CPU torch raises RuntimeError, Python MemoryError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
