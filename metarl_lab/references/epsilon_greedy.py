"""Greedy play with a constant share of uniformly random actions."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.ops.sampling import random_argmax
from metarl_lab.references.base import BestGuess, Reference
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import Memory, Seen


class EpsilonGreedy(Reference):
    """With probability epsilon a uniformly random action, else the greedy one on the posterior mean (see ``greedy``).

    Parameters
    ----------
    family : BernoulliBandit or TabularMDP
    epsilon : float
        Probability of a random action, per step. Duan et al. tuned theirs on the test tasks and do not print it.
    reward_prior_mean : float, optional
        Tabular MDP only: the prior mean of a reward, by default the family's own.
    """

    name: ClassVar[str] = "epsilon_greedy"
    source: ClassVar[str] = "Sutton and Barto 2018, section 2.2"
    noise_size: int = 3  # ties, whether to explore, which action then

    def __init__(self, family: TaskFamily, epsilon: float = 0.1, reward_prior_mean: float | None = None) -> None:
        super().__init__(family)
        self.guess = BestGuess(self.name, family, reward_prior_mean)
        if not 0 <= epsilon <= 1:
            raise ValueError(f"epsilon_greedy: epsilon={epsilon} is not a probability; give 0 to 1")
        self.epsilon = epsilon

    def begin(self, n_tasks: int, copies: int) -> Memory:
        return self.guess.begin(n_tasks, copies, self.device)

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        values, memory = self.guess.values(memory, seen)
        anything = (noise[..., 2] * self.spec.action_size).long().clamp_max(self.spec.action_size - 1)
        explore = noise[..., 1] < self.epsilon
        return torch.where(explore, anything, random_argmax(values, noise[..., 0])), memory
