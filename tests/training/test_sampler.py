"""The order of rows: the same when a run is resumed behind wrappers of accelerate, and said in numbers that hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trl
from accelerate import PartialState
from accelerate.data_loader import SeedableRandomSampler, prepare_data_loader, skip_first_batches
from datasets import Dataset
from torch.utils.data import DataLoader

import sightline
from sightline.errors import ConfigError
from sightline.training.sampler import ImageGroupSampler, describe_order, order_seed
from tests.tiny import SHORT_RUN, picture, tiny_llava, tiny_processor

KEYS = [str(index % 5) for index in range(16)]


def grouped() -> ImageGroupSampler:
    return ImageGroupSampler(KEYS, seed=3)


def seeded() -> SeedableRandomSampler:
    return SeedableRandomSampler(range(16), data_seed=3)  # TRL's own under accelerate


def batches(sampler: Any, process: int, processes: int, skip: int, epoch: int) -> list[list[int]]:
    PartialState(cpu=True)
    rows: Any = list(range(16))
    loader: Any = DataLoader(rows, batch_size=2, sampler=sampler)
    loader = prepare_data_loader(loader, num_processes=processes, process_index=process, put_on_device=False)
    loader = skip_first_batches(loader, skip) if skip else loader
    loader.set_epoch(epoch)
    return [batch.tolist() for batch in loader]


@pytest.mark.parametrize("sampler", [grouped, seeded])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_resumed_epoch_has_the_order_of_that_epoch_in_every_process(sampler: Any, processes: int) -> None:
    for process in range(processes):
        whole = batches(sampler(), process, processes, 0, epoch=2)
        assert batches(sampler(), process, processes, 1, epoch=2) == whole[1:]
        assert whole != batches(sampler(), process, processes, 0, epoch=0)


def test_the_images_of_a_batch_that_are_said_are_those_that_batches_show() -> None:
    keys = [str(index % 60) for index in range(480)]
    sampler = ImageGroupSampler(keys, seed=0)
    said = describe_order("random", sampler, 8)
    shown = []
    for epoch in range(20):
        sampler.set_epoch(epoch)
        order = [keys[index] for index in sampler]
        shown += [len(set(order[start : start + 8])) for start in range(0, 480, 8)]
    random = np.random.default_rng(0)
    alone = [len({keys[index] for index in random.permutation(480)[:8]}) for _ in range(1000)]
    together, apart = 15 / 8, 60 * (1 - (1 - 8 / 480) ** 8)
    assert f"a batch of 8 shows about {together:.1f} images" in said
    assert f"as TRL does: about {apart:.1f} images, {apart / together:.1f} times as many to read" in said
    assert np.mean(shown) == pytest.approx(together, rel=0.6)  # groups as long as batches: 1 where they are aligned
    assert np.mean(alone) == pytest.approx(apart, rel=0.03)


def test_an_unknown_strategy_is_not_taken_for_random(tmp_path: Path) -> None:
    for config in (sightline.SFTConfig, sightline.DPOConfig):
        with pytest.raises(ConfigError, match="train_sampling_strategy: expected one of random, shuffled, .* 'radnom'"):
            config(output_dir=str(tmp_path), train_sampling_strategy="radnom", bf16=False)


def test_shuffled_is_trls_order_and_the_run_says_what_it_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {
            "images": [picture(index % 3)],
            "prompt": [{"role": "user", "content": "what ?"}],
            "completion": [{"role": "assistant", "content": f"{word} circle"}],
        }
        for index, word in enumerate("red blue green one two three left right".split())
    ]

    def order(library: Any, strategy: str) -> list[list[int]]:
        config = {**SHORT_RUN, "per_device_train_batch_size": 2, "train_sampling_strategy": strategy}
        trainer = library.SFTTrainer(
            model=tiny_llava(1),
            args=library.SFTConfig(output_dir=str(tmp_path), **config),
            train_dataset=Dataset.from_list(rows),
            processing_class=tiny_processor(),
        )
        loader = trainer.get_train_dataloader()
        return [batch["labels"][batch["labels"] != -100].tolist() for batch in loader]

    assert order(sightline, "shuffled") == order(trl, "random")
    assert "Order: random, as TRL shuffles." in capsys.readouterr().err
    order(sightline, "random")
    assert "Order: random, rows of one image together: a batch of 2 shows about" in capsys.readouterr().err


@pytest.mark.parametrize(("data_seed", "expected"), [(None, 5), (0, 0), (7, 7)])
def test_rows_are_ordered_by_data_seed_where_it_is_set(data_seed: int | None, expected: int) -> None:
    assert order_seed(trl.SFTConfig(seed=5, data_seed=data_seed, use_cpu=True, bf16=False)) == expected
