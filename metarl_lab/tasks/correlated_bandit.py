"""Two arms whose chances add up to one: a pull of either tells as much of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.tasks.base import TaskFamily, check_positive, split_uniform
from metarl_lab.types import Spec

CHANCES = {"uniform": None, "easy": 0.1, "medium": 0.25, "hard": 0.4}
"""The smaller of the two chances, by kind; None: p1 ~ U(0, 1)."""


class CorrelatedTasks(NamedTuple):
    """``mean``: the probability that each of the two arms pays, (T, 2)."""

    mean: Tensor


class CorrelatedState(NamedTuple):
    """A bandit has no state; ``pulls`` (T, E) counts pulls of this episode."""

    pulls: Tensor


@dataclass(frozen=True)
class CorrelatedBandit(TaskFamily):
    """Two arms pay 1 with probability p1 and p2 = 1 - p1, else 0; n pulls make one episode, and one trial.

    p1 is uniform on (0, 1) or, with equal chance, one of two values: {.1, .9} "easy", {.25, .75} "medium", {.4, .6}
    "hard". The last three have two tasks only, so there train and test are independent draws from one prior, with
    nothing held out. Independent arms are ``bernoulli_bandit`` with ``arms=2, horizon=100``, and they are the
    out-of-distribution split of this family: p1 and p2 uniform, each on its own.

    The regret of an agent is ``oracle`` minus its return, n max(p1, p2) - sum_t r_t; random play has n E|p1 - 1/2|:
    25, 40, 25 and 10 in 100 pulls.
    """

    name: ClassVar[str] = "correlated_bandit"
    source: ClassVar[str] = "Wang et al. 2016, Learning to reinforcement learn, arXiv 1611.05763, section 3.1.2"

    kind: str = "uniform"
    """Where p1 comes from: "uniform", "easy", "medium" or "hard"."""
    horizon: int = 100
    """Pulls per episode n."""

    def __post_init__(self) -> None:
        check_positive("correlated_bandit", horizon=self.horizon)
        if self.kind not in CHANCES:
            raise ValueError(f"correlated_bandit: kind={self.kind!r} is not known; choose one of {', '.join(CHANCES)}")

    @property
    def low(self) -> float | None:
        """The smaller of the two values of p1; None where p1 ~ U(0, 1)."""
        return CHANCES[self.kind]

    @property
    def spec(self) -> Spec:
        # one constant feature: a bandit shows nothing, and networks want an input
        observation = gym.spaces.Box(1.0, 1.0, (1,), np.float32)
        return Spec(observation, gym.spaces.Discrete(2), horizon=self.horizon, step_noise=1)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> CorrelatedTasks:
        u = split_uniform((n, 2), split, generator)
        if split == "ood":
            return CorrelatedTasks(u)
        if self.low is None:
            return CorrelatedTasks(torch.stack((u[:, 0], 1 - u[:, 0]), 1))
        both = torch.tensor([[self.low, 1 - self.low], [1 - self.low, self.low]], device=u.device)
        return CorrelatedTasks(both[(u[:, 0] < 0.5).long()])

    def reset(self, tasks: CorrelatedTasks, noise: Tensor) -> CorrelatedState:
        return CorrelatedState(torch.zeros(noise.shape[:2], dtype=torch.int64, device=noise.device))

    def step(
        self, tasks: CorrelatedTasks, state: CorrelatedState, action: Tensor, noise: Tensor
    ) -> tuple[CorrelatedState, Tensor, Tensor]:
        paid = noise[..., 0] < tasks.mean.gather(1, action)  # (T, E)
        return CorrelatedState(state.pulls + 1), paid.float(), torch.zeros_like(paid)

    def observe(self, tasks: CorrelatedTasks, state: CorrelatedState) -> Tensor:
        return torch.ones((*state.pulls.shape, 1), device=state.pulls.device)

    def oracle(self, tasks: CorrelatedTasks) -> Tensor:
        return self.horizon * tasks.mean.max(1).values

    def best_action(self, tasks: CorrelatedTasks, observation: Tensor, step: int) -> Tensor:
        return tasks.mean.argmax(1, keepdim=True).expand(observation.shape[:2])
