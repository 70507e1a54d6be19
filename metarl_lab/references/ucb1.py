"""UCB1: optimism in the face of uncertainty, as a bonus for arms pulled seldom."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.exact.bandits import count_pull, no_pulls
from metarl_lab.ops.sampling import random_argmax
from metarl_lab.references.base import Reference, check_family
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.tasks.bernoulli_bandit import BernoulliBandit
from metarl_lab.types import Memory, Seen


class UCB1(Reference):
    """Pull the arm with the largest mean_i + c sqrt(2 ln t / n_i), t pulls made in the trial, n_i of arm i.

    Parameters
    ----------
    family : BernoulliBandit
    c : float
        Size of the bonus: 1 is Auer et al.'s, made for a worst case; 0.2 is far better on arms from U(0, 1). Duan et
        al. tuned theirs on the test tasks and do not print it.
    pseudo_counts : float
        Every arm starts with this many successes and this many failures: 0 is Auer et al.'s (each arm is pulled once
        first), 1 uses the posterior mean under U(0, 1), as Duan et al.'s baselines do.
    """

    name: ClassVar[str] = "ucb1"
    source: ClassVar[str] = "Auer, Cesa-Bianchi and Fischer 2002, figure 1"

    def __init__(self, family: TaskFamily, c: float = 1.0, pseudo_counts: float = 0.0) -> None:
        super().__init__(family)
        check_family(self.name, family, BernoulliBandit)
        if c < 0 or pseudo_counts < 0:
            raise ValueError(f"ucb1: c={c}, pseudo_counts={pseudo_counts} is not allowed; give numbers of at least 0")
        self.c, self.pseudo_counts = c, pseudo_counts

    def begin(self, n_tasks: int, copies: int) -> Memory:
        return no_pulls(n_tasks, copies, self.spec.action_size, self.device)

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        counts = count_pull(memory, seen.action, seen.reward)
        n = counts.sum(-1) + 2 * self.pseudo_counts  # (T, E, k)
        # before ln t is above 0 there is no bonus, and nothing but ties to choose from
        log_t = counts.sum((-1, -2)).clamp_min(1).log().unsqueeze(-1)
        index = (counts[..., 0] + self.pseudo_counts) / n + self.c * (2 * log_t / n).sqrt()
        index = torch.where(n > 0, index, math.inf)
        return random_argmax(index, noise[..., 0]), counts
