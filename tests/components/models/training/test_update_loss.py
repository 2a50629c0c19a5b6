import math
from types import SimpleNamespace

import torch

from components.models.training.update_loss import logits_needed, update_loss

LABELS = torch.tensor([[-100, -100, 1, 0, -100], [-100, -100, -100, 2, -100]])


def logits() -> torch.Tensor:
    values = torch.zeros(2, 5, 3)
    values[0, 1] = torch.tensor([0.0, math.log(2.0), 0.0])  # label 1 with probability 1/2
    values[0, 2] = torch.tensor([math.log(8.0), 0.0, 0.0])  # label 0 with probability 4/5
    values[1, 2] = torch.tensor([0.0, 0.0, math.log(6.0)])  # label 2 with probability 3/4
    return values


def test_hand_numbers():
    expected = (math.log(2) + math.log(5 / 4) + math.log(4 / 3)) / 3
    loss = update_loss(SimpleNamespace(logits=logits()), LABELS, 3)
    torch.testing.assert_close(loss, torch.tensor(expected))


def test_logits_before_the_first_response_are_not_needed():
    kept = logits_needed(LABELS)
    assert kept == 4
    part = update_loss(SimpleNamespace(logits=logits()[:, -kept:]), LABELS, 3)
    torch.testing.assert_close(part, update_loss(SimpleNamespace(logits=logits()), LABELS, 3))


def test_batches_of_an_update_add_up_to_its_mean():
    whole = update_loss(SimpleNamespace(logits=logits()), LABELS, 3)
    parts = [update_loss(SimpleNamespace(logits=logits()[row : row + 1]), LABELS[row : row + 1], 3) for row in (0, 1)]
    torch.testing.assert_close(sum(parts), whole)


def test_gradients_reach_only_predicting_positions():
    values = logits().requires_grad_()
    update_loss(SimpleNamespace(logits=values), LABELS, 3).backward()
    assert values.grad is not None
    touched = values.grad.abs().sum(-1) > 0
    assert touched.tolist() == [[False, True, True, False, False], [False, False, True, False, False]]
