"""Gridworlds with objects to collect and to avoid: where they lie is hidden, what is there now is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.exact.collecting_gridworld import collecting_values
from metarl_lab.ops.grid import MOVES, one_hot_rows, tables
from metarl_lab.tasks.base import TaskFamily, check_positive, split_uniform
from metarl_lab.types import SPLITS, Spec

_CLASSES = 4  # placements modulo this: one class for each split, one left for users' own


class Kind(NamedTuple):
    """``size`` rows and columns; ``steps`` per episode; ``objects``, each (reward, probability that collecting it ends
    the episode, probability per step that it comes back)."""

    size: int
    steps: int
    objects: tuple[tuple[float, float, float], ...]


_GOOD, _TRAP, _NUISANCE = (1.0, 0.0, 0.05), (-1.0, 0.5, 0.1), (-1.0, 0.0, 0.5)
KINDS = {
    "dense": Kind(11, 500, (_GOOD, _GOOD, _TRAP, _NUISANCE)),
    "sparse": Kind(13, 50, ((1.0, 1.0, 0.0), (-1.0, 1.0, 0.0))),
    "long": Kind(11, 1000, ((1.0, 0.0, 0.01), (1.0, 0.0, 0.01), (-1.0, 0.5, 1.0), (-1.0, 0.5, 1.0))),
    # ours: the first two at a size that trains on a CPU
    "small": Kind(5, 20, ((1.0, 0.0, 0.1), (-1.0, 0.5, 0.1), (-1.0, 0.0, 0.5))),
    "small_sparse": Kind(5, 15, ((1.0, 1.0, 0.0), (-1.0, 1.0, 0.0))),
}


class CollectingTasks(NamedTuple):
    """``start``: the cell of the first step, (T,) int64; ``place``: each object's cell, (T, n) int64; ``reward``,
    ``end``, ``respawn``: its properties, (T, n)."""

    start: Tensor
    place: Tensor
    reward: Tensor
    end: Tensor
    respawn: Tensor


class CollectingState(NamedTuple):
    """``cell``: where the agent is, (T, E) int64; ``present``: which objects are, (T, E, n) bool."""

    cell: Tensor
    present: Tensor


@dataclass(frozen=True)
class CollectingGridWorld(TaskFamily):
    """Step on an object to collect it: it pays its reward, may end the episode, and is gone until it comes back.

    Actions: none, up, right, down, left; a move off the grid stays. The start and the cells of the objects are all
    different, drawn once per task, and hidden: with them, which action is good where. The observation is the tabular
    state, one-hot: the agent's cell and which objects are present, S = cells 2^n, so that a table of S rows can hold an
    exact policy and its values. All objects are present at first; one that is absent before a step comes back in it
    with its probability, and is collected at the earliest by the next step.

    "dense", "sparse" and "long" are the published tabular settings (sizes, objects, episode lengths); published agents
    have nine moves, and in some settings collect by an action of its own. "small" and "small_sparse" are ours. The
    splits divide the placements: no train placement is a test one. Out of distribution every reward is twice as large.
    """

    name: ClassVar[str] = "collecting_gridworld"
    source: ClassVar[str] = "Oh et al. 2020, arXiv 2007.08794, appendix A.1 (tabular gridworlds)"

    kind: str = "small"
    """Size, objects and episode length: "small", "small_sparse", "dense", "sparse" or "long"."""
    horizon: int = 0
    """Steps per episode H; 0: the kind's own (20, 15, 500, 50, 1000)."""
    episodes: int = 20
    """Episodes per trial K."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"collecting_gridworld: kind={self.kind!r} is not known; choose one of {', '.join(KINDS)}")
        if self.horizon < 0:
            raise ValueError(f"collecting_gridworld: horizon={self.horizon} is not allowed; give 0 or more steps")
        check_positive("collecting_gridworld", episodes=self.episodes)

    @property
    def layout(self) -> Kind:
        """Size, steps and objects of this kind."""
        return KINDS[self.kind]

    @property
    def cells(self) -> int:
        """C, the number of cells."""
        return self.layout.size**2

    @property
    def states(self) -> int:
        """S, the number of tabular states."""
        return self.cells << len(self.layout.objects)

    @property
    def spec(self) -> Spec:
        return Spec(
            gym.spaces.Box(0.0, 1.0, (self.states,), np.float32),
            gym.spaces.Discrete(len(MOVES)),
            horizon=self.horizon or self.layout.steps,
            episodes=self.episodes,
            step_noise=1 + len(self.layout.objects),
            terminates=True,
        )

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> CollectingTasks:
        objects = len(self.layout.objects)
        u = split_uniform((n, objects + 1), split, generator).double()
        left = self.cells - torch.arange(objects + 1, device=u.device)  # cells still free for each
        digit = (u * left).long()
        # a placement is its digits, the n-th among the cells left; their sum modulo 4 says which split it belongs to
        own = (SPLITS.index(split) - digit[:, 1:].sum(1)) % _CLASSES
        choices = (left[0] - own + _CLASSES - 1) // _CLASSES
        digit[:, 0] = own + _CLASSES * (u[:, 0] * choices).long()
        taken: list[Tensor] = []
        for i in range(objects + 1):  # over objects, not tasks
            cell = digit[:, i]
            for other in torch.stack(taken, 1).sort(1).values.unbind(1) if taken else ():
                cell = cell + (cell >= other)
            taken.append(cell)
        place = torch.stack(taken[1:], 1)
        values = torch.tensor(self.layout.objects, device=u.device).T.unsqueeze(1).expand(3, n, objects)
        reward = values[0] * (2.0 if split == "ood" else 1.0)
        return CollectingTasks(taken[0], place, reward, values[1].clone(), values[2].clone())

    def reset(self, tasks: CollectingTasks, noise: Tensor) -> CollectingState:
        cell = tasks.start.unsqueeze(1).expand(noise.shape[:2])
        shape = (*cell.shape, tasks.place.shape[1])
        return CollectingState(cell, torch.ones(shape, dtype=torch.bool, device=cell.device))

    def step(
        self, tasks: CollectingTasks, state: CollectingState, action: Tensor, noise: Tensor
    ) -> tuple[CollectingState, Tensor, Tensor]:
        cell = tables(self.layout.size, action.device)[0][state.cell, action]  # (T, E)
        collected = state.present & (cell.unsqueeze(-1) == tasks.place.unsqueeze(1))  # (T, E, n), one at most
        reward = (collected * tasks.reward.unsqueeze(1)).sum(-1)
        terminated = noise[..., 0] < (collected * tasks.end.unsqueeze(1)).sum(-1)
        back = noise[..., 1:] < tasks.respawn.unsqueeze(1)
        return CollectingState(cell, (state.present | back) & ~collected), reward, terminated

    def observe(self, tasks: CollectingTasks, state: CollectingState) -> Tensor:
        bits = 1 << torch.arange(state.present.shape[-1], device=state.cell.device)
        index = state.cell + self.cells * (state.present * bits).sum(-1)
        return one_hot_rows(self.states, index.device)[index]

    def oracle(self, tasks: CollectingTasks) -> Tensor:
        _, v = self._planned(tasks, self.spec.horizon)
        return v[:, -1].gather(1, tasks.start.unsqueeze(1)).squeeze(1)  # all present

    def best_action(self, tasks: CollectingTasks, observation: Tensor, step: int) -> Tensor:
        """Plans anew at every step: H^2 backups an episode, which is slow for "dense" and "long"."""
        q, _ = self._planned(tasks, self.spec.horizon - step)
        return q.flatten(1, 2).argmax(-1).gather(1, observation.argmax(-1))

    def _planned(self, tasks: CollectingTasks, steps: int) -> tuple[Tensor, Tensor]:
        successor = tables(self.layout.size, tasks.place.device)[0]
        return collecting_values(successor, tasks.place, tasks.reward, tasks.end, tasks.respawn, steps)
