"""The Gittins index with the pulls that are left: nearly the best play, one arm at a time."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.exact.bandits import count_pull, finite_gittins, no_pulls, posterior_mean
from metarl_lab.ops.sampling import random_argmax
from metarl_lab.references.base import Reference, check_family
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.tasks.bernoulli_bandit import BernoulliBandit
from metarl_lab.types import Memory, Seen


class Gittins(Reference):
    """Pull the arm with the largest finite-horizon Gittins index (see ``exact.bandits.finite_gittins``).

    With a discount and no end, playing the index is optimal (Gittins 1979). With a number of pulls left it is not,
    quite: 6.02152 against 6.02179 for two arms and ten pulls. With five arms and ten pulls it is optimal too.

    Parameters
    ----------
    family : BernoulliBandit
    pulls : int, optional
        Pulls in the whole trial, by default one episode's. Later ones are played greedily: the agent was not told of
        them. Give ``pulls=episodes * horizon`` for a trial of several episodes; at most 400.
    """

    name: ClassVar[str] = "gittins"
    source: ClassVar[str] = "Gittins 1979; Kaufmann 2018, section 3"

    def __init__(self, family: TaskFamily, pulls: int | None = None) -> None:
        super().__init__(family)
        check_family(self.name, family, BernoulliBandit)
        self.pulls = self.spec.horizon if pulls is None else pulls
        self._table = torch.from_numpy(finite_gittins(self.pulls))  # (N + 1, N, N): [left, successes, failures]

    def begin(self, n_tasks: int, copies: int) -> Memory:
        self._table = self._table.to(self.device)
        return no_pulls(n_tasks, copies, self.spec.action_size, self.device)

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        counts = count_pull(memory, seen.action, seen.reward)
        left = (self.pulls - counts.sum((-1, -2))).long().unsqueeze(-1)  # (T, E, 1)
        cell = counts.long().clamp_max(self.pulls - 1)
        planned = self._table[left.clamp_min(0), cell[..., 0], cell[..., 1]]  # (T, E, k)
        # with one pull left the index is the mean, exactly
        index = torch.where(left > 1, planned, posterior_mean(counts))
        return random_argmax(index, noise[..., 0]), counts
