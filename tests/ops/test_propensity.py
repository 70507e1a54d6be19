"""Propensity scores: known densities, scipy's optimum of the same objective, each task alone, ESS by hand."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from metarl_lab.ops.propensity import density_ratio, effective_sample_size, logistic_regression


def normal(seed: int, *size: int, mean: float = 0.0) -> Tensor:
    return mean + torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def everything(x: Tensor) -> Tensor:
    return torch.ones(x.shape[:2], dtype=torch.bool)


@pytest.mark.parametrize("rows", [40_000, 4_000])
def test_of_two_gaussians_the_odds_are_the_density_ratio_whatever_the_numbers(rows: int) -> None:
    """log N(x; m, I) / N(x; 0, I) = m . x - |m|^2 / 2: linear, so nothing is lost."""
    mean = torch.tensor([0.8, -0.4])
    weights = logistic_regression(normal(1, 1, rows, 2) + mean, torch.ones(1, rows, dtype=torch.bool),
        normal(2, 40_000, 2), ridge=1e-6)  # fmt: skip
    exact = torch.cat((mean, -mean.square().sum().view(1) / 2))
    torch.testing.assert_close(weights[0], exact, rtol=0, atol=0.03 if rows == 40_000 else 0.08)
    x = normal(3, 1000, 2)
    ratio = density_ratio(weights, x, clip=1e9)[0]
    torch.testing.assert_close(ratio, (x @ mean - mean.square().sum() / 2).exp(), rtol=0.2, atol=0.02)
    # E_old[beta] = 1, and ESS / n = (E beta)^2 / E beta^2 = exp(-|m|^2)
    old = normal(4, 100_000, 2)
    beta = density_ratio(weights, old, clip=1e9)
    assert float(beta.mean()) == pytest.approx(1, abs=0.05)
    assert float(effective_sample_size(beta)) == pytest.approx(float((-mean.square().sum()).exp()), abs=0.06)


def test_of_the_same_data_all_weights_are_one() -> None:
    x = normal(1, 300, 4)
    weights = logistic_regression(x.expand(3, -1, -1), everything(x.expand(3, -1, -1)), x, ridge=0.01)
    beta = density_ratio(weights, x, clip=10.0)
    torch.testing.assert_close(beta, torch.ones(3, 300), rtol=0, atol=1e-5)
    torch.testing.assert_close(effective_sample_size(beta), torch.ones(3))


def test_it_is_the_optimum_that_scipy_finds() -> None:
    new, old, ridge = normal(1, 1, 60, 3, mean=0.7).double(), normal(2, 90, 3).double(), 0.03
    mask = torch.rand(1, 60, generator=torch.Generator().manual_seed(3)) < 0.6
    x, z = new[0][mask[0]].numpy(), old.numpy()

    def objective(w: np.ndarray) -> float:
        loss = np.logaddexp(0, -(x @ w[:3] + w[3])).mean() + np.logaddexp(0, z @ w[:3] + w[3]).mean()
        return float(loss / 2 + ridge / 2 * (w[:3] ** 2).sum())

    best = minimize(objective, np.zeros(4), method="BFGS", options={"gtol": 1e-9})
    ours = logistic_regression(new, mask, old, ridge)[0].numpy()
    np.testing.assert_allclose(ours, best.x, atol=1e-5)


def test_each_task_alone_gives_the_same() -> None:
    new, old = normal(1, 5, 40, 3) + torch.linspace(0, 3, 5).view(5, 1, 1), normal(2, 50, 3)
    mask = torch.rand(5, 40, generator=torch.Generator().manual_seed(3)) < 0.5
    mask[:, 0] = True
    together = logistic_regression(new, mask, old, 0.01)
    for n in range(5):
        alone = logistic_regression(new[n : n + 1][:, mask[n]], mask[n : n + 1, mask[n]], old, 0.01)
        torch.testing.assert_close(together[n : n + 1], alone, rtol=1e-3, atol=1e-4)
    moved = new.clone()
    moved[2] += 1
    again = logistic_regression(moved, mask, old, 0.01)
    assert torch.equal(again[[0, 1, 3, 4]], together[[0, 1, 3, 4]]) and not torch.equal(again[2], together[2])


@pytest.mark.parametrize("gap", [6.0, 30.0, 3000.0])
def test_separable_classes_give_a_finite_answer_that_tells_them_apart(gap: float) -> None:
    """Plain Newton steps overshoot here: without the ridge there is no optimum at all."""
    new, old = normal(1, 1, 30, 2) + gap, normal(2, 30, 2)
    weights = logistic_regression(new, everything(new), old, ridge=1e-3, iterations=30)
    assert weights.isfinite().all()
    ratio = density_ratio(weights, torch.cat((new[0], old)), clip=5.0)[0]
    assert (ratio[:30] > 1).all() and (ratio[30:] < 1).all() and ratio.max() <= 5


def test_effective_sample_size_by_hand() -> None:
    weights = torch.tensor([[1.0, 1, 1, 1], [1, 0, 0, 0], [2, 1, 1, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(effective_sample_size(weights), torch.tensor([1, 0.25, 16 / (4 * 6), 0]))
    torch.testing.assert_close(effective_sample_size(weights[:3] * 1e-30), effective_sample_size(weights[:3]))


def test_mistakes_are_refused() -> None:
    x = normal(1, 2, 5, 3)
    with pytest.raises(ValueError, match="new must be"):
        logistic_regression(x[0], everything(x), x[0], 0.1)
    with pytest.raises(ValueError, match="ridge"):
        logistic_regression(x, everything(x), x[0], 0.0)
    with pytest.raises(ValueError, match="density_ratio"):
        density_ratio(torch.zeros(2, 3), x[0], 1.0)
    with pytest.raises(ValueError, match="effective_sample_size"):
        effective_sample_size(torch.ones(3))
