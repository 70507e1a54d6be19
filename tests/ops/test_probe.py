"""The linear probe reads what is there, and says how much on data that it has not seen."""

import numpy as np
import pytest
import torch

from metarl_lab.ops.probe import fit_probe, r_squared


def data(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    h = torch.randn(n, 3, generator=generator) + 5  # far from zero: a shrunk bias would show
    y = torch.stack((2 * h[:, 0] - h[:, 1] + 7, h[:, 2] ** 2), 1)
    return h, y


def test_a_linear_quantity_is_read_exactly_and_another_is_not() -> None:
    probe = fit_probe(*data(2000, 0), ridge=1e-9)
    np.testing.assert_allclose(probe.weight[:, 0], [2, -1, 0], atol=1e-5)
    assert abs(probe.bias[0].item() - 7) < 1e-4
    h, y = data(500, 1)
    score = r_squared(y, probe.read(h))
    assert score[0] > 0.999999 and 0.5 < score[1] < 0.999


def test_it_is_the_minimum_of_the_penalised_error() -> None:
    h, y = (x.double() for x in data(50, 0))
    probe = fit_probe(h, y, ridge=0.3)
    weight, bias = probe.weight.clone().requires_grad_(), probe.bias.clone().requires_grad_()
    ((h @ weight + bias - y).square().sum(1).mean() + 0.3 * weight.square().sum()).backward()
    torch.testing.assert_close(weight.grad, torch.zeros_like(weight), atol=1e-9, rtol=0)
    torch.testing.assert_close(bias.grad, torch.zeros_like(bias), atol=1e-9, rtol=0)


def test_noise_scores_about_nothing_on_new_data_and_something_on_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    h, y = torch.randn(2, 60, 40, generator=generator), torch.randn(2, 60, 1, generator=generator)
    probe = fit_probe(h[0], y[0])
    assert r_squared(y[0], probe.read(h[0])) > 0.4 and r_squared(y[1], probe.read(h[1])) < 0


def test_leading_axes_are_examples() -> None:
    h, y = data(60, 0)
    a, b = fit_probe(h, y), fit_probe(h.view(5, 12, 3), y.view(5, 12, 2))
    torch.testing.assert_close(a.weight, b.weight)
    assert a.read(h.view(5, 12, 3)).shape == (5, 12, 2)


def test_scores_by_hand() -> None:
    y = torch.tensor([[1.0, 4.0], [2.0, 4.0], [3.0, 4.0]])
    x = torch.tensor([[1.0, 4.0], [2.0, 4.0], [2.0, 4.0]])
    score = r_squared(y, x)
    assert score[0].item() == pytest.approx(0.5) and score[1].isnan()


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(ValueError, match="same leading axes"):
        fit_probe(torch.zeros(4, 2), torch.zeros(5, 1))
    with pytest.raises(ValueError, match="ridge"):
        fit_probe(torch.zeros(4, 2), torch.zeros(4, 1), ridge=0)
    with pytest.raises(ValueError, match="alike"):
        r_squared(torch.zeros(4, 1), torch.zeros(4, 2))
