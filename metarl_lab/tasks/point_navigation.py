"""Point navigation: a point in the plane walks to a goal that only the reward tells it about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.tasks.base import TaskFamily, check_positive, split_uniform
from metarl_lab.types import Spec

_PUBLISHED_SEED = 1  # of NumPy's legacy generator, in the authors' test script
_PUBLISHED_TASKS = 40


class NavigationTasks(NamedTuple):
    """``goal``: where to go, (T, 2), in the plane's unit of length."""

    goal: Tensor


class NavigationState(NamedTuple):
    """``position`` (T, E, 2), in the plane's unit of length."""

    position: Tensor


@dataclass(frozen=True)
class PointNavigation(TaskFamily):
    """Dense 2-D navigation: reward per step is minus the Euclidean distance to the goal after the move.

    Episodes start at (0, 0); an action is a displacement, clipped to +-``max_step`` per axis; the episode terminates
    when the point is within ``tolerance`` of the goal on both axes. The goal is not observed. The paper's text says
    *squared* distance; the authors' code, which made the published figures, does not square, and neither does this.

    Training and test goals are uniform in the square (-half_width, half_width)^2. Out-of-distribution goals are uniform
    in the frame around it, up to twice as far out on each axis.
    """

    name: ClassVar[str] = "point_navigation"
    source: ClassVar[str] = "Finn, Abbeel & Levine 2017, MAML, arXiv 1703.03400, section 5.3, and the authors' code"

    half_width: float = 0.5
    """Half the side of the square that goals are drawn from, in units of length."""
    max_step: float = 0.1
    """Largest move per axis and step, in units of length."""
    tolerance: float = 0.01
    """The episode terminates within this distance of the goal on both axes, in units of length."""
    horizon: int = 100
    """H, steps per episode."""

    def __post_init__(self) -> None:
        check_positive("point_navigation", **self.config)

    @property
    def spec(self) -> Spec:
        plane = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        moves = gym.spaces.Box(-self.max_step, self.max_step, (2,), np.float32)
        return Spec(plane, moves, horizon=self.horizon, terminates=True)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> NavigationTasks:
        u = split_uniform((n, 3), split, generator)  # (T, 3): two coordinates, and a side for the frame
        if split != "ood":
            return NavigationTasks(self.half_width * (2 * u[:, :2] - 1))
        # the frame is four rectangles, [1, 2] x [-1, 2] half widths turned by quarter turns: equal areas, no overlap
        x, y = 1 + u[:, 0], 3 * u[:, 1] - 1
        side = (4 * u[:, 2]).floor()
        cos, sin = (side == 0).float() - (side == 2).float(), (side == 1).float() - (side == 3).float()
        return NavigationTasks(self.half_width * torch.stack((cos * x - sin * y, sin * x + cos * y), 1))

    def published_tasks(self, device: torch.device | str = "cpu") -> NavigationTasks:
        """The 40 test goals of the authors' figures: ``RandomState(1).uniform(-.5, .5, (40, 2))``, on ``device``.

        On them, staying at the origin returns -40.08 and perfect play -0.54.
        """
        goals = np.random.RandomState(_PUBLISHED_SEED).uniform(-0.5, 0.5, (_PUBLISHED_TASKS, 2))
        return NavigationTasks(torch.as_tensor(goals, dtype=torch.float32, device=device))

    def reset(self, tasks: NavigationTasks, noise: Tensor) -> NavigationState:
        return NavigationState(torch.zeros(*noise.shape[:2], 2, device=noise.device))

    def step(
        self, tasks: NavigationTasks, state: NavigationState, action: Tensor, noise: Tensor
    ) -> tuple[NavigationState, Tensor, Tensor]:
        position = state.position + action.clamp(-self.max_step, self.max_step)
        gap = position - tasks.goal.unsqueeze(1)  # (T, E, 2)
        reached = (gap.abs() < self.tolerance).all(-1)
        return NavigationState(position), -torch.linalg.vector_norm(gap, dim=-1), reached

    def observe(self, tasks: NavigationTasks, state: NavigationState) -> Tensor:
        return state.position

    def oracle(self, tasks: NavigationTasks) -> Tensor:
        """Exact: each axis goes straight to its goal, which at every step leaves the least possible on both."""
        steps = torch.arange(1, self.horizon + 1, device=tasks.goal.device).view(-1, 1, 1)
        gap = (tasks.goal.abs() - self.max_step * steps).clamp_min(0)  # (H, T, 2) after each step
        reached = (gap < self.tolerance).all(-1)  # (H, T)
        over = torch.cat((torch.zeros_like(reached[:1]), reached[:-1]))  # terminated at an earlier step
        return -(torch.linalg.vector_norm(gap, dim=-1) * ~over).sum(0)

    def best_action(self, tasks: NavigationTasks, observation: Tensor, step: int) -> Tensor:
        return (tasks.goal.unsqueeze(1) - observation).clamp(-self.max_step, self.max_step)
