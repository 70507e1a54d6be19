"""What chapter 06 computes around its estimators: the explorer's grid, and the package's surrogates on its maze."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from metarl_lab.chapters.ch06_the_meta_gradient.maze import Maze, maze
from metarl_lab.ops.surrogates import Surrogate

HORIZONS = (2, 3, 4)  # steps of an episode
SIZES = (1, 2, 4, 8, 16)  # episodes in a batch
ALPHAS = tuple(np.arange(0.5, 5.1, 0.5).tolist())  # inner step sizes

# (episodes, inner step size, maze) -> gradient of J_infinity and of J_N, each (2,); {estimator: mean (2,)} over all
# batches, and {estimator: standard deviation (2,)} of one batch
Moments = Callable[
    [int, float, Maze], tuple[np.ndarray, np.ndarray, Mapping[str, np.ndarray], Mapping[str, np.ndarray]]
]


def print_exact(rows: Mapping[str, Sequence[float]], columns: Sequence[str], digits: int = 3) -> None:
    """Print a table of exact numbers, a row each; nbval compares it whole."""
    table = pd.DataFrame(dict(rows), index=list(columns)).T.astype(float).round(digits)
    print((table + 0.0).to_string())  # + 0.0: no minus zero


def per_trajectory(surrogate: Surrogate) -> Callable[[Tensor, Tensor], Tensor]:
    """A surrogate of the package as one of the chapter.

    The package's takes log pi, advantage and mask, each (T, N, H), and sums over the episodes of a task. The chapter's
    takes log pi and reward, (..., K, H), and gives one number a trajectory, (..., K): each is a task of its own here.
    """

    def of_each(log_pi: Tensor, reward: Tensor) -> Tensor:
        to_go = reward.flip(-1).cumsum(-1).flip(-1).expand_as(log_pi)
        one = log_pi.flatten(0, -2).unsqueeze(1)  # (T, 1, H)
        found = surrogate(one, to_go.reshape_as(one), torch.ones_like(one), None)
        return found.view(log_pi.shape[:-1])

    return of_each


def estimator_grid(
    moments: Moments,
    names: Sequence[str],
    horizons: Sequence[int] = HORIZONS,
    sizes: Sequence[int] = SIZES,
    alphas: Sequence[float] = ALPHAS,
) -> dict[str, np.ndarray]:
    """Bias and spread of E estimators for every horizon, batch size and step size; by theta_0, the first parameter.

    Returns
    -------
    "mean" and "spread" (H, S, A, E), the mean over all batches and the standard deviation of one; "expected" (H, A)
    and "finite" (H, S, A), the exact gradients of J_infinity and of J_N.
    """
    shape = len(horizons), len(sizes), len(alphas)
    grid = {
        "mean": np.zeros((*shape, len(names))),
        "spread": np.zeros((*shape, len(names))),
        "expected": np.zeros((shape[0], shape[2])),
        "finite": np.zeros(shape),
    }
    for h, s, a in tqdm(list(product(*map(range, shape))), desc="settings", leave=False):
        expected, finite, mean, spread = moments(sizes[s], alphas[a], maze(horizons[h]))
        grid["expected"][h, a] = expected[0]
        grid["finite"][h, s, a] = finite[0]
        grid["mean"][h, s, a] = [mean[name][0] for name in names]
        grid["spread"][h, s, a] = [spread[name][0] for name in names]
    return grid
