"""Targets over whole trials, on numbers worked out by hand."""

import pytest
import torch

from metarl_lab.ops.td import trial_targets

REWARD = torch.tensor([1.0, 2.0, 4.0, 0.0])[:, None]  # say, two episodes of one and two steps, then a dead step
VALUE = torch.tensor([[9.0, 9.0], [10.0, 20.0], [30.0, 40.0], [77.0, 77.0]])[:, None]  # (L, B, G)
LIVE = torch.tensor([True, True, True, False])[:, None]
DISCOUNTS = torch.tensor([0.5, 0.1])


def test_two_discounts_one_step_ahead() -> None:
    """Each discount reads its own values; only the trial's last live step looks at nothing behind it."""
    found = trial_targets(REWARD, VALUE, LIVE, DISCOUNTS, lam=0.0)[:, 0]
    expected = torch.tensor([[1 + 0.5 * 10, 1 + 0.1 * 20], [2 + 0.5 * 30, 2 + 0.1 * 40], [4.0, 4.0], [0.0, 0.0]])
    torch.testing.assert_close(found, expected)


def test_lambda_one_is_the_discounted_return_and_between_lies_the_mixture() -> None:
    returns = trial_targets(REWARD, VALUE, LIVE, DISCOUNTS, lam=1.0)[:, 0]
    torch.testing.assert_close(returns, torch.tensor([[3.0, 1.24], [4.0, 2.4], [4.0, 4.0], [0.0, 0.0]]))
    half = trial_targets(REWARD, VALUE, LIVE, DISCOUNTS, lam=0.5)[:, 0, 0]
    y1 = 2 + 0.5 * (0.5 * 30 + 0.5 * 4)  # 10.5
    torch.testing.assert_close(half, torch.tensor([1 + 0.5 * (0.5 * 10 + 0.5 * y1), y1, 4.0, 0.0]))


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match=r"value \(L, B, G\)"):
        trial_targets(REWARD, VALUE[..., :1], LIVE, DISCOUNTS, 0.0)
