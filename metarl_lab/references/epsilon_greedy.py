"""Greedy play with a constant share of uniformly random actions."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from metarl_lab.ops.bandits import count_pull, no_pulls, posterior_mean
from metarl_lab.ops.beliefs import ModelBelief, mean_model, nothing_known, plan, take_in, values_at
from metarl_lab.ops.sampling import random_argmax
from metarl_lab.references.base import Reference, check_family
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.tasks.bernoulli_bandit import BernoulliBandit
from metarl_lab.tasks.tabular_mdp import TabularMDP
from metarl_lab.types import Memory, Seen


class PlanMemory(NamedTuple):
    """What is believed of the MDP, and the values planned at the start of the episode, (T, E, H, S, A)."""

    belief: ModelBelief
    q: Tensor


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
        check_family(self.name, family, BernoulliBandit, TabularMDP)
        if not 0 <= epsilon <= 1:
            raise ValueError(f"epsilon_greedy: epsilon={epsilon} is not a probability; give 0 to 1")
        self.epsilon = epsilon
        if isinstance(family, TabularMDP):
            mean = family.reward_mean if reward_prior_mean is None else reward_prior_mean
            self.prior = family.prior._replace(reward_mean=mean)
        elif reward_prior_mean is not None:
            raise ValueError(f"epsilon_greedy: reward_prior_mean={reward_prior_mean} has no meaning in a bandit")

    def begin(self, n_tasks: int, copies: int) -> Memory:
        if isinstance(self.family, BernoulliBandit):
            return no_pulls(n_tasks, copies, self.spec.action_size, self.device)
        belief = nothing_known(n_tasks, copies, self.spec.observation_size, self.spec.action_size, self.device)
        return PlanMemory(belief, belief.pulls.new_zeros(n_tasks, copies, self.spec.horizon, *belief.pulls.shape[2:]))

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        if isinstance(self.family, BernoulliBandit):
            new: Memory = count_pull(memory, seen.action, seen.reward)
            value = posterior_mean(new)
        else:
            belief = take_in(memory.belief, seen.observation.argmax(-1), seen.action, seen.reward, seen.start)
            q = plan(*mean_model(belief, self.prior), self.spec.horizon) if seen.step == 0 else memory.q
            new, value = PlanMemory(belief, q), values_at(q, seen.step, belief.state)
        anything = (noise[..., 2] * self.spec.action_size).long().clamp_max(self.spec.action_size - 1)
        explore = noise[..., 1] < self.epsilon
        return torch.where(explore, anything, random_argmax(value, noise[..., 0])), new
