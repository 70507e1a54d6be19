"""Posteriors and Gittins indices against published figures, brute-force optimal stopping, and by hand."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from metarl_lab.exact.bandits import count_pull, discounted_gittins, finite_gittins, no_pulls, posterior_mean

# Gittins, Glazebrook and Weber 2011 print such tables; these values were computed to 2.5e-4
PUBLISHED = {
    0.9: {(1, 1): 0.7028, (2, 1): 0.8002, (1, 2): 0.5002, (2, 2): 0.6348, (5, 5): 0.5677, (10, 10): 0.5372},
    0.99: {(1, 1): 0.8698, (2, 1): 0.9103, (1, 2): 0.7007, (2, 2): 0.7843, (5, 5): 0.6697, (10, 10): 0.6047},
}


def test_posterior_mean_by_hand() -> None:
    """One task, one copy, two arms: arm 1 pays, pays, fails: Beta(3, 2), mean 3/5; arm 0 untouched, 1/2."""
    counts = no_pulls(1, 1, 2, torch.device("cpu"))
    for action, reward in ((-1, 0.0), (1, 1.0), (1, 1.0), (1, 0.0)):
        counts = count_pull(counts, torch.tensor([[action]]), torch.tensor([[reward]]))
    assert counts.tolist() == [[[[0.0, 0.0], [2.0, 1.0]]]]
    torch.testing.assert_close(posterior_mean(counts), torch.tensor([[[0.5, 0.6]]]))


@pytest.mark.parametrize("discount", PUBLISHED)
def test_discounted_index_equals_published(discount: float) -> None:
    index = discounted_gittins(discount, observations=18)
    for (a, b), value in PUBLISHED[discount].items():
        assert index[a - 1, b - 1] == pytest.approx(value, abs=5e-4), (a, b)


def test_discounted_index_by_hand() -> None:
    """Discount 4/5, everything known after one observation: an arm worth 2/3 then pays 5 (2/3 - x) in all.

    1/2 - x + 4/5 1/2 5 (2/3 - x) = 0  =>  x = (1/2 + 4/3) / 3 = 11/18.
    """
    assert discounted_gittins(0.8, 0, tail=1)[0, 0] == pytest.approx(11 / 18, abs=1e-9)


def test_finite_index_by_hand() -> None:
    """One pull left: the mean. Two left on Beta(1, 1), indifference at x in (1/3, 2/3):

    1/2 - x + 1/2 (2/3 - x) = 0  =>  x = 5/9.
    """
    index = finite_gittins(3)
    assert index[1, 0, 0] == pytest.approx(1 / 2, abs=1e-6)
    assert index[1, 2, 0] == pytest.approx(3 / 4, abs=1e-6)
    assert index[2, 0, 0] == pytest.approx(5 / 9, abs=1e-6)
    assert np.isnan(index[0]).all() and np.isnan(index[3, 1, 0])


def stopping_index(successes: int, failures: int, left: int) -> float:
    """sup over stopping times of E[rewards before stopping] / E[pulls before stopping], by bisection.

    A second definition: the index is where the best of (reward - x per pull) leaves zero.
    """

    def gain(x: float) -> float:
        @cache
        def w(s: int, f: int, n: int) -> float:
            if n == 0:
                return 0.0
            p = (1 + s) / (2 + s + f)
            return p - x + p * max(0.0, w(s + 1, f, n - 1)) + (1 - p) * max(0.0, w(s, f + 1, n - 1))

        return w(successes, failures, left)

    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if gain(middle) >= 0 else (low, middle)
    return low


@pytest.mark.parametrize("state", [(0, 0, 10), (2, 1, 7), (0, 3, 5), (4, 4, 2)])
def test_finite_index_equals_optimal_stopping(state: tuple[int, int, int]) -> None:
    s, f, left = state
    assert finite_gittins(10)[left, s, f] == pytest.approx(stopping_index(s, f, left), abs=3e-5)


def test_finite_index_rises_with_pulls_left_and_exceeds_the_mean() -> None:
    """Knowing more of an arm can only be worth something while there are pulls to use it in."""
    index = finite_gittins(30)[1:, 1, 2]
    valid = index[~np.isnan(index)]
    assert len(valid) == 27 and (np.diff(valid) > 0).all() and valid[0] == pytest.approx(2 / 5, abs=1e-6)


def test_the_grid_error_is_above_zero_and_small() -> None:
    """The claim of the docstring: interpolation in a convex function never gives too low an index."""
    exact = finite_gittins(10, grid=16384)
    for grid, most in ((64, 1 / 64 / 10), (1024, 3e-5)):
        error = finite_gittins(10, grid) - exact
        assert np.nanmin(error) > -1e-6 and np.nanmax(error) < most


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="pulls=401"):
        finite_gittins(401)
    with pytest.raises(ValueError, match="discount=1"):
        discounted_gittins(1.0, 3)
    with pytest.raises(ValueError, match="raise tail"):
        discounted_gittins(0.9, 10, tail=10)
