"""Supervised fine-tuning: TRL's SFTTrainer over forests."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import trl

from sightline.data.encoding.fit import LENGTH_POLICIES, LENGTH_POLICY_HELP
from sightline.data.formats.columns import to_sft_columns
from sightline.data.pictures.augmentation import NONE, POLICIES, check_policy
from sightline.engine.selftest import SHARE_CHOICES
from sightline.settings.spellings import takes_old_spellings
from sightline.training.augmentation import (
    AUGMENTATION_HELP,
    require_no_augmentation,
)
from sightline.training.collators import SFTCollator
from sightline.training.decoder import for_family
from sightline.training.devices import choose_device, require_all_processes
from sightline.training.folder_code import without_code
from sightline.training.forest_trainer import ForestTrainer
from sightline.training.given_rows import GivenRows
from sightline.training.packing import (
    MAX_IMAGES_PER_ROW_HELP,
    pack_dataset,
)
from sightline.training.precision import choose_precision
from sightline.training.references import STORE_CHOICES
from sightline.training.sampler import ImageGroupSampler, check_strategy, order_seed
from sightline.training.sealed_trainer import reported
from sightline.training.sharing import (
    grouping_sampler,
    opened_safely,
    prepared,
    untouched_route,
)
from sightline.training.stored_features import FEATURE_STORE_HELP
from sightline.training.template_arguments import say_what_is_not_called
from sightline.training.tokenizer_alone import with_processor
from sightline.training.trained_tokens import require_completions, say_what_is_trained
from sightline.training.trainer_arguments import takes_arguments_of

SHARE_HELP = (
    "How rows share their images and prompts: `auto` tests your model and takes the fastest exact way, with a message "
    "where that is plain rows; `mask` requires one pass with a mask; `fork` requires trunks whose states are copied to "
    "their branches (recurrent decoders); `plain` shares nothing."
)


@takes_old_spellings
@dataclass
class SFTConfig(trl.SFTConfig):
    """Settings of `SFTTrainer`: all of TRL's, and these of Sightline."""

    share: str = field(default="auto", metadata={"help": SHARE_HELP, "choices": SHARE_CHOICES})
    feature_store: str = field(default="auto", metadata={"help": FEATURE_STORE_HELP, "choices": STORE_CHOICES})
    length_policy: str = field(default="truncate", metadata={"help": LENGTH_POLICY_HELP, "choices": LENGTH_POLICIES})
    max_images_per_row: int | None = field(default=None, metadata={"help": MAX_IMAGES_PER_ROW_HELP})
    augmentation: str = field(default=NONE, metadata={"help": AUGMENTATION_HELP, "choices": (NONE, *POLICIES)})

    def __post_init__(self) -> None:
        check_policy(self.augmentation)
        check_strategy(self.train_sampling_strategy)
        choose_device(self)
        choose_precision(self)
        super().__post_init__()

    def to_dict(self) -> dict[str, Any]:
        return reported(self, super().to_dict())


class SFTTrainer(ForestTrainer, trl.SFTTrainer):
    """Fine-tune on demonstrations: TRL's SFTTrainer with the same arguments, which reads a shared image or prompt once.

    Rows that show one image come into one batch. `packing` and `padding_free` work for images, too. A dataset may hold
    TRL's columns or plain ones (`image`, `question`, `answer`). `route` says how batches are run, and why.

    Example:
        from datasets import load_dataset
        from sightline import SFTConfig, SFTTrainer

        rows = load_dataset("json", data_files="rows.jsonl", split="train")  # image, question, answer
        trainer = SFTTrainer("demo/model", SFTConfig("runs/sft", max_length=None, max_steps=2), train_dataset=rows)
        trainer.train()
        print(trainer.route)
    """

    data_collator: Any
    train_dataset: Any  # packed rows with `packing`

    @takes_arguments_of(trl.SFTTrainer, SFTConfig)
    def __init__(
        self,
        model: Any,
        args: trl.SFTConfig | None = None,
        data_collator: Any = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        **trl_arguments: Any,
    ) -> None:
        require_all_processes(args)
        trl_arguments = for_family(model, without_code(args, (model,), trl_arguments))
        rows = GivenRows.of(train_dataset, eval_dataset, data_collator)
        if data_collator is None:
            to_columns = partial(to_sft_columns, answers_alone=bool(getattr(args, "completion_only_loss", None)))
            self._in_columns = partial(prepared, to_columns=to_columns)
            rows = rows.in_columns(self._in_columns)
            require_completions(args, {name: part.dataset for name, part in rows.parts.items()})
        else:
            rows.each(opened_safely)
        trl_arguments = with_processor(trl_arguments, model, rows, needed=False)
        with self._made_of(rows, args, trl_arguments.get("processing_class"), model) as (train, evaluation):
            super().__init__(model, args, data_collator, train, evaluation, **trl_arguments)
        if not self._is_vision_dataset or data_collator is not None:
            self.route = untouched_route(self.accelerator, data_collator)
            require_no_augmentation(self.args, self.route.reason)
            return
        say_what_is_trained(self.data_collator, rows.train)
        say_what_is_not_called(trl_arguments.get("formatting_func"))
        self._use_forests()
        self._augment()

    def _use_forests(self) -> None:
        """Gives the trainer its route, its collator, packed rows and its store of features."""
        tested = self._make_batches(SFTCollator, preferences=False, packing=self.args.packing)
        packed = None
        if self.args.packing:
            columns, both_ways = self._of_batches(self.train_dataset), self.data_collator.facts.both_ways
            packed = pack_dataset(self.rows.train, columns, self.args, both_ways)
            self.data_collator.max_row = packed.row_tokens
        self._share_work(tested, items=None if packed is None else len(packed.rows))
        if packed is not None:
            self.train_dataset = packed.rows

    def _set_signature_columns_if_needed(self) -> None:
        """TRL's columns, and that of plain text, which TRL 1.16's collator for pictures reads but its trainer drops."""
        super()._set_signature_columns_if_needed()
        if self._is_vision_dataset and self.args.dataset_text_field not in self._signature_columns:
            self._signature_columns += [self.args.dataset_text_field]

    def _grouping_sampler(self, dataset: Any) -> ImageGroupSampler | None:
        if self.route.route == "plain":
            return None
        read = self.rows.train.read if dataset is self.rows.train.dataset else None
        return grouping_sampler(dataset, order_seed(self.args), None if read is None else read.image_keys)
