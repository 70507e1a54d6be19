"""Bernoulli bandits: k arms, each pays 1 with its own unknown probability, else 0; n pulls make one episode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.tasks.base import TaskFamily, check_positive, split_uniform
from metarl_lab.types import Spec


class BanditTasks(NamedTuple):
    """``mean``: the probability that each arm pays, (T, arms)."""

    mean: Tensor


class BanditState(NamedTuple):
    """A bandit has no state; ``pulls`` (T, E) counts pulls of this episode."""

    pulls: Tensor


@dataclass(frozen=True)
class BernoulliBandit(TaskFamily):
    """Arms pay 1 with probability p_i, p_i ~ U(0, 1) independently; reward in pay-offs of 0 or 1 per pull.

    The published protocol calls each pull an episode of a trial of n pulls; here the n pulls are the H steps of one
    episode, which gives the learner the same information. The out-of-distribution split keeps the arms independent but
    draws them near the ends: p = u^2 or 1 - u^2 with equal chance.
    """

    name: ClassVar[str] = "bernoulli_bandit"
    source: ClassVar[str] = "Duan et al. 2016, RL2, arXiv 1611.02779, section 3.1"

    arms: int = 5
    """Number of arms k."""
    horizon: int = 10
    """Pulls per episode n."""

    def __post_init__(self) -> None:
        check_positive("bernoulli_bandit", arms=self.arms, horizon=self.horizon)

    @property
    def spec(self) -> Spec:
        # one constant feature: a bandit shows nothing, and networks want an input
        observation = gym.spaces.Box(1.0, 1.0, (1,), np.float32)
        return Spec(observation, gym.spaces.Discrete(self.arms), horizon=self.horizon, step_noise=1)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> BanditTasks:
        u = split_uniform((n, self.arms), split, generator)  # (T, arms)
        if split != "ood":
            return BanditTasks(u)
        ends = 2 * u  # u < 1/2: p = (2u)^2; else p = 1 - (2u - 1)^2
        return BanditTasks(torch.where(ends < 1, ends**2, 1 - (ends - 1) ** 2))

    def reset(self, tasks: BanditTasks, noise: Tensor) -> BanditState:
        return BanditState(torch.zeros(noise.shape[:2], dtype=torch.int64, device=noise.device))

    def step(
        self, tasks: BanditTasks, state: BanditState, action: Tensor, noise: Tensor
    ) -> tuple[BanditState, Tensor, Tensor]:
        paid = noise[..., 0] < tasks.mean.gather(1, action)  # (T, E)
        return BanditState(state.pulls + 1), paid.float(), torch.zeros_like(paid)

    def observe(self, tasks: BanditTasks, state: BanditState) -> Tensor:
        return torch.ones((*state.pulls.shape, 1), device=state.pulls.device)

    def oracle(self, tasks: BanditTasks) -> Tensor:
        return self.horizon * tasks.mean.max(1).values

    def best_action(self, tasks: BanditTasks, observation: Tensor, step: int) -> Tensor:
        return tasks.mean.argmax(1, keepdim=True).expand(observation.shape[:2])
