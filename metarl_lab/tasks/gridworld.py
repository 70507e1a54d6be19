"""Gridworld with a hidden goal: where to look first, and what to remember once it is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.ops.grid import MOVES, shortest_move, tables
from metarl_lab.tasks.base import TaskFamily, check_positive, check_split, split_index
from metarl_lab.types import Spec


class GridTasks(NamedTuple):
    """``goal``: its cell, row * size + column, (T,) int64."""

    goal: Tensor


class GridState(NamedTuple):
    """``cell``: where the agent is, row * size + column, (T, E) int64."""

    cell: Tensor


@dataclass(frozen=True)
class GridWorld(TaskFamily):
    """Find one goal cell, hidden, and stay there; reward 1 for every step that ends on it and -0.1 for every other.

    Each episode starts in the top left corner (0, 0). Actions: none, up, right, down, left; a move off the grid stays.
    The observation is the cell, one-hot; the goal is never shown. It is equally likely in every cell that is two or
    more rows or columns from the start: 21 cells of a 5 x 5 grid. Nothing is random but the task.

    The family is ``finite``: the 21 goals are train and test tasks alike, as published, and the figures of an agent
    are about the prior that it was trained on. The out-of-distribution split has the three goals that the prior
    rules out: (0, 1), (1, 0) and (1, 1), next to the start.
    """

    name: ClassVar[str] = "gridworld"
    source: ClassVar[str] = "Zintgraf et al. 2020, VariBAD, arXiv 1910.08348, section 5.1"
    finite: ClassVar[bool] = True

    size: int = 5
    """Rows, and columns; 3 or more."""
    horizon: int = 15
    """Steps per episode H."""
    episodes: int = 4
    """Episodes per trial K."""

    def __post_init__(self) -> None:
        check_positive("gridworld", size=self.size, horizon=self.horizon, episodes=self.episodes)
        if self.size < 3:
            raise ValueError(f"gridworld: size={self.size} leaves no cell for a goal; give 3 or more")

    @property
    def spec(self) -> Spec:
        observation = gym.spaces.Box(0.0, 1.0, (self.size**2,), np.float32)
        return Spec(observation, gym.spaces.Discrete(len(MOVES)), horizon=self.horizon, episodes=self.episodes)

    def goals(self, split: str) -> list[int]:
        """The cells where the goal of a split can be, each equally likely."""
        check_split(split)
        near = [row * self.size + column for row in (0, 1) for column in (0, 1)]
        return near[1:] if split == "ood" else [cell for cell in range(self.size**2) if cell not in near]

    @property
    def prior(self) -> Tensor:
        """Probability that the goal is in each cell (size^2,): what an agent knows that knows only the family."""
        prior = torch.zeros(self.size**2)
        prior[self.goals("train")] = 1 / len(self.goals("train"))
        return prior

    @property
    def successor(self) -> Tensor:
        """The cell that each action leads to from each cell, (size^2, 5) int64."""
        return tables(self.size, torch.device("cpu"))[0]

    def model(self, tasks: GridTasks) -> tuple[Tensor, Tensor]:
        """P(s' | s, a) (T, S, A, S) and R(s, a) (T, S, A) of each task: what ``exact.planning`` plans with."""
        after, rows = tables(self.size, tasks.goal.device)
        found = after == tasks.goal[:, None, None]
        return rows[after].expand(len(found), *after.shape, len(rows)), torch.where(found, 1.0, -0.1)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> GridTasks:
        cells = torch.tensor(self.goals(split), device=generator.device)
        return GridTasks(cells[split_index(n, len(cells), split, generator)])

    def reset(self, tasks: GridTasks, noise: Tensor) -> GridState:
        return GridState(torch.zeros(noise.shape[:2], dtype=torch.int64, device=noise.device))

    def step(
        self, tasks: GridTasks, state: GridState, action: Tensor, noise: Tensor
    ) -> tuple[GridState, Tensor, Tensor]:
        cell = tables(self.size, action.device)[0][state.cell, action]  # (T, E)
        found = cell == tasks.goal.unsqueeze(1)
        return GridState(cell), torch.where(found, 1.0, -0.1), torch.zeros_like(found)

    def observe(self, tasks: GridTasks, state: GridState) -> Tensor:
        return tables(self.size, state.cell.device)[1][state.cell]

    def oracle(self, tasks: GridTasks) -> Tensor:
        """d steps to the goal: d - 1 of them pay -0.1, and 1 is paid from the d-th on."""
        distance = (tasks.goal // self.size + tasks.goal % self.size).float()
        there = self.horizon - distance + 1
        return torch.where(there > 0, there - 0.1 * (distance - 1), -0.1 * self.horizon)

    def best_action(self, tasks: GridTasks, observation: Tensor, step: int) -> Tensor:
        """Along the columns first, then along the rows."""
        return shortest_move(observation.argmax(-1), tasks.goal.unsqueeze(1), self.size)
