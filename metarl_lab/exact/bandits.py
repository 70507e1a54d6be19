"""Bernoulli bandits with arms drawn from U(0, 1): posteriors and Gittins indices.

An arm that has paid s times and failed f times has posterior Beta(1 + s, 1 + f). ``counts`` (..., k, 2) holds
(s, f) of k arms. Exact Bayes-optimal play is in ``bernoulli_bandit``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_PRIOR = 1.0  # U(0, 1) is Beta(1, 1)


def no_pulls(n_tasks: int, copies: int, arms: int, device: torch.device) -> Tensor:
    """The counts before the first pull, zeros (T, E, k, 2)."""
    return torch.zeros(n_tasks, copies, arms, 2, device=device)


def count_pull(counts: Tensor, action: Tensor, reward: Tensor) -> Tensor:
    """The counts after one pull; action (...) int64, -1 for none yet, reward (...) 0 or 1; new (..., k, 2)."""
    pulled = action.unsqueeze(-1) == torch.arange(counts.shape[-2], device=counts.device)  # (..., k); -1 is no arm
    outcome = torch.stack((reward, 1 - reward), -1)  # (..., 2)
    return counts + pulled.unsqueeze(-1) * outcome.unsqueeze(-2)


def beta_parameters(counts: Tensor) -> tuple[Tensor, Tensor]:
    """a = 1 + s and b = 1 + f of the posterior Beta(a, b), each (..., k)."""
    return counts[..., 0] + _PRIOR, counts[..., 1] + _PRIOR


def posterior_mean(counts: Tensor) -> Tensor:
    """E[p | s, f] = (1 + s) / (2 + s + f), (..., k)."""
    a, b = beta_parameters(counts)
    return a / (a + b)


def finite_gittins(pulls: int, grid: int = 1024) -> np.ndarray:
    """Gittins indices with a finite number of pulls left, by calibration.

    The index of an arm with n pulls left is the rate of pay of a known arm that makes one indifferent between playing
    the unknown arm (and stopping at will) and never touching it:

        index_n(s, f) = sup { x : W_n(s, f; x) >= 0 },   V_n = max(0, W_n),   V_0 = 0,
        W_n(s, f; x) = p - x + p V_{n-1}(s + 1, f; x) + (1 - p) V_{n-1}(s, f + 1; x),   p = (1 + s) / (2 + s + f).

    Source: Gittins 1979; the finite-horizon form is Kaufmann 2018, "On Bayesian index policies for sequential resource
    allocation", section 3. W is exact at each x of a grid and piecewise linear between; its zero is interpolated. As W
    is convex, this is never too low, and it is exact unless W has a kink in the very cell of its zero (measured for
    the default grid and 10 pulls: at most 3e-5 too high).

    Parameters
    ----------
    pulls : int
        N, pulls in all: indices are for s + f + n <= N.
    grid : int
        Number of steps of x between 0 and 1.

    Returns
    -------
    ndarray (N + 1, N, N) float32
        ``index[n, s, f]``; NaN where no pulls are left or s + f + n > N.
    """
    if pulls < 1 or pulls > 400:
        raise ValueError(f"pulls={pulls} is not allowed: the table has pulls^3 entries; give 1 to 400 pulls")
    x = np.linspace(0, 1, grid + 1)
    table = np.full((pulls + 1, pulls, pulls), np.nan, dtype=np.float32)
    # value[t][s] is V(s, t - s; x) with n - 1 pulls left, as a (t + 1, grid + 1) array
    value = [np.zeros((t + 1, grid + 1)) for t in range(pulls + 1)]
    for left in range(1, pulls + 1):
        for t in range(pulls - left + 1):  # in rising order: value[t + 1] still is of n - 1 when it is read
            s = np.arange(t + 1)
            worth = _play_on(s, t, x, value[t + 1], discount=1.0)
            table[left, s, t - s] = _zero(x, worth)
            value[t] = np.maximum(worth, 0)
    return table


def discounted_gittins(discount: float, observations: int, grid: int = 512, tail: int = 1000) -> np.ndarray:
    """Gittins indices for an endless discounted future, by calibration.

    index(s, f) = sup { x : W(s, f; x) >= 0 },  W = p - x + discount (p V(s + 1, f; x) + (1 - p) V(s, f + 1; x)).

    Source: Gittins, Glazebrook and Weber 2011, chapter 8. Backward from arms with ``tail`` observations, whose payment
    rate is taken as known: V = max(0, p - x) / (1 - discount).

    Returns
    -------
    ndarray (observations + 1, observations + 1)
        ``index[s, f]``; NaN where s + f > observations.
    """
    if not 0 <= discount < 1:
        raise ValueError(f"discount={discount} is not allowed; give 0 <= discount < 1, or use finite_gittins")
    if observations >= tail:
        raise ValueError(f"observations={observations} must be below tail={tail}; raise tail")
    x = np.linspace(0, 1, grid + 1)
    table = np.full((observations + 1, observations + 1), np.nan)
    last = (np.arange(tail + 1) + _PRIOR) / (tail + 2 * _PRIOR)
    value = np.maximum(last[:, None] - x, 0) / (1 - discount)  # (tail + 1, grid + 1)
    for t in reversed(range(tail)):
        s = np.arange(t + 1)
        worth = _play_on(s, t, x, value, discount)
        if t <= observations:
            table[s, t - s] = _zero(x, worth)
        value = np.maximum(worth, 0)
    return table


def _play_on(s: np.ndarray, t: int, x: np.ndarray, after: np.ndarray, discount: float) -> np.ndarray:
    """W of arms with s = 0..t successes in t observations, (t + 1, X); after: V with t + 1 observations, (t + 2, X)."""
    p = ((s + _PRIOR) / (t + 2 * _PRIOR))[:, None]
    return p - x + discount * (p * after[1:] + (1 - p) * after[:-1])


def _zero(x: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """Where each row of worth (N, X), decreasing along x, crosses zero; linear between grid points."""
    i = np.clip((worth >= 0).sum(1) - 1, 0, len(x) - 2)  # W >= 0 at i, < 0 at i + 1
    rows = np.arange(len(worth))
    high, low = worth[rows, i], worth[rows, i + 1]
    return x[i] + (x[i + 1] - x[i]) * high / (high - low)
