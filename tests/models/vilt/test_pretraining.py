"""Pretraining: logits equal those of transformers' heads, folders load both ways, losses are as defined."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from transformers import ViltForImageAndTextRetrieval, ViltForMaskedLM, ViltModel

from sightline.models.vilt.alignment import cosine_cost, ipot, transport_cost
from sightline.models.vilt.embedding import embed_pictures
from sightline.models.vilt.heads import build_pretraining, build_ranking
from sightline.models.vilt.pretraining import ViltForPreTraining
from sightline.models.vilt.start import load_start
from tests.models.vilt.tiny_vilt import tiny_batch, tiny_config, tiny_start

# transformers draws the order of patches; in one order for both, not a bit may differ.
IN_ORDER = "torch.multinomial"


@pytest.fixture
def patches_in_order(monkeypatch):
    monkeypatch.setattr(
        torch, "multinomial", lambda weights, count, replacement=False: torch.arange(int(count)) % len(weights)
    )


@pytest.fixture
def model():
    torch.manual_seed(0)
    return ViltForPreTraining(tiny_config(wpa_weight=0.1)).eval()


def transformers_head(model, kind, tmp_path):
    model.save_pretrained(tmp_path)
    return kind.from_pretrained(tmp_path).eval()


@pytest.mark.parametrize("sizes", [[(32, 32)] * 3, [(32, 32), (16, 40), (24, 24)]])
def test_masked_word_logits_equal_transformers(model, sizes, tmp_path, patches_in_order):
    batch = tiny_batch(sizes)
    theirs = transformers_head(model, ViltForMaskedLM, tmp_path)(**batch).logits
    ours = model(**batch).mlm_logits
    if len(set(sizes)) == 1:
        assert torch.equal(ours, theirs)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_masked_word_logits_do_not_depend_on_the_order_that_transformers_draws(model, tmp_path):
    batch = tiny_batch([(32, 32), (16, 40), (24, 24)])
    theirs = transformers_head(model, ViltForMaskedLM, tmp_path)(**batch).logits
    torch.testing.assert_close(model(**batch).mlm_logits, theirs, atol=1e-5, rtol=1e-4)


def test_matching_logits_are_the_head_on_transformers_pooled_state(model, tmp_path, patches_in_order):
    batch = tiny_batch([(32, 32)] * 3)
    pooled = transformers_head(model, ViltModel, tmp_path)(**batch).pooler_output
    assert torch.equal(model(**batch).itm_logits, functional.linear(pooled, *model.itm_score.fc.parameters()))


def test_a_ranking_head_begins_as_the_true_row_of_the_matching_head(model, tmp_path, patches_in_order):
    model.save_pretrained(tmp_path)
    tiny_start().processor.save_pretrained(tmp_path)
    ranking = build_ranking(load_start(str(tmp_path))).eval()
    assert type(ranking) is ViltForImageAndTextRetrieval
    batch = tiny_batch([(32, 32)] * 3)
    torch.testing.assert_close(ranking(**batch).logits, model(**batch).itm_logits[:, 1:], atol=1e-6, rtol=1e-6)


def test_a_folder_with_the_hubs_names_loads_whole(tmp_path):
    """dandelin/vilt-b32-mlm holds a ViltForMaskedLM: all of it arrives, and only the matching head is new."""
    torch.manual_seed(1)
    hub = ViltForMaskedLM(tiny_config())
    hub.save_pretrained(tmp_path)
    tiny_start().processor.save_pretrained(tmp_path)
    loaded, report = ViltForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert set(report["missing_keys"]) == {"itm_score.fc.weight", "itm_score.fc.bias"}
    assert not report["unexpected_keys"]
    started = build_pretraining(load_start(str(tmp_path)))
    for name, value in hub.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value) and torch.equal(started.state_dict()[name], value)


def test_losses_are_those_of_their_definitions(model):
    """Matching: cross-entropy, and 0.1 times the transport cost of true pairs minus that of false ones, averaged.
    Masked words: cross-entropy over hidden words alone."""
    batch = tiny_batch([(32, 32), (16, 40), (24, 24)])
    labels = torch.full_like(batch["input_ids"], -100)
    labels[:, 2] = batch["input_ids"][:, 2]
    masked = batch["input_ids"].clone()
    masked[:, 2] = 4
    shown, itm = torch.tensor([0, 2, 2]), torch.tensor([1, 0, 1])
    output = model(**batch, masked_ids=masked, mlm_labels=labels, shown_picture=shown, itm_labels=itm)

    mlm = model(**{**batch, "input_ids": masked}).mlm_logits
    expected_mlm = functional.cross_entropy(mlm[:, 2], batch["input_ids"][:, 2])
    torch.testing.assert_close(output.mlm_loss, expected_mlm)

    pixels, mask = batch["pixel_values"][shown], batch["pixel_mask"][shown]
    other = {**batch, "pixel_values": pixels, "pixel_mask": mask}
    itm_logits = model(**other).itm_logits
    torch.testing.assert_close(output.itm_loss, functional.cross_entropy(itm_logits, itm))

    torch.testing.assert_close(output.wpa_loss, alignment_by_hand(model, other, itm))
    torch.testing.assert_close(output.loss, output.itm_loss + output.mlm_loss + 0.1 * output.wpa_loss)


def alignment_by_hand(model, batch, labels):
    """The transport costs pair by pair, without padding: words without [CLS] and [SEP], patches without the first."""
    costs = []
    for row, label in enumerate(labels):
        length = int(batch["attention_mask"][row].sum())
        height, width = int(batch["pixel_mask"][row].sum(0)[0]), int(batch["pixel_mask"][row].sum(1)[0])
        hidden = model.vilt(
            batch["input_ids"][row : row + 1, :length],
            pixel_values=batch["pixel_values"][row : row + 1, :, :height, :width],
            pixel_mask=batch["pixel_mask"][row : row + 1, :height, :width],
        ).last_hidden_state
        cost = cosine_cost(hidden[:, 1 : length - 1], hidden[:, length + 1 :])
        plan = ipot(cost, torch.ones(cost.shape[:2]), torch.ones(cost.shape[0], cost.shape[2]))
        costs.append(transport_cost(cost, plan)[0] * (1 if label else -1))
    return torch.stack(costs).mean()


def test_masked_patches_are_guessed_from_what_is_left():
    """A hidden patch's own pixels do not reach the logits; its labels are its mean colour in 256 levels."""
    torch.manual_seed(0)
    model = ViltForPreTraining(tiny_config(masked_patches=True)).eval()
    batch = tiny_batch([(32, 32)] * 2)
    hidden = torch.zeros(2, 4, 4, dtype=torch.bool)
    hidden[:, 1, 2] = True
    changed = batch["pixel_values"].clone()
    changed[:, :, 8:16, 16:24] = 0.5
    before = model(**batch, masked_patches=hidden)
    after = model(**{**batch, "pixel_values": changed}, masked_patches=hidden)
    assert torch.equal(before.mpp_logits, after.mpp_logits)
    level = int((0.5 * 0.5 + 0.5) * 255)
    expected = functional.cross_entropy(after.mpp_logits[:, 1 * 4 + 2].flatten(0, 1), torch.full((6,), level))
    torch.testing.assert_close(after.mpp_loss, expected)


def test_without_masked_patches_there_is_no_such_head(model):
    assert not [name for name, _ in model.named_parameters() if "mpp" in name or name == "mask_token"]


def test_long_pictures_are_thinned_drawn_in_training_and_evenly_in_evaluation():
    config = tiny_config()
    config.max_image_length = 5
    body = ViltModel(config)
    batch = tiny_batch([(32, 32), (16, 16)])
    inputs = batch["pixel_values"], batch["pixel_mask"]
    places = [embed_pictures(body.eval(), *inputs).places_BP for _ in range(2)]
    assert torch.equal(*places) and places[0][0].tolist() == [-1, 0, 4, 8, 11, 15]
    drawn = {tuple(embed_pictures(body.train(), *inputs).places_BP[0].tolist()) for _ in range(10)}
    assert len(drawn) > 1
    mask = embed_pictures(body, *inputs).mask_BP
    assert mask.sum(1).tolist() == [6, 5]
