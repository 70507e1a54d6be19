"""Key to door: two hidden cells that pay in one order only, so that credit reaches back over many steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.ops.grid import (
    ANYWHERE,
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


class KeyDoorTasks(NamedTuple):
    """Cells, row * size + column, each (T,) int64. ``start`` -1: anywhere, every episode."""

    key: Tensor
    door: Tensor
    start: Tensor


class KeyDoorState(NamedTuple):
    """``cell``: where the agent is, row * size + column; ``held``: it has the key. Each (T, E)."""

    cell: Tensor  # int64
    held: Tensor  # bool


@dataclass(frozen=True)
class KeyToDoor(TaskFamily):
    """Find a key, then a door, both in the dark: reward 1 for the key, 1 for the door with the key, 0 for all else.

    Actions: none, up, right, down, left; a move into a wall stays. The observation is the agent's cell, one-hot. Key,
    door, and whether the key is held are hidden: the reward tells, once, when the key is picked up. The door without
    the key is a cell like any other; with it, it pays and the episode terminates, so the best return is 2.

    Key and door are two cells, uniform over all ordered pairs of different ones (6,480 at 9 x 9); either may be where
    the episode starts, and both can always be reached. That is worth a test: one public version draws pairs where it
    compares cells, so that by default neither is ever found and every return is 0. Some versions go on after the door,
    to the end of the 50 steps; the best return is 2 there too if the door pays once.

    The family is ``finite``: train and test draw from the same pairs. The out-of-distribution split moves the start to
    the top left corner (from a corner, to the centre); with ``start="random"`` training has met that corner, among all
    other starts, which makes it the weaker shift.
    """

    name: ClassVar[str] = "key_to_door"
    source: ClassVar[str] = "Laskin et al. 2022, Algorithm Distillation, arXiv 2210.14215, section 4"
    finite: ClassVar[bool] = True

    size: int = 9
    """Rows, and columns; 2 or more."""
    start: str = "centre"
    """Where episodes start: "centre", "corner" (top left), or "random" (uniform over the cells, every episode)."""
    show_key: bool = False
    """Add a feature to the observation that says whether the key is held."""
    horizon: int = 50
    """Steps per episode H, at most."""
    episodes: int = 10
    """Episodes per trial K."""

    def __post_init__(self) -> None:
        check_positive("key_to_door", horizon=self.horizon, episodes=self.episodes)
        if self.size < 2:
            raise ValueError(f"key_to_door: size={self.size} has no room for a key and a door; give 2 or more")
        check_choice("key_to_door", "start", self.start, STARTS)

    @property
    def spec(self) -> Spec:
        return Spec(
            gym.spaces.Box(0.0, 1.0, (self.size**2 + self.show_key,), np.float32),
            gym.spaces.Discrete(len(MOVES)),
            horizon=self.horizon,
            episodes=self.episodes,
            reset_noise=int(self.start == "random"),
            terminates=True,
        )

    @property
    def successor(self) -> Tensor:
        """The cell that each action leads to from each cell, (size^2, 5) int64."""
        return tables(self.size, torch.device("cpu"))[0]

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> KeyDoorTasks:
        cells = self.size**2
        pair = split_index(n, cells * (cells - 1), split, generator)
        key, other = pair // (cells - 1), pair % (cells - 1)
        start = start_cell(self.start, self.size, shifted=split == "ood")
        # the door is one of the other cells: those from the key on move up by one
        return KeyDoorTasks(key, other + (other >= key), torch.full_like(key, start))

    def reset(self, tasks: KeyDoorTasks, noise: Tensor) -> KeyDoorState:
        cell = first_cell(tasks.start, noise, self.size)
        return KeyDoorState(cell, torch.zeros_like(cell, dtype=torch.bool))

    def step(
        self, tasks: KeyDoorTasks, state: KeyDoorState, action: Tensor, noise: Tensor
    ) -> tuple[KeyDoorState, Tensor, Tensor]:
        cell = tables(self.size, action.device)[0][state.cell, action]  # (T, E)
        opened = state.held & (cell == tasks.door.unsqueeze(1))
        held = state.held | (cell == tasks.key.unsqueeze(1))
        return KeyDoorState(cell, held), (opened | (held & ~state.held)).float(), opened

    def observe(self, tasks: KeyDoorTasks, state: KeyDoorState) -> Tensor:
        seen = tables(self.size, state.cell.device)[1][state.cell]
        return torch.cat((seen, state.held.unsqueeze(-1).float()), -1) if self.show_key else seen

    def oracle(self, tasks: KeyDoorTasks) -> Tensor:
        """1 for the key if its distance (1 at least) fits into H, 1 more if the way on to the door does; mean over
        the starts."""
        cells = torch.arange(self.size**2, device=tasks.key.device)
        fetch = moves_between(cells, tasks.key.unsqueeze(1), self.size).clamp_min(1)  # (T, S), by start
        carry = moves_between(tasks.key, tasks.door, self.size).unsqueeze(1)
        value = (fetch <= self.horizon).float() + (fetch + carry <= self.horizon)
        return from_start(value, tasks.start)

    def best_action(self, tasks: KeyDoorTasks, observation: Tensor, step: int) -> Tensor | None:
        """To the key, then to the door; columns first, then rows.

        With ``show_key`` optimal wherever the agent is. Without, the step says when to turn to the door: when the key
        has been fetched by this play, from the start or from the farthest start there may be. That is optimal from the
        first step of an episode, not after wandering; None where the horizon is too short to allow for every start.
        """
        if self.show_key:
            held = observation[..., -1] > 0.5
        elif self.start == "random" and self.horizon < 4 * (self.size - 1):
            return None
        else:
            fetched = moves_between(tasks.start, tasks.key, self.size).clamp_min(1)
            fetched = torch.where(tasks.start == ANYWHERE, 2 * (self.size - 1), fetched)
            held = (step >= fetched).unsqueeze(1)
        cell = observation[..., : self.size**2].argmax(-1)
        target = torch.where(held, tasks.door.unsqueeze(1), tasks.key.unsqueeze(1))
        return shortest_move(cell, target, self.size)
