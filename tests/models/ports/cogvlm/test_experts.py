"""Every token goes through its own expert, in place, however images and texts lie in the rows."""

from __future__ import annotations

import pytest
import torch

from sightline.models.ports.cogvlm.experts import Runs, by_expert, find_runs, inner_tokens

ROWS = {
    "one image": [[0, 1, 1, 1, 1, 0, 0]],
    "two images in a row": [[0, 1, 1, 1, 0, 0, 1, 1, 0]],
    "an image at the end, one at the start of the next row": [[0, 0, 1, 1, 1], [1, 1, 1, 0, 0]],
    "an image beside a text": [[0, 1, 1, 1], [0, 0, 0, 0]],
    "texts": [[0, 0], [0, 0]],
    "nothing but an image": [[1, 1, 1]],
    "one token": [[0]],
}


def test_the_last_token_of_each_image_is_the_language_experts():
    types = torch.tensor(ROWS["an image at the end, one at the start of the next row"])
    assert inner_tokens(types).int().tolist() == [[0, 0, 1, 1, 0], [1, 1, 0, 0, 0]]


def test_stretches_are_those_between_changes():
    assert find_runs(torch.tensor(ROWS["two images in a row"]), 9) == Runs((1, 2, 3, 1, 2), vision_first=False)
    assert find_runs(torch.tensor(ROWS["nothing but an image"]), 3) == Runs((2, 1), vision_first=True)
    assert find_runs(None, 7) == find_runs(torch.zeros(1, 7), 7) == Runs((7,), vision_first=False)


@pytest.mark.parametrize("grad", [True, False], ids=["training", "answering"])
@pytest.mark.parametrize("name", ROWS)
def test_outputs_and_gradients_are_those_of_token_after_token(name, grad):
    torch.manual_seed(0)
    types = torch.tensor(ROWS[name])
    vision, language = torch.nn.Linear(3, 5), torch.nn.Linear(3, 5)
    hidden = torch.randn(*types.shape, 3, requires_grad=grad)
    with torch.set_grad_enabled(grad):
        found = by_expert(vision, language, hidden, find_runs(types, types.numel()))
        own = inner_tokens(types)[..., None]
        expected = torch.where(own, vision(hidden), language(hidden))
    torch.testing.assert_close(found, expected)
    if not grad:
        return
    weights = [hidden, *vision.parameters(), *language.parameters()]
    ours = torch.autograd.grad(found.square().sum(), weights)  # raises where a weight has no gradient
    torch.testing.assert_close(ours, torch.autograd.grad(expected.square().sum(), weights))
