"""Exact planning where objects lie on a grid, are collected by stepping on them, and come back by chance.

A state is (cell, which of n objects are present). The table of all moves would have (cells 2^n)^2 entries a task; here
a backup touches each state once, because presence changes object by object, independently.
"""

from __future__ import annotations

import torch
from torch import Tensor


def collecting_values(
    successor: Tensor, place: Tensor, reward: Tensor, end: Tensor, respawn: Tensor, horizon: int
) -> tuple[Tensor, Tensor]:
    """Optimal values of the first of ``horizon`` steps, by backward induction (Puterman 1994, section 4.5).

    Q_h(c, b, a) = X_h(c', b) with c' = successor(c, a), and for a cell c' and presence b before the step

        X_h(c', b) = E[ V_{h+1}(c', b') ]                                 nothing to collect at c'
        X_h(c', b) = reward_i + (1 - end_i) E[ V_{h+1}(c', b') ]          object i is there: b'_i = 0

    where every object absent in b is back in b' with its probability ``respawn``; the one just collected is not.

    Parameters
    ----------
    successor : Tensor (C, A) int64
        The cell that each action leads to.
    place : Tensor (T, n) int64
        The cell of each object; different ones in a task.
    reward, end, respawn : Tensor (T, n)
        What collecting an object pays, the probability that it ends the episode, and the probability per step that it
        comes back.
    horizon : int
        H, steps still to come.

    Returns
    -------
    q, v : Tensor (T, 2^n, C, A), (T, 2^n, C)
        Bit i of the second axis' index says that object i is present.
    """
    if not place.shape == reward.shape == end.shape == respawn.shape or place.ndim != 2:
        raise ValueError("collecting_values: place, reward, end and respawn must have one shape, (T, n)")
    n, cells = place.shape[1], len(successor)
    value = reward.new_zeros(len(place), 1 << n, cells)
    q = value.unsqueeze(-1).expand(*value.shape, successor.shape[1])
    for _ in range(horizon):
        landed = _expected(value, respawn, keep=None)  # (T, 2^n, C)
        for i in range(n):
            here = _collected(value, place[:, i], respawn, i)  # (T, 2^n)
            gain = reward[:, i : i + 1] + (1 - end[:, i : i + 1]) * here
            at = place[:, i, None, None].expand(-1, 1 << n, 1)
            present = torch.arange(1 << n, device=place.device) >> i & 1 == 1
            landed = landed.scatter(2, at, torch.where(present, gain, landed.gather(2, at).squeeze(2)).unsqueeze(2))
        q = landed[:, :, successor]  # (T, 2^n, C, A)
        value = q.amax(-1)
    return q, value


def _expected(value: Tensor, respawn: Tensor, keep: int | None) -> Tensor:
    """E of value (T, 2^n, ...) over which absent objects come back; object ``keep`` does not."""
    n = respawn.shape[1]
    for i in range(n):
        if i == keep:
            continue
        # bit i as an axis of its own: (T, higher bits, 2, lower bits, ...)
        split = value.unflatten(1, (1 << (n - 1 - i), 2, 1 << i))
        absent, present = split.unbind(2)
        back = respawn[:, i].view(-1, *[1] * (absent.ndim - 1))
        value = torch.stack((torch.lerp(absent, present, back.expand_as(absent)), present), 2).flatten(1, 3)
    return value


def _collected(value: Tensor, cell: Tensor, respawn: Tensor, i: int) -> Tensor:
    """E of the value at object i's cell with that object gone, (T, 2^n); the same whether or not bit i is set."""
    n = respawn.shape[1]
    there = value.gather(2, cell[:, None, None].expand(-1, 1 << n, 1)).squeeze(2)  # (T, 2^n)
    split = _expected(there, respawn, keep=i).unflatten(1, (1 << (n - 1 - i), 2, 1 << i))
    return split[:, :, :1].expand_as(split).flatten(1, 3)
