"""Eleven arms, one of which pays little but says where the money is: worth its price only to who looks ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.tasks.base import TaskFamily, check_positive, split_index
from metarl_lab.types import Spec

TARGET_PAY, OTHER_PAY = 5.0, 1.0  # the paper's, in units of reward


class InformativeTasks(NamedTuple):
    """``target`` (T,) int64: the arm, 0..k-2, that pays 5. ``told`` (T,): what the last arm pays."""

    target: Tensor
    told: Tensor


class InformativeState(NamedTuple):
    """A bandit has no state; ``pulls`` (T, E) counts pulls of this episode."""

    pulls: Tensor


@dataclass(frozen=True)
class InformativeBandit(TaskFamily):
    """Of ten arms one, the target, pays 5 and nine pay 1; arm 11 pays the target's number, 1 to 10, divided by 10.

    All pay-offs are certain. Arm 11 pays less than any other, and to pull it first is best: 0.55 + 4 x 5 = 20.55 on
    average in five pulls, where trying one arm after another until the target is found gives 11. Who only minds the
    next reward never pulls it.

    There are ten tasks; train and test draw from the same ones (``finite``). Out of distribution arm 11 names the arm
    after the target (after the tenth, the first): what its pay-offs mean is no longer what was learned.
    """

    name: ClassVar[str] = "informative_bandit"
    source: ClassVar[str] = "Wang et al. 2016, Learning to reinforcement learn, arXiv 1611.05763, section 3.1.3"
    finite: ClassVar[bool] = True

    arms: int = 11
    """Number of arms k, at least 3; the last is the informative one, and pays the target's number / (k - 1)."""
    horizon: int = 5
    """Pulls per episode n."""

    def __post_init__(self) -> None:
        check_positive("informative_bandit", horizon=self.horizon)
        if self.arms < 3:
            raise ValueError(f"informative_bandit: arms={self.arms!r} is not allowed; give at least 3, one informative")

    @property
    def spec(self) -> Spec:
        # one constant feature: a bandit shows nothing, and networks want an input
        observation = gym.spaces.Box(1.0, 1.0, (1,), np.float32)
        return Spec(observation, gym.spaces.Discrete(self.arms), horizon=self.horizon)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> InformativeTasks:
        m = self.arms - 1
        target = split_index(n, m, split, generator)
        named = (target + 1) % m if split == "ood" else target
        return InformativeTasks(target, (named + 1).float() / m)

    def all_tasks(self, device: torch.device | str = "cpu") -> InformativeTasks:
        """Every task once, the target rising: the mean over these is the expectation."""
        target = torch.arange(self.arms - 1, device=device)
        return InformativeTasks(target, (target + 1).float() / (self.arms - 1))

    def reset(self, tasks: InformativeTasks, noise: Tensor) -> InformativeState:
        return InformativeState(torch.zeros(noise.shape[:2], dtype=torch.int64, device=noise.device))

    def step(
        self, tasks: InformativeTasks, state: InformativeState, action: Tensor, noise: Tensor
    ) -> tuple[InformativeState, Tensor, Tensor]:
        told = tasks.told.unsqueeze(1).expand(action.shape)
        other = torch.where(action == self.arms - 1, told, OTHER_PAY)
        reward = torch.where(action == tasks.target.unsqueeze(1), TARGET_PAY, other)
        return InformativeState(state.pulls + 1), reward, torch.zeros_like(reward, dtype=torch.bool)

    def observe(self, tasks: InformativeTasks, state: InformativeState) -> Tensor:
        return torch.ones((*state.pulls.shape, 1), device=state.pulls.device)

    def oracle(self, tasks: InformativeTasks) -> Tensor:
        """Five at every pull: 25, with the target known. Without knowing it 20.55 is the most there is."""
        return torch.full_like(tasks.told, self.horizon * TARGET_PAY)

    def best_action(self, tasks: InformativeTasks, observation: Tensor, step: int) -> Tensor:
        return tasks.target.unsqueeze(1).expand(observation.shape[:2])
