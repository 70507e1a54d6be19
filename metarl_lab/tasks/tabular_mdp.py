"""Random tabular MDPs: unknown transitions and rewards, few steps, several episodes to learn them in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.exact.model_beliefs import Prior
from metarl_lab.exact.planning import value_iteration
from metarl_lab.ops.distributions import standard_normal
from metarl_lab.tasks.base import TaskFamily, check_positive, split_uniform
from metarl_lab.types import Spec

_OOD_PEAK = 4  # exponentials to this power: the likeliest successor has 0.69 of the probability on average, not 0.29


class MDPTasks(NamedTuple):
    """``transition`` P(s' | s, a), (T, S, A, S); ``reward``, the mean reward of each pair (T, S, A)."""

    transition: Tensor
    reward: Tensor


class MDPState(NamedTuple):
    """``state`` (T, E) int64, 0..S-1."""

    state: Tensor


@dataclass(frozen=True)
class TabularMDP(TaskFamily):
    """P(. | s, a) ~ Dirichlet(1, ..., 1), R(s, a) ~ N(reward_mean, reward_std^2), all independent; start in state 0.

    A step pays R(s, a) + reward_noise N(0, 1), in units of reward. The observation is the state, one-hot.
    The out-of-distribution split has another prior: rewards around zero, R(s, a) ~ N(0, reward_std^2), and moves that
    are nearly certain, P proportional to the fourth power of exponential numbers (their first power is Dirichlet(1)).
    """

    name: ClassVar[str] = "tabular_mdp"
    source: ClassVar[str] = "Duan et al. 2016, RL2, arXiv 1611.02779, section 3.2; Osband et al. 2013 (PSRL)"

    states: int = 10
    """Number of states S."""
    actions: int = 5
    """Number of actions A."""
    horizon: int = 10
    """Steps per episode H."""
    episodes: int = 10
    """Episodes per trial K: the published n."""
    reward_mean: float = 1.0
    """Prior mean of R(s, a), reward per step."""
    reward_std: float = 1.0
    """Prior standard deviation of R(s, a), reward per step."""
    reward_noise: float = 1.0
    """Standard deviation of a reward around R(s, a), reward per step."""

    def __post_init__(self) -> None:
        sizes = {"states": self.states, "actions": self.actions, "horizon": self.horizon, "episodes": self.episodes}
        check_positive("tabular_mdp", **sizes, reward_std=self.reward_std, reward_noise=self.reward_noise)

    @property
    def spec(self) -> Spec:
        observation = gym.spaces.Box(0.0, 1.0, (self.states,), np.float32)
        action = gym.spaces.Discrete(self.actions)
        return Spec(observation, action, horizon=self.horizon, episodes=self.episodes, step_noise=2)

    @property
    def prior(self) -> Prior:
        """What an agent that knows the family, and not the task, believes at first (train and test splits)."""
        return Prior(self.reward_mean, self.reward_std, self.reward_noise, concentration=1.0)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> MDPTasks:
        pairs = (n, self.states, self.actions)
        u = split_uniform((*pairs, self.states + 1), split, generator)  # one for R, S for P
        weight = -u[..., 1:].log()  # exponential numbers: divided by their sum they are Dirichlet(1)
        center = self.reward_mean
        if split == "ood":
            weight, center = weight**_OOD_PEAK, 0.0
        reward = center + self.reward_std * standard_normal(u[..., 0])
        return MDPTasks(weight / weight.sum(-1, keepdim=True), reward)

    def reset(self, tasks: MDPTasks, noise: Tensor) -> MDPState:
        return MDPState(torch.zeros(noise.shape[:2], dtype=torch.int64, device=noise.device))

    def step(self, tasks: MDPTasks, state: MDPState, action: Tensor, noise: Tensor) -> tuple[MDPState, Tensor, Tensor]:
        pair = state.state * self.actions + action  # (T, E)
        mean = tasks.reward.flatten(1).gather(1, pair)
        reward = mean + self.reward_noise * standard_normal(noise[..., 0])
        rows = pair.unsqueeze(-1).expand(*pair.shape, self.states)
        cdf = tasks.transition.flatten(1, 2).gather(1, rows).cumsum(-1)  # (T, E, S)
        # the last entry may round below 1: never count it
        after = (noise[..., 1:] > cdf[..., :-1]).sum(-1)
        return MDPState(after), reward, torch.zeros_like(pair, dtype=torch.bool)

    def observe(self, tasks: MDPTasks, state: MDPState) -> Tensor:
        return torch.nn.functional.one_hot(state.state, self.states).float()

    def oracle(self, tasks: MDPTasks) -> Tensor:
        return value_iteration(*tasks, self.horizon)[1][0, :, 0]

    def best_action(self, tasks: MDPTasks, observation: Tensor, step: int) -> Tensor:
        q, _ = value_iteration(*tasks, self.horizon - step)  # (H - step, T, S, A); its first table is this step's
        return q[0].argmax(-1).gather(1, observation.argmax(-1))
