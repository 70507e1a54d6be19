"""The gain model: moments of the mixture by hand, a known function with its noise, doubt away from data, time."""

from __future__ import annotations

import math

import pytest
import torch

from metarl_lab.nets.gain_model import GainModel


def made(features: int, **options: int) -> GainModel:
    torch.manual_seed(0)
    return GainModel(features, **options)


def fitted(model: GainModel, x: torch.Tensor, age: torch.Tensor, y: torch.Tensor, steps: int = 300) -> GainModel:
    model.standardise_features(x)
    model.standardise_scores(y)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(x, age, y).backward()
        optimizer.step()
    return model


def test_the_mixtures_moments_by_hand():
    model = made(2, members=2, hidden=3)
    model.standardise_scores(torch.tensor([[-2.0, 0.0], [4.0, 8.0]]))  # centres 1 and 4; scales sqrt(18), sqrt(32)
    with torch.no_grad():
        model.network.weight2.zero_()
        # each member: before, gain, log standard deviations before the bound
        bias = torch.tensor([[0.5, 1.0, 0.0, 0.6], [-0.5, -0.5, 0.0, -0.9]])
        model.network.bias2.copy_(bias.unsqueeze(1))
    now = model.predict(torch.randn(4, 2))
    scale = math.sqrt(32)
    gains = [4 + scale * 1.0, 4 - scale * 0.5]
    noise = [scale * math.exp(3 * math.tanh(v / 3) - 1) for v in (0.6, -0.9)]
    doubt = (gains[0] - gains[1]) / 2
    std = math.sqrt((noise[0] ** 2 + noise[1] ** 2) / 2 + doubt**2)
    want = {"before": 1.0, "gain": sum(gains) / 2, "after": 1 + sum(gains) / 2, "doubt": doubt, "std": std}
    for key, value in want.items():
        torch.testing.assert_close(getattr(now, key), torch.full((4,), value), msg=lambda m, key=key: f"{key}: {m}")


def test_it_learns_a_function_and_the_noise_about_it():
    chance = torch.Generator().manual_seed(1)
    x = torch.rand(600, 2, generator=chance) * 2 - 1
    noise = torch.where(x[:, 0] > 0, 0.5, 0.05)
    before, gain = 3 * x[:, 1] - 10, x[:, 0] ** 2
    y = torch.stack((before, gain + noise * torch.randn(600, generator=chance)), 1)
    model = fitted(made(2), x, torch.zeros(600), y)
    grid = torch.rand(200, 2, generator=chance) * 1.6 - 0.8
    now = model.predict(grid)
    assert (now.before - (3 * grid[:, 1] - 10)).abs().mean() < 0.15
    assert (now.gain - grid[:, 0] ** 2).abs().mean() < 0.12
    loud, quiet = now.std[grid[:, 0] > 0.2].mean(), now.std[grid[:, 0] < -0.2].mean()
    assert 0.35 < loud < 0.65 and quiet < 0.2, (loud, quiet)


def test_doubt_is_where_there_are_no_data():
    chance = torch.Generator().manual_seed(1)
    x = torch.randn(200, 2, generator=chance)
    near = x[x[:, 0] < 0]  # nothing is known of the right half
    model = made(2)
    y = torch.stack((near[:, 1], near.sum(1)), 1)
    fitted(model, near, torch.zeros(len(near)), y)
    there, nowhere = model.predict(near).doubt.mean(), model.predict(near * torch.tensor([-3.0, 1.0])).doubt.mean()
    assert nowhere > 3 * there


def test_old_scores_say_what_was():
    """The learner has got better on every task by 4 over the window: now is not the window's mean."""
    chance = torch.Generator().manual_seed(1)
    x, age = torch.randn(300, 1, generator=chance), -torch.rand(300, generator=chance)
    y = torch.stack((torch.zeros(300), x[:, 0] + 4 * age), 1)
    model = fitted(made(1), x, age, y)
    grid = torch.linspace(-1, 1, 9).unsqueeze(1)
    torch.testing.assert_close(model.predict(grid).gain, grid[:, 0], atol=0.4, rtol=0)
    torch.testing.assert_close(model.predict(grid, age=-1.0).gain, grid[:, 0] - 4, atol=0.5, rtol=0)


def test_a_feature_that_never_varied_counts_for_nothing():
    model = made(2)
    model.standardise_features(torch.tensor([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0]]))
    a, b = model.predict(torch.tensor([[1.0, 7.0]])), model.predict(torch.tensor([[1.0, -100.0]]))
    assert torch.equal(a.after, b.after) and a.after.isfinite().all()


@pytest.mark.parametrize("gain", [0.0, 3.0])
def test_scores_that_never_vary_are_predicted_as_they_are(gain):
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
    y = torch.tensor([1.0, gain]).expand(50, 2)
    now = fitted(made(2), x, torch.zeros(50), y, steps=20).predict(x)
    torch.testing.assert_close(now.gain, y[:, 1], atol=1e-4, rtol=0)
    assert now.std.isfinite().all()
