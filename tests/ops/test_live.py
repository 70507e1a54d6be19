"""A mean over live steps reads nothing else."""

import pytest
import torch

from metarl_lab.ops.live import live_mean

LIVE = torch.tensor([True, True, True, False])[:, None]  # (L, B)


def test_the_mean_is_over_live_steps_whatever_stands_elsewhere() -> None:
    x = torch.tensor([1.0, 5.0, 0.0, float("nan")])[:, None]
    assert live_mean(x, LIVE).item() == pytest.approx(2.0)


def test_further_axes_are_averaged_too() -> None:
    x = torch.tensor([[1.0, 3.0], [5.0, 7.0], [0.0, 2.0], [float("nan")] * 2])[:, None]  # (L, B, G)
    assert live_mean(x, LIVE).item() == pytest.approx(3.0)


def test_steps_that_are_not_live_have_no_gradient() -> None:
    x = torch.tensor([1.0, 5.0, 0.0, 9.0])[:, None].requires_grad_()
    (slope,) = torch.autograd.grad(live_mean(x, LIVE), x)
    torch.testing.assert_close(slope[:, 0], torch.tensor([1 / 3, 1 / 3, 1 / 3, 0.0]))


def test_axes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="must begin with the axes of live"):
        live_mean(torch.zeros(4), LIVE)
