"""Delayed chain: the first action of an episode decides how its last step pays, and nothing else matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.ops.grid import one_hot_rows
from metarl_lab.tasks.base import TaskFamily, check_positive, check_split, split_index
from metarl_lab.types import Spec


class ChainTasks(NamedTuple):
    """``right``: the first action that ends in +1; ``length``: steps of an episode. Each (T,) int64."""

    right: Tensor
    length: Tensor


class ChainState(NamedTuple):
    """``position``: steps taken; ``first``: the first action, 0 before it. Each (T, E) int64."""

    position: Tensor
    first: Tensor


@dataclass(frozen=True)
class Chain(TaskFamily):
    """One of A first actions is right: the last step of the episode pays 1 after it and -1 after any other.

    An episode of a task lasts exactly ``length`` steps and then terminates. Which action is right, and the length, are
    the hidden task, the same in all episodes of a trial: a reward at step L must be credited to step 1. The observation
    is the tabular state, one-hot: the start, or (steps taken, first action), so that a state's value can be learned and
    bootstrapped from. With ``show_branch=False`` it is the number of steps alone: then nothing but the whole return
    tells the two branches apart. The published variants differ in length (5 to 30 steps, drawn once per agent) and in
    random rewards of -1 or +1 on the way (``noise``); ``bait`` is ours.

    The family is ``finite``: A actions times the lengths ``shortest`` to ``longest``. The out-of-distribution split has
    chains longer than any of training, ``longest`` + 1 to ``horizon`` steps.
    """

    name: ClassVar[str] = "chain"
    source: ClassVar[str] = "Oh et al. 2020, arXiv 2007.08794, appendix A.3 (delayed chain MDP)"
    finite: ClassVar[bool] = True

    shortest: int = 5
    """Steps of the shortest chain."""
    longest: int = 30
    """Steps of the longest chain, of train and test tasks."""
    horizon: int = 40
    """Steps H of the longest chain there is (ood). Equal to ``longest``: no ood split, and no steps acted in vain."""
    actions: int = 2
    """A, the number of actions, 2 or more."""
    noise: float = 0.0
    """Every step but the last also pays +noise or -noise, equally likely, whatever was done (published: 0 or 1)."""
    bait: float = 0.0
    """What a wrong first action pays at once, 0 to below 2: a short-sighted agent takes it."""
    show_branch: bool = True
    """Whether the observation tells which first action was taken."""
    episodes: int = 10
    """Episodes per trial K."""

    def __post_init__(self) -> None:
        check_positive("chain", shortest=self.shortest, episodes=self.episodes)
        if not self.shortest <= self.longest <= self.horizon:
            given = f"shortest={self.shortest}, longest={self.longest}, horizon={self.horizon}"
            raise ValueError(f"chain: {given} is not allowed; give shortest <= longest <= horizon")
        if self.actions < 2:
            raise ValueError(f"chain: actions={self.actions} leaves nothing to decide; give 2 or more")
        if not 0 <= self.bait < 2 or self.noise < 0:
            given = f"bait={self.bait}, noise={self.noise}"
            raise ValueError(f"chain: {given} is not allowed; give 0 <= bait < 2 and noise >= 0")

    @property
    def states(self) -> int:
        """S, the number of tabular states: the start, and every number of steps with every first action shown."""
        return 1 + self.horizon * (self.actions if self.show_branch else 1)

    @property
    def spec(self) -> Spec:
        return Spec(
            gym.spaces.Box(0.0, 1.0, (self.states,), np.float32),
            gym.spaces.Discrete(self.actions),
            horizon=self.horizon,
            episodes=self.episodes,
            step_noise=1,
            terminates=True,
        )

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> ChainTasks:
        check_split(split)
        low, high = (self.longest + 1, self.horizon) if split == "ood" else (self.shortest, self.longest)
        if high < low:
            raise ValueError(f"chain: no ood split, as no chain is longer than {self.longest}; give a larger horizon")
        drawn = split_index(n, self.actions * (high - low + 1), split, generator)
        return ChainTasks(drawn % self.actions, low + drawn // self.actions)

    def reset(self, tasks: ChainTasks, noise: Tensor) -> ChainState:
        zeros = torch.zeros(noise.shape[:2], dtype=torch.int64, device=noise.device)
        return ChainState(zeros, zeros)

    def step(
        self, tasks: ChainTasks, state: ChainState, action: Tensor, noise: Tensor
    ) -> tuple[ChainState, Tensor, Tensor]:
        first = torch.where(state.position == 0, action, state.first)  # (T, E)
        position = (state.position + 1).clamp_max(self.horizon)
        right, last = first == tasks.right.unsqueeze(1), position >= tasks.length.unsqueeze(1)
        final = torch.where(right, 1.0, -1.0)
        on_the_way = torch.where(noise[..., 0] < 0.5, -self.noise, self.noise)
        lured = self.bait * ((state.position == 0) & ~right)
        return ChainState(position, first), torch.where(last, final, on_the_way) + lured, last

    def observe(self, tasks: ChainTasks, state: ChainState) -> Tensor:
        cell = 1 + (state.position - 1) * self.actions + state.first if self.show_branch else state.position
        cell = torch.where(state.position == 0, 0, cell)
        return one_hot_rows(self.states, cell.device)[cell]

    def oracle(self, tasks: ChainTasks) -> Tensor:
        """1: noise is 0 in the mean, and no bait is worth the final -1."""
        return torch.ones(len(tasks.right), device=tasks.right.device)

    def best_action(self, tasks: ChainTasks, observation: Tensor, step: int) -> Tensor:
        """The right one, at every step: after the first it does not matter."""
        return tasks.right.unsqueeze(1).expand(observation.shape[:-1])
