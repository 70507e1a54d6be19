"""Perfect play with the task known, planned once."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.exact import planning
from metarl_lab.ops.sampling import random_argmax
from metarl_lab.references.base import Knowing, check_family
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.tasks.bernoulli_bandit import BernoulliBandit
from metarl_lab.tasks.gridworld import GridWorld
from metarl_lab.tasks.tabular_mdp import TabularMDP
from metarl_lab.types import Seen


class ValueIteration(Knowing):
    """Finite-horizon value iteration on the true model (see ``exact.planning.value_iteration``).

    A bandit is the MDP with one state, so there it pulls the truly best arm. Its memory is Q, (T, H, S, A).
    """

    name: ClassVar[str] = "value_iteration"
    source: ClassVar[str] = "Puterman 1994, section 4.5"

    def __init__(self, family: TaskFamily) -> None:
        super().__init__(family)
        check_family(self.name, family, BernoulliBandit, GridWorld, TabularMDP)

    def told(self, tasks: Tasks, copies: int) -> Tensor:
        if isinstance(self.family, TabularMDP):
            transition, reward = tasks
        elif isinstance(self.family, GridWorld):
            transition, reward = self.family.model(tasks)
        else:
            reward = tasks.mean.unsqueeze(1)  # (T, 1, k)
            transition = torch.ones_like(reward).unsqueeze(-1)  # (T, 1, k, 1)
        return planning.value_iteration(transition, reward, self.spec.horizon)[0].transpose(0, 1)

    def act(self, memory: Tensor, seen: Seen, noise: Tensor) -> tuple[Tensor, Tensor]:
        state = seen.observation.argmax(-1)  # (T, E); a bandit's one constant feature gives state 0
        index = state.unsqueeze(-1).expand(*state.shape, memory.shape[-1])
        return random_argmax(memory[:, seen.step].gather(1, index), noise[..., 0]), memory
