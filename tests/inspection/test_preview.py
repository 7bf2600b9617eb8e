"""A preview shows what training feeds: the same tokens trained, the same pictures, the same forest."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.cli.data import read_numbers
from sightline.data.pictures.augmentation import augmented_samples
from sightline.engine.forest import build_forest
from sightline.errors import ConfigError, DataError
from sightline.inspection.preview import CUT, DROPPED, FITS, REFUSED, RowPreview, run_preview, token_counts
from sightline.inspection.preview_page import preview_report, segment_tokens
from sightline.inspection.terminal import print_preview
from sightline.inspection.tokens import IMAGE, READ, TRAINED, cut_picture
from sightline.pages.report import render_report
from sightline.training.collators import PreferenceCollator, SFTCollator
from sightline.training.plan import RunPlan, chosen_rows
from sightline.training.source import ModelSource
from tests.families.case import preference_rows as family_rows
from tests.families.tiny_families import BUILDERS, saved_family
from tests.inspection.planned import planned_run
from tests.tiny import preference_rows, tiny_processor, vqa_rows


def shown(row: RowPreview, kind: str) -> set[int]:
    """Positions of the row's tokens of a kind, as shown."""
    return {
        token.start + offset
        for part in row.parts
        for token in part.tokens
        if token.kind == kind
        for offset in range(token.count)
    }


def trained_in_training(plan: RunPlan, index: int) -> list[set[int]]:
    """For each sequence of a row the positions of the tokens that the run's own collator lets score."""
    collator = (PreferenceCollator if plan.preferences else SFTCollator)(plan.encoder, 0, True)
    forest = collator([plan.rows[index]])["forest"]
    children = set(forest.child_E.tolist())
    return [{place for place, token in enumerate(path) if token in children} for path in forest.path_NL.tolist()]


def test_tokens_shown_as_trained_are_those_with_weight_in_the_forest(tmp_path: Path) -> None:
    plan = planned_run(tmp_path, vqa_rows(4, 2))
    for row in run_preview(plan, range(4), 4).rows:
        assert [shown(row, TRAINED)] == trained_in_training(plan, row.index)
        assert shown(row, TRAINED) | shown(row, READ) | shown(row, IMAGE) == set(range(row.total))
        assert row.trained == len(shown(row, TRAINED))


def test_both_answers_of_a_pair_are_shown_with_their_trained_tokens(tmp_path: Path) -> None:
    plan = planned_run(tmp_path, preference_rows(3, 2), "dpo")
    for row in run_preview(plan, range(3), 3).rows:
        assert [part.label for part in row.parts] == ["prompt", "chosen", "rejected"]
        chosen, rejected = trained_in_training(plan, row.index)
        parts = {part.label: {token.start for token in part.tokens if token.kind == TRAINED} for part in row.parts}
        assert parts == {"prompt": set(), "chosen": chosen, "rejected": rejected}


def test_saved_tokens_are_those_of_the_forest_that_trains(tmp_path: Path) -> None:
    plan = planned_run(tmp_path, vqa_rows(6, 2))
    batch = run_preview(plan, [0], 4).batch
    assert batch is not None and batch.rows == tuple(f"{plan.name} row {number}" for number in (1, 3, 5, 2))
    sequences = plan.encoder.encode_sft([plan.rows[index] for index in (0, 2, 4, 1)]).sequences
    forest = build_forest(sequences, 0)
    pads = int((forest.ids_RL == 0).sum())
    assert batch.forest.plain == sum(len(sequence.ids_L) for sequence in sequences)
    assert batch.forest.shared == forest.ids_RL.numel() - pads
    assert len(batch.forest.trees) == batch.pictures == 2
    for tree in batch.forest.trees:
        assert sum(token.count for token in segment_tokens(batch, tree)) == tree.tokens


@pytest.mark.parametrize(
    ("max_length", "policy", "outcome"),
    [(200, "truncate", FITS), (24, "truncate", REFUSED), (24, "drop", DROPPED), (27, "truncate", CUT)],
)
def test_what_max_length_does_to_a_row_is_said(tmp_path: Path, max_length: int, policy: str, outcome: str) -> None:
    row = {**vqa_rows(1, 1)[0], "question": "what is this ?", "answer": "red green blue circle and square"}
    plan = planned_run(tmp_path, [row], max_length=max_length, length_policy=policy)
    preview = run_preview(plan, [0], 1)
    (seen,) = preview.rows
    assert seen.fit is not None and seen.fit.outcome == outcome and seen.fit.length == 32
    assert (preview.batch is None) == (outcome in (DROPPED, REFUSED))
    assert seen.trained == {FITS: 7, CUT: 2}.get(outcome, 0)
    assert ('<span class="limit">' in render_report(preview_report(preview))) == (outcome != FITS)


def test_a_row_that_cannot_be_used_says_why_and_the_others_are_shown(tmp_path: Path) -> None:
    rows = vqa_rows(2, 2)
    rows[0]["answer"] = " "
    preview = run_preview(planned_run(tmp_path, rows), [0, 1], 2)
    assert "answer (completion) is empty" in preview.rows[0].error and not preview.rows[1].error
    assert preview.batch is not None and len(preview.batch.rows) == 1


def test_the_page_needs_no_other_file_and_the_terminal_shows_the_same(tmp_path: Path, capsys) -> None:
    preview = run_preview(planned_run(tmp_path, preference_rows(2, 1), "dpo"), [0, 1], 2)
    page = render_report(preview_report(preview))
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "image 1: 16 tokens" in page and "% saved" in page and "prefers-color-scheme: dark" in page
    print_preview(preview)
    printed = capsys.readouterr().out
    assert "[image 1: 16 tokens]" in printed and "chosen:" in printed and "% saved" in printed
    assert token_counts(preview.rows[0])[IMAGE] == 16


def test_pictures_that_a_run_changes_are_shown_as_its_first_epochs_show_them(tmp_path: Path) -> None:
    preview = run_preview(planned_run(tmp_path, vqa_rows(1, 1), augmentation="light"), [0], 1)
    (row,) = preview.rows
    assert [np.asarray(sample).tobytes() for sample in row.augmented] == [
        np.asarray(sample).tobytes() for sample in augmented_samples(row.pictures[0].original, "light", 4, seed=42)
    ]
    assert "in epochs 1 to 4, augmentation light" in render_report(preview_report(preview))


def test_a_tile_shows_the_pixels_that_the_model_gets() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    cut = cut_picture(tiny_processor(), image)
    assert cut.whole is not None and cut.tokens == 16 and cut.cells == (4, 4)
    assert np.abs(np.asarray(cut.whole.picture).astype(int) - np.asarray(image)).max() <= 1


def test_row_numbers_are_read_and_bounded(tmp_path: Path) -> None:
    assert read_numbers("0,5,7") == (0, 5, 7) and read_numbers(None) is None
    with pytest.raises(ConfigError, match="numbers separated by commas"):
        read_numbers("one")
    with pytest.raises(DataError, match="from 0 to 1; got 2"):
        chosen_rows(planned_run(tmp_path, vqa_rows(2, 1)), [2], 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_every_family_is_previewed_with_its_tiles(name: str, tmp_path: Path) -> None:
    source = ModelSource(*saved_family(name, tmp_path / "model"))
    plan = planned_run(tmp_path, family_rows(name), "dpo", source)
    preview = run_preview(plan, range(3), 3)
    sequences = plan.encoder.encode_preferences([plan.rows[index] for index in range(3)]).sequences
    assert plan.facts is not None and preview.batch is not None
    forest = build_forest(sequences, 0, both_ways=plan.facts.both_ways)
    assert preview.batch.forest.shared == int(torch.unique(forest.path_NL[forest.path_NL >= 0]).numel())
    for row, sequence in zip(preview.rows, sequences, strict=False):
        assert not row.error
        assert sum(cut.tokens for cut in row.pictures) == int((sequence.feature_L >= 0).sum())
        for cut in row.pictures:
            assert name == "fuyu" or cut.whole is not None
            assert len(cut.tiles) == cut.grid[0] * cut.grid[1]
            tiles = [tile.tokens for tile in (*cut.tiles, cut.whole) if tile is not None]
            assert None in tiles or not tiles or sum(filter(None, tiles)) == cut.tokens
        assert shown(row, TRAINED) >= trained_in_training(plan, row.index)[0]
    assert "tokens: plain" in render_report(preview_report(preview))
