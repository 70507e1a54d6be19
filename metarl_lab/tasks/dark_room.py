"""Dark room: a goal that cannot be seen, in a room large enough that one episode seldom finds it by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.ops.grid import (
    MOVES,
    STARTS,
    first_cell,
    from_start,
    moves_between,
    shortest_move,
    start_cell,
    tables,
)
from metarl_lab.tasks.base import TaskFamily, check_choice, check_positive, split_index
from metarl_lab.types import Spec


class DarkRoomTasks(NamedTuple):
    """``goal`` and ``start``: their cells, row * size + column, each (T,) int64; start -1: anywhere, every episode."""

    goal: Tensor
    start: Tensor


class DarkRoomState(NamedTuple):
    """``cell``: where the agent is, row * size + column; ``paid``: the goal was reached before. Each (T, E)."""

    cell: Tensor  # int64
    paid: Tensor  # bool


@dataclass(frozen=True)
class DarkRoom(TaskFamily):
    """Find one goal cell in the dark and stay there; reward 1 for every step that ends on it, 0 for every other.

    Actions: none, up, right, down, left; a move into a wall stays. The observation is the agent's cell, one-hot; the
    goal is never shown. It is equally likely in every cell, the start among them. Nothing but the task is random, and
    with ``start="random"`` the first cell of each episode.

    Known-goal returns, exact: 16.54 as it is, 15.06 with ``start="random"``; 91.99 with ``size=10, start="corner",
    horizon=100``; 1 in the hard room, ``size=17, once=True``.

    The family is ``finite``: all 81 goals are train and test tasks alike, as published. No cell is left to hold out, so
    the out-of-distribution split moves the start instead, to the top left corner (from a corner, to the centre): the
    goals are the same, what an agent has learned of routes is not. With ``start="random"`` that is a weaker shift:
    training has met the corner, among all other starts.
    """

    name: ClassVar[str] = "dark_room"
    source: ClassVar[str] = "Laskin et al. 2022, Algorithm Distillation, arXiv 2210.14215, section 4"
    finite: ClassVar[bool] = True

    size: int = 9
    """Rows, and columns; 2 or more."""
    start: str = "centre"
    """Where episodes start: "centre", "corner" (top left), or "random" (uniform over the cells, every episode)."""
    once: bool = False
    """Pay only the first arrival of an episode, and not every step on the goal: the hard variant's reward."""
    horizon: int = 20
    """Steps per episode H."""
    episodes: int = 10
    """Episodes per trial K."""

    def __post_init__(self) -> None:
        check_positive("dark_room", horizon=self.horizon, episodes=self.episodes)
        if self.size < 2:
            raise ValueError(f"dark_room: size={self.size} leaves nowhere to go; give 2 or more")
        check_choice("dark_room", "start", self.start, STARTS)

    @property
    def spec(self) -> Spec:
        return Spec(
            gym.spaces.Box(0.0, 1.0, (self.size**2,), np.float32),
            gym.spaces.Discrete(len(MOVES)),
            horizon=self.horizon,
            episodes=self.episodes,
            reset_noise=int(self.start == "random"),
        )

    @property
    def prior(self) -> Tensor:
        """Probability that the goal is in each cell (size^2,): what an agent knows that knows only the family."""
        return torch.full((self.size**2,), 1 / self.size**2)

    @property
    def successor(self) -> Tensor:
        """The cell that each action leads to from each cell, (size^2, 5) int64."""
        return tables(self.size, torch.device("cpu"))[0]

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> DarkRoomTasks:
        goal = split_index(n, self.size**2, split, generator)
        start = start_cell(self.start, self.size, shifted=split == "ood")
        return DarkRoomTasks(goal, torch.full_like(goal, start))

    def reset(self, tasks: DarkRoomTasks, noise: Tensor) -> DarkRoomState:
        cell = first_cell(tasks.start, noise, self.size)
        return DarkRoomState(cell, torch.zeros_like(cell, dtype=torch.bool))

    def step(
        self, tasks: DarkRoomTasks, state: DarkRoomState, action: Tensor, noise: Tensor
    ) -> tuple[DarkRoomState, Tensor, Tensor]:
        cell = tables(self.size, action.device)[0][state.cell, action]  # (T, E)
        found = cell == tasks.goal.unsqueeze(1)
        reward = (found & ~state.paid if self.once else found).float()
        return DarkRoomState(cell, state.paid | found), reward, torch.zeros_like(found)

    def observe(self, tasks: DarkRoomTasks, state: DarkRoomState) -> Tensor:
        return tables(self.size, state.cell.device)[1][state.cell]

    def oracle(self, tasks: DarkRoomTasks) -> Tensor:
        """At distance d the first pay is at step max(d, 1), and one at every step from there; mean over the starts."""
        cells = torch.arange(self.size**2, device=tasks.goal.device)
        distance = moves_between(cells, tasks.goal.unsqueeze(1), self.size)  # (T, S)
        value = (self.horizon + 1 - distance.clamp_min(1)).clamp_min(0).float()  # (T, S), by start
        if self.once:
            value = value.clamp_max(1)
        return from_start(value, tasks.start)

    def best_action(self, tasks: DarkRoomTasks, observation: Tensor, step: int) -> Tensor:
        """Along the columns first, then along the rows; on the goal, none."""
        return shortest_move(observation.argmax(-1), tasks.goal.unsqueeze(1), self.size)
