"""The two-door maze of chapter 06, trajectory by trajectory, and every batch of episodes that can be drawn from it."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Maze(NamedTuple):
    """Every trajectory of a maze, one per row: K trajectories of at most H steps."""

    which: Tensor  # (K, H) int64: the parameter that decides the step, 0 at a junction and 1 at the doors
    sign: Tensor  # (K, H) +1 for on, or the right door; -1 for the snack, or the left door
    live: Tensor  # (K, H) 1 for a step, 0 after the episode's end
    reward: Tensor  # (..., K, H) points


def maze(steps: int = 2) -> Maze:
    """World R: `steps` - 1 junctions, each with a snack (0.5 points), then two doors, left -1 and right +1.

    Trajectory k takes the snack at junction k; the last two meet the left and the right door. With two steps that is
    chapter 03's maze: snack, left, right.
    """
    shape = (steps + 1, steps)
    which = torch.zeros(shape, dtype=torch.int64)
    sign, live = torch.ones(shape, dtype=torch.float64), torch.ones(shape, dtype=torch.float64)
    reward = torch.zeros(shape, dtype=torch.float64)
    which[:, -1] = 1
    for junction in range(steps - 1):
        sign[junction, junction] = -1
        reward[junction, junction] = 0.5
        live[junction, junction + 1 :] = 0
    left, right = -2, -1
    sign[left, -1] = -1
    reward[left, -1], reward[right, -1] = -1, 1
    return Maze(which, sign, live, reward)


def mirrored(world: Maze) -> Maze:
    """World L: the same maze with the doors' rewards swapped."""
    swapped = world.reward.clone()
    swapped[..., -2:, -1] = -world.reward[..., -2:, -1]
    return world._replace(reward=swapped)


def batches(episodes: int, kinds: int) -> Tensor:
    """Every batch of N episodes, as how many of each trajectory it holds.

    Returns
    -------
    Tensor (B, K)
        Counts that sum to N, all of them: B = (N + K - 1 choose K - 1), by stars and bars.
    """
    places = episodes + kinds - 1
    bars = np.array(list(combinations(range(places), kinds - 1)))  # (B, K - 1)
    bars = np.pad(bars, ((0, 0), (1, 1)), constant_values=((0, 0), (-1, places)))
    return torch.tensor(np.diff(bars, axis=1) - 1.0)


def log_ways(counts: Tensor) -> Tensor:
    """Logarithm of the number of orders in which a batch can have been drawn; counts (B, K) -> (B,)."""
    return torch.lgamma(counts.sum(-1) + 1) - torch.lgamma(counts + 1).sum(-1)
