"""The best play there is: exact dynamic programming over what is believed, for small bandits."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.ops.bandit_exact import MAX_STATES, code_weights, pair_code, solve_bandit
from metarl_lab.ops.bandits import count_pull, no_pulls, posterior_mean
from metarl_lab.ops.sampling import random_argmax
from metarl_lab.references.base import Reference, check_family
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.tasks.bernoulli_bandit import BernoulliBandit
from metarl_lab.types import Memory, Seen


class BayesOptimal(Reference):
    """Maximises the expected total reward of the trial under the prior U(0, 1); ``value`` is that expectation.

    No agent that does not know its task does better on average: one that seems to by more than its interval has a bug.

    Parameters
    ----------
    family : BernoulliBandit
    pulls : int, optional
        Pulls in the whole trial, by default one episode's. Later ones are played greedily: the agent was not told of
        them.
    max_states : int
        ValueError above this many states (``ops.bandit_exact.count_states``). 2 arms and 100 pulls have 2.2 million,
        5 arms and 10 pulls 1,951, 10 and 10 2,296; 5 arms and 100 pulls 4e11.
    """

    name: ClassVar[str] = "bayes_optimal"
    source: ClassVar[str] = "Bellman 1956; Duff 2002, section 1.3"

    def __init__(self, family: TaskFamily, pulls: int | None = None, max_states: int = MAX_STATES) -> None:
        super().__init__(family)
        check_family(self.name, family, BernoulliBandit)
        self.pulls = self.spec.horizon if pulls is None else pulls
        solution = solve_bandit(self.spec.action_size, self.pulls, max_states)
        self.value = solution.value
        self._weight = torch.from_numpy(code_weights(self.pulls))
        # states after different numbers of pulls are different multisets, so one sorted list holds all of them
        key, order = torch.cat([torch.from_numpy(key) for key in solution.key]).sort()
        self._key, self._best = key, torch.cat([torch.from_numpy(best) for best in solution.best])[order].long()

    def begin(self, n_tasks: int, copies: int) -> Memory:
        self._weight, self._key, self._best = (x.to(self.device) for x in (self._weight, self._key, self._best))
        return no_pulls(n_tasks, copies, self.spec.action_size, self.device)

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        counts = count_pull(memory, seen.action, seen.reward)
        code = pair_code(counts[..., 0].long(), counts[..., 1].long())  # (T, E, k)
        key = self._weight[code.clamp_max(len(self._weight) - 1)].sum(-1)  # wraps modulo 2^64, as the keys did
        place = torch.searchsorted(self._key, key).clamp_max(len(self._key) - 1)
        # any arm with the code of the best one: they are alike in all that was seen
        best = (code == self._best[place].unsqueeze(-1)).float()
        told = (counts.sum((-1, -2)) < self.pulls).unsqueeze(-1)
        return random_argmax(torch.where(told, best, posterior_mean(counts)), noise[..., 0]), counts
