"""The forest's layout by hand, and as properties of random sequences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings, strategies as st

from sightline.engine.forest import build_forest, grow_tree
from sightline.engine.masks import dense_mask, visible
from sightline.types import TokenSequence

IMAGE, WHAT, RED, BLUE, GREEN = 9, 1, 2, 3, 4


def sequence(ids: list[int], scored_from: int, features: list[int] | None = None) -> TokenSequence:
    placed = features if features is not None else [-1] * len(ids)
    return TokenSequence(np.array(ids), np.array(placed), np.arange(len(ids)) >= scored_from)


def two_answers() -> list[TokenSequence]:
    """One image of two tokens, one question, the answers `red` and `blue green`."""
    return [
        sequence([IMAGE, IMAGE, WHAT, RED], 3, [0, 1, -1, -1]),
        sequence([IMAGE, IMAGE, WHAT, BLUE, GREEN], 3, [0, 1, -1, -1, -1]),
    ]


def test_two_answers_about_one_image_lie_as_in_the_worked_example() -> None:
    """Row: <img> <img> what? red blue green; the trunk reaches 6, red reaches itself, blue reaches green."""
    forest = build_forest(two_answers(), pad_id=0)
    assert forest.ids_RL.tolist() == [[IMAGE, IMAGE, WHAT, RED, BLUE, GREEN]]
    assert forest.depth_RL.tolist() == [[0, 1, 2, 3, 3, 4]]
    assert forest.reach_RL.tolist() == [[6, 6, 6, 4, 6, 6]]
    assert list(zip(forest.parent_E.tolist(), forest.child_E.tolist(), strict=True)) == [(2, 3), (2, 4), (4, 5)]
    assert forest.label_E.tolist() == [RED, BLUE, GREEN]
    assert forest.edge_NT.tolist() == [[0, -1], [1, 2]]
    assert forest.feature_P.tolist() == [0, 1]


def test_a_token_sees_its_ancestors_and_itself_only() -> None:
    forest = build_forest(two_answers(), pad_id=0)
    assert visible(forest.reach_RL)[0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 0, 1, 0],
        [1, 1, 1, 0, 1, 1],
    ]


def test_the_mask_adds_zero_or_the_minimum_of_its_dtype() -> None:
    mask = dense_mask(build_forest(two_answers(), pad_id=0).reach_RL, torch.bfloat16)
    assert mask.shape == (1, 1, 6, 6)
    assert mask.dtype == torch.bfloat16
    assert set(mask.unique().tolist()) == {0.0, torch.finfo(torch.bfloat16).min}


def test_answers_that_start_alike_share_their_start_and_count_it_twice() -> None:
    """`red blue` and `red green` share `red`: one edge that both score, three edges in all."""
    forest = build_forest([sequence([WHAT, RED, BLUE], 1), sequence([WHAT, RED, GREEN], 1)], pad_id=0)
    assert forest.ids_RL.tolist() == [[WHAT, RED, BLUE, GREEN]]
    assert len(forest.child_E) == 3
    assert forest.edge_NT.tolist() == [[0, 1], [0, 2]]


def test_equal_tokens_behind_different_images_do_not_merge() -> None:
    left = sequence([WHAT, IMAGE, RED], 2, [-1, 0, -1])
    right = sequence([WHAT, IMAGE, RED], 2, [-1, 1, -1])
    forest = build_forest([left, right], pad_id=0)
    assert forest.ids_RL.tolist() == [[WHAT, IMAGE, RED], [WHAT, IMAGE, RED]]
    assert forest.feature_P.tolist() == [0, 1]
    assert forest.edge_NT.tolist() == [[0], [1]]


def test_a_sequence_that_is_the_start_of_another_ends_inside_it() -> None:
    forest = build_forest([sequence([WHAT, RED], 1), sequence([WHAT, RED, BLUE], 1)], pad_id=0)
    assert forest.ids_RL.tolist() == [[WHAT, RED, BLUE]]
    assert forest.edge_NT.tolist() == [[0, -1], [0, 1]]


def test_equal_sequences_lie_once_and_count_twice() -> None:
    forest = build_forest([sequence([WHAT, RED], 1)] * 2, pad_id=0)
    assert forest.ids_RL.tolist() == [[WHAT, RED]]
    assert forest.edge_NT.tolist() == [[0], [0]]


def test_small_trees_share_a_row_without_lengthening_it_and_never_see_each_other() -> None:
    long = sequence([IMAGE, WHAT, RED, RED, RED], 2, [0, -1, -1, -1, -1])
    short = [sequence([IMAGE, image + 10], 1, [image, -1]) for image in (1, 2)]
    forest = build_forest([long, *short], pad_id=0)
    assert forest.ids_RL.tolist() == [[IMAGE, WHAT, RED, RED, RED], [IMAGE, 11, IMAGE, 12, 0]]
    assert forest.feature_P.tolist() == [0, 1, 2]
    assert visible(forest.reach_RL)[1].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1],
    ]


def test_without_merging_every_sequence_has_a_row() -> None:
    forest = build_forest(two_answers(), pad_id=0, merge=False)
    assert forest.ids_RL.tolist() == [[IMAGE, IMAGE, WHAT, RED, 0], [IMAGE, IMAGE, WHAT, BLUE, GREEN]]
    assert forest.feature_P.tolist() == [0, 1, 0, 1]


@st.composite
def families(draw: st.DrawFn) -> list[TokenSequence]:
    """Sequences over a small alphabet, so that prefixes coincide, with runs of scored and unscored tokens."""
    rows = draw(st.lists(st.lists(st.integers(1, 3), min_size=2, max_size=9), min_size=1, max_size=7))
    trunk = draw(st.lists(st.integers(1, 3), max_size=5))
    return [sequence(trunk + row, draw(st.integers(1, len(trunk + row) - 1))) for row in rows]


@given(families())
@settings(max_examples=200, deadline=None)
def test_every_sequence_can_be_read_back_along_its_edges(rows: list[TokenSequence]) -> None:
    forest = build_forest(rows, pad_id=0)
    flat = forest.ids_RL.flatten()
    for row, edges in zip(rows, forest.edge_NT, strict=True):
        edges = edges[edges >= 0]
        positions = np.flatnonzero(row.scored_L[1:]) + 1
        assert forest.label_E[edges].tolist() == row.ids_L[positions].tolist()
        assert flat[forest.parent_E[edges]].tolist() == row.ids_L[positions - 1].tolist()


@given(families())
@settings(max_examples=200, deadline=None)
def test_what_a_token_sees_is_its_own_prefix(rows: list[TokenSequence]) -> None:
    tree = grow_tree(
        [TokenSequence(np.append(0, r.ids_L), np.append(-1, r.feature_L), np.append(False, r.scored_L)) for r in rows]
    )
    seen = visible(torch.from_numpy(tree.reach_L)[None])[0].numpy()
    for row, path in zip(rows, tree.paths, strict=True):
        for position, index in enumerate(path):
            assert np.flatnonzero(seen[index]).tolist() == path[: position + 1].tolist()
            assert tree.depth_L[index] == position
        assert tree.ids_L[path[1:]].tolist() == row.ids_L.tolist()


@given(families())
@settings(max_examples=100, deadline=None)
def test_a_tree_is_no_longer_than_its_distinct_prefixes(rows: list[TokenSequence]) -> None:
    rows = [
        TokenSequence(np.append(0, r.ids_L), np.append(-1, r.feature_L), np.append(False, r.scored_L)) for r in rows
    ]
    prefixes = {tuple(row.ids_L[:end].tolist()) for row in rows for end in range(1, len(row.ids_L) + 1)}
    assert len(grow_tree(rows)) == len(prefixes)


def test_a_prompt_that_looks_both_ways_is_one_block_of_those_who_share_all_of_it() -> None:
    """The third sequence asks something else about the same image, so its image tokens have other hidden states."""
    other = sequence([IMAGE, IMAGE, GREEN, RED], 3, [0, 1, -1, -1])
    forest = build_forest([*two_answers(), other], pad_id=0, max_row=16, both_ways="prompt")
    assert forest.ids_RL.tolist() == [[IMAGE, IMAGE, WHAT, RED, BLUE, GREEN, IMAGE, IMAGE, GREEN, RED]]
    assert forest.block_RL.tolist() == [[0, 0, 0, -1, -1, -1, 1, 1, 1, -1]]
    assert forest.feature_P.tolist() == [0, 1, 0, 1]
    assert forest.place_P.tolist() == [0, 1, 6, 7]


def test_images_that_look_at_each_other_are_shared_by_those_who_show_all_of_them() -> None:
    """The second image, and the word that the processor counts to it, are seen by the first."""
    both = sequence([IMAGE, WHAT, IMAGE, RED, BLUE], 4, [0, -1, 1, -1, -1])
    both = replace(both, image_L=np.array([True, False, True, True, False]))
    one = sequence([IMAGE, WHAT, RED], 2, [0, -1, -1])
    forest = build_forest([both, one], pad_id=0, max_row=16, both_ways="images")
    assert forest.ids_RL.tolist() == [[IMAGE, WHAT, IMAGE, RED, BLUE, IMAGE, WHAT, RED]]
    assert forest.block_RL.tolist() == [[0, -1, 0, 0, -1, 1, -1, -1]]


def test_a_front_is_shared_by_those_who_agree_up_to_the_last_image() -> None:
    """What is asked behind the image parts them; what stands before the image belongs to the block."""
    rows = [
        sequence([WHAT, IMAGE, GREEN, RED], 3, [-1, 0, -1, -1]),
        sequence([WHAT, IMAGE, GREEN, BLUE], 3, [-1, 0, -1, -1]),
        sequence([WHAT, RED, BLUE], 2),
    ]
    forest = build_forest(rows, pad_id=0, max_row=16, both_ways="front")
    assert forest.ids_RL.tolist() == [[WHAT, IMAGE, GREEN, RED, BLUE, WHAT, RED, BLUE]]
    assert forest.block_RL.tolist() == [[0, 0, -1, -1, -1, -1, -1, -1]]
    assert forest.depth_RL.tolist() == [[0, 1, 2, 3, 3, 0, 1, 2]]


def test_a_block_sees_itself_whole_and_nothing_of_other_trees() -> None:
    other = sequence([WHAT, RED, BLUE], 2)
    forest = build_forest([*two_answers(), other], pad_id=0, max_row=16, both_ways="prompt")
    mask = dense_mask(forest.reach_RL, torch.float32, forest.depth_RL, None, forest.block_RL)
    assert (mask[0, 0, :, :] == 0).int().tolist() == [
        [1, 1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 0, 1, 1, 1],
    ]
