"""Planning with the true dynamics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from metarl_lab.references.model_predictive import ModelPredictive
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.tasks.bernoulli_bandit import BernoulliBandit
from metarl_lab.types import Spec


@dataclass(frozen=True)
class Ledge(TaskFamily):
    """A position moves by the action; step h of task t pays -|position - goal_t|, and beyond 1 all is over."""

    name: ClassVar[str] = "ledge"
    prize: float = 0.0

    @property
    def spec(self) -> Spec:
        line = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
        return Spec(line, gym.spaces.Box(-0.4, 0.4, (1,), np.float32), horizon=4, terminates=True)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> Any:
        return (torch.tensor([0.7, -0.5])[:n],)

    def reset(self, tasks: Any, noise: Tensor) -> Any:
        return (torch.zeros(*noise.shape[:2], 1),)

    def step(self, tasks: Any, state: Any, action: Tensor, noise: Tensor) -> Any:
        position = state[0] + action
        over = position[..., 0].abs() > 1
        return (position,), -(position[..., 0] - tasks[0].unsqueeze(1)).abs() + self.prize * over, over

    def observe(self, tasks: Any, state: Any) -> Tensor:
        return state[0]

    def state_of(self, tasks: Any, observation: Tensor, step: int) -> Any:
        return (observation,)


def test_each_task_is_planned_with_its_own_dynamics() -> None:
    family = Ledge()
    tasks = family.sample_tasks(2, "train", seeded_generator("cpu", 0))
    agent = ModelPredictive(family, plan_horizon=3, candidates=128, rounds=8)
    episodes, _ = collect(agent, family, tasks, begin(agent, family, tasks, 3), seeded_generator("cpu", 1))
    best = torch.tensor([-0.3, -0.1])  # to the goal as fast as the box lets, and there it stays
    assert (episodes.returns[..., 0] - best.unsqueeze(1)).abs().max() < 0.15
    assert (episodes.returns[..., 0] <= best.unsqueeze(1) + 1e-5).all()


def test_imagined_rewards_stop_where_the_episode_would() -> None:
    family = Ledge(prize=1.8)  # for falling off, in each step that one lies below: two would pay, one does not
    tasks = (torch.tensor([0.0]),)
    agent = ModelPredictive(family, plan_horizon=4, candidates=256, rounds=8)
    episodes, _ = collect(agent, family, tasks, begin(agent, family, tasks), seeded_generator("cpu", 1))
    assert not episodes.terminated.any() and episodes.returns.item() > -0.2


def test_a_family_that_hides_its_state_is_refused() -> None:
    with pytest.raises(ValueError, match="no state_of"):
        ModelPredictive(BernoulliBandit())
