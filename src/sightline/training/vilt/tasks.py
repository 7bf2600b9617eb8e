"""The four tasks of ViLT: read rows, make batches, compute losses, log their parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sightline.data.sources.documents import require_split
from sightline.data.vilt.captions import CaptionedPicture, read_captions
from sightline.data.vilt.questions import (
    AskedPicture,
    answer_vocabulary,
    outside_vocabulary,
    read_questions,
    read_vocabulary,
)
from sightline.data.vilt.sentences import JudgedPictures, read_sentences
from sightline.data.vilt.sources import Picture, PictureCheck
from sightline.data.vilt.words import NOT_MASKED, WordMasker, encode_texts
from sightline.errors import ConfigError
from sightline.models.vilt.embedding import embed_pictures, embed_texts
from sightline.models.vilt.heads import build_answering, build_judging, build_pretraining, build_ranking
from sightline.models.vilt.matching import pictures_alone, shortlist_loss, texts_alone
from sightline.models.vilt.start import Start
from sightline.pages.report import Card, Verdict
from sightline.training.shown_rows import small_picture
from sightline.training.vilt.rows import DrawnRow, PictureLoader, generator_of
from sightline.training.vilt.settings import ViltSettings

# Dims: B rows, L tokens, T texts of a row, P patches.

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Losses:
    """What a batch costs: the loss, and its parts and shares for the log."""

    loss: Tensor
    parts: dict[str, Tensor]


class Task(ABC):
    """One command: rows, model, batches, losses.

    Attributes:
        head_lr_multiplier: rate of the head over that of the body, in the authors' code.
        augments: whether the authors augment pictures.
    """

    head_lr_multiplier = 10.0
    augments = True

    def __init__(self, settings: ViltSettings) -> None:
        self.settings = settings

    @abstractmethod
    def read(self, path: str, is_training: bool, check: PictureCheck) -> list[Any]:
        """The rows of a file, in its order, each with a `name`."""

    @abstractmethod
    def pictures(self, rows: Sequence[Any]) -> Iterator[tuple[Picture, str]]:
        """Every picture with the name of its row."""

    @abstractmethod
    def texts(self, rows: Sequence[Any]) -> Iterator[str]:
        """Every text, to make a vocabulary from."""

    @abstractmethod
    def build(self, start: Start, rows: Sequence[Any]) -> Any:
        """The model to train on the rows."""

    @abstractmethod
    def collate(self, rows: Sequence[DrawnRow], tokenizer: Any, pictures: PictureLoader) -> Batch:
        """The tensors of a batch."""

    @abstractmethod
    def losses(self, model: Any, batch: Batch) -> Losses:
        """The loss of a batch and its parts."""

    def card(self, row: Any) -> Card:
        """A row for the page of the run."""
        pictures = [picture for picture, _ in self.pictures([row])]
        asked, learnt = self.told(row)
        return Card(small_picture(pictures, row.name), asked, "", (Verdict("", learnt, True),), row.name)

    @abstractmethod
    def told(self, row: Any) -> tuple[str, str]:
        """The text of a row that is only read, and what it teaches."""

    def _split(self, is_training: bool) -> str | None:
        data = self.settings.data
        return data.split if is_training else data.eval_split

    def _encode(self, texts: Sequence[str], tokenizer: Any) -> Batch:
        block = encode_texts(tokenizer, texts, tokenizer.model_max_length)
        return {"input_ids": block.ids_BL, "attention_mask": block.mask_BL}


@dataclass(frozen=True)
class Pair:
    """A picture with one of its captions, and what else a vocabulary needs to know."""

    name: str
    picture: Picture
    key: str
    caption: str
    asked: tuple[str, ...] = ()


def pairs_of(rows: Sequence[CaptionedPicture]) -> list[Pair]:
    """One pair per caption."""
    return [Pair(row.name, row.picture, row.key, caption, row.asked) for row in rows for caption in row.captions]


class _OfCaptions(Task):
    """Learns from pairs of pictures and captions."""

    def read(self, path: str, is_training: bool, check: PictureCheck) -> list[Pair]:
        return pairs_of(read_captions(path, self.settings.data.image_folder, self._split(is_training), check))

    def pictures(self, rows: Sequence[Pair]) -> Iterator[tuple[Picture, str]]:
        return ((row.picture, row.name) for row in rows)

    def texts(self, rows: Sequence[Pair]) -> Iterator[str]:
        return (text for row in rows for text in (row.caption, *row.asked))

    def told(self, row: Pair) -> tuple[str, str]:
        return "", row.caption


class Pretraining(_OfCaptions):
    """Matching, masked words, word-patch alignment, and masked patches on captioned pictures."""

    head_lr_multiplier = 1.0
    augments = False
    _masker: WordMasker | None = None

    def build(self, start: Start, rows: Sequence[Pair]) -> Any:
        asked = self.settings.objectives
        if "itm" in asked.objectives and len({row.key for row in rows}) < 2:
            raise ConfigError("objectives: itm matches texts with other pictures, but there is only one. Leave it out.")
        return build_pretraining(start, asked.wpa_weight, "mpp" in asked.objectives)

    def collate(self, rows: Sequence[DrawnRow], tokenizer: Any, pictures: PictureLoader) -> Batch:
        random = generator_of(rows)
        pairs: list[Pair] = [row.row for row in rows]
        values, mask = pictures.load([(pair.picture, pair.name) for pair in pairs], random)
        block = encode_texts(tokenizer, [pair.caption for pair in pairs], tokenizer.model_max_length)
        batch = {
            "input_ids": block.ids_BL,
            "attention_mask": block.mask_BL,
            "pixel_values": values,
            "pixel_mask": mask,
        }
        asked = self.settings.objectives
        if "mlm" in asked.objectives:
            self._masker = self._masker or WordMasker(tokenizer, asked.mlm_probability)
            masked = self._masker.mask(block, random)
            batch |= {"masked_ids": masked.ids_BL, "mlm_labels": masked.labels_BL}
        if "itm" in asked.objectives:
            shown, labels = draw_matches([pair.key for pair in pairs], random)
            batch |= {"shown_picture": torch.from_numpy(shown), "itm_labels": torch.from_numpy(labels)}
        if "mpp" in asked.objectives:
            size = self.settings.model.patch_size
            grid = (values.shape[2] // size, values.shape[3] // size)
            hidden = random.random((len(pairs), *grid)) < asked.mpp_probability
            hidden[:, 0, 0] |= ~hidden.any(axis=(1, 2))
            batch["masked_patches"] = torch.from_numpy(hidden)
        return batch

    def losses(self, model: Any, batch: Batch) -> Losses:
        output = model(**batch)
        parts = {name: output[name] for name in ("itm_loss", "mlm_loss", "wpa_loss", "mpp_loss") if name in output}
        if "itm_labels" in batch:
            parts["itm_accuracy"] = (output.itm_logits.argmax(-1) == batch["itm_labels"]).float().mean()
        if "mlm_labels" in batch:
            hidden = batch["mlm_labels"] != NOT_MASKED
            parts["mlm_accuracy"] = (output.mlm_logits.argmax(-1) == batch["mlm_labels"])[hidden].float().mean()
        return Losses(output.loss, parts)


def draw_matches(keys: Sequence[str], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Which picture of the batch each text is shown with, and 1 where it is its own: false for half of the texts.

    A text whose picture is the only one of the batch keeps it.
    """
    shown = np.arange(len(keys))
    for place in random.permutation(len(keys))[: len(keys) // 2]:
        others = [index for index, key in enumerate(keys) if key != keys[place]]
        if others:
            shown[place] = random.choice(others)
    labels = np.array([keys[index] == key for key, index in zip(keys, shown.tolist(), strict=True)], dtype=np.int64)
    return shown, labels


class Answering(Task):
    """Soft scores of the answers to questions: binary cross-entropy, times the number of answers."""

    answers: list[str]

    def read(self, path: str, is_training: bool, check: PictureCheck) -> list[AskedPicture]:
        require_split(Path(path), self._split(is_training))
        data = self.settings.data
        annotations = data.annotations if is_training else data.eval_annotations
        return read_questions(path, data.image_folder, annotations, check)

    def pictures(self, rows: Sequence[AskedPicture]) -> Iterator[tuple[Picture, str]]:
        return ((row.picture, row.name) for row in rows)

    def texts(self, rows: Sequence[AskedPicture]) -> Iterator[str]:
        return (row.question for row in rows)

    def told(self, row: AskedPicture) -> tuple[str, str]:
        best = sorted(row.scores, key=row.scores.__getitem__, reverse=True)
        return row.question, ", ".join(f"{answer} ({row.scores[answer]:g})" for answer in best[:3]) or "no known answer"

    def build(self, start: Start, rows: Sequence[AskedPicture]) -> Any:
        data = self.settings.data
        self.answers = read_vocabulary(data.answers) if data.answers else answer_vocabulary(rows, data.min_answer_count)
        if not self.answers:
            raise ConfigError(
                f"min_answer_count: no answer of {data.train_data} is the best of {data.min_answer_count} questions. "
                "Lower it, or name --answers."
            )
        self.outside = outside_vocabulary(rows, self.answers)
        return build_answering(start, self.answers)

    def collate(self, rows: Sequence[DrawnRow], tokenizer: Any, pictures: PictureLoader) -> Batch:
        asked: list[AskedPicture] = [row.row for row in rows]
        values, mask = pictures.load([(row.picture, row.name) for row in asked], generator_of(rows))
        labels = torch.tensor([[row.scores.get(answer, 0.0) for answer in self.answers] for row in asked])
        texts = self._encode([row.question for row in asked], tokenizer)
        return {**texts, "pixel_values": values, "pixel_mask": mask, "labels": labels}

    def losses(self, model: Any, batch: Batch) -> Losses:
        output = model(**batch)
        chosen = output.logits.argmax(-1, keepdim=True)
        return Losses(output.loss, {"vqa_score": batch["labels"].gather(1, chosen).mean()})


class Ranking(_OfCaptions):
    """A true caption against false ones of other pictures: cross-entropy over their scores; and the shortlist."""

    _captions: list[Pair]

    def build(self, start: Start, rows: Sequence[Pair]) -> Any:
        if len({row.key for row in rows}) < 2:
            raise ConfigError("train_data: retrieval needs captions of at least two pictures, got one picture.")
        self._captions = list(rows)
        return build_ranking(start)

    def collate(self, rows: Sequence[DrawnRow], tokenizer: Any, pictures: PictureLoader) -> Batch:
        random = generator_of(rows)
        pairs: list[Pair] = [row.row for row in rows]
        values, mask = pictures.load([(pair.picture, pair.name) for pair in pairs], random)
        texts = [text for pair in pairs for text in (pair.caption, *self._false_texts(pair, random))]
        count = self.settings.objectives.draw_false_texts + 1
        repeated = {"pixel_values": values, "pixel_mask": mask}
        numbers = {key: number for number, key in enumerate(dict.fromkeys(pair.key for pair in pairs))}
        return {
            **self._encode(texts, tokenizer),
            **{name: tensor.repeat_interleave(count, dim=0) for name, tensor in repeated.items()},
            "picture_numbers": torch.tensor([numbers[pair.key] for pair in pairs]),
        }

    def losses(self, model: Any, batch: Batch) -> Losses:
        numbers_B = batch.pop("picture_numbers")
        scores_BT = model(**batch).logits.view(-1, self.settings.objectives.draw_false_texts + 1).float()
        truth_B = torch.zeros(len(scores_BT), dtype=torch.long, device=scores_BT.device)
        rank_loss = functional.cross_entropy(scores_BT, truth_B)
        parts = {"rank_loss": rank_loss, "true_text_first": (scores_BT.argmax(-1) == 0).float().mean()}
        weight = self.settings.objectives.shortlist_weight
        if not weight:
            return Losses(rank_loss, parts)
        body = getattr(model, "module", model).vilt  # without the wrapper of several processes
        true = {name: tensor[:: scores_BT.shape[1]] for name, tensor in batch.items()}
        patches = embed_pictures(body, true["pixel_values"], true["pixel_mask"])
        parts["shortlist_loss"] = shortlist_loss(
            pictures_alone(body, patches.states_BPH, patches.mask_BP),
            texts_alone(body, embed_texts(body, true["input_ids"]), true["attention_mask"]),
            numbers_B[:, None] == numbers_B,
        )
        return Losses(rank_loss + weight * parts["shortlist_loss"], parts)

    def _false_texts(self, pair: Pair, random: np.random.Generator) -> list[str]:
        texts: list[str] = []
        while len(texts) < self.settings.objectives.draw_false_texts:
            other = self._captions[random.integers(len(self._captions))]
            if other.key != pair.key:
                texts.append(other.caption)
        return texts


class Judging(Task):
    """Whether a sentence is true of one picture (NLVR) or of two (NLVR2)."""

    def read(self, path: str, is_training: bool, check: PictureCheck) -> list[JudgedPictures]:
        require_split(Path(path), self._split(is_training))
        return read_sentences(path, self.settings.data.image_folder, check)

    def pictures(self, rows: Sequence[JudgedPictures]) -> Iterator[tuple[Picture, str]]:
        return ((picture, row.name) for row in rows for picture in row.pictures)

    def texts(self, rows: Sequence[JudgedPictures]) -> Iterator[str]:
        return (row.sentence for row in rows)

    def told(self, row: JudgedPictures) -> tuple[str, str]:
        return row.sentence, "true" if row.label else "false"

    def build(self, start: Start, rows: Sequence[JudgedPictures]) -> Any:
        return build_judging(start, len(rows[0].pictures))

    def collate(self, rows: Sequence[DrawnRow], tokenizer: Any, pictures: PictureLoader) -> Batch:
        judged: list[JudgedPictures] = [row.row for row in rows]
        values, mask = pictures.load(list(self.pictures(judged)), generator_of(rows))
        count = len(judged[0].pictures)
        return {
            **self._encode([row.sentence for row in judged], tokenizer),
            "pixel_values": values.unflatten(0, (-1, count)),
            "pixel_mask": mask.unflatten(0, (-1, count)),
            "labels": torch.tensor([row.label for row in judged]),
        }

    def losses(self, model: Any, batch: Batch) -> Losses:
        output = model(**batch)
        accuracy = (output.logits.argmax(-1) == batch["labels"]).float().mean()
        return Losses(output.loss, {"accuracy": accuracy})


TASKS: dict[str, type[Task]] = {"pretrain": Pretraining, "vqa": Answering, "retrieval": Ranking, "nlvr2": Judging}
