"""Corner navigation: four corners, one of them pays, and near the start there is no reward to go by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.tasks.base import TaskFamily, check_positive, check_split, split_uniform
from metarl_lab.types import Spec

# the authors' environment, in the plane's unit of length
_CORNER = 2.0  # |x| and |y| of the four corners
_MAX_STEP = 0.2  # per axis
_START = 0.2  # first positions are uniform on +- this, per axis
_SILENT = 0.5  # |x| + |y| below this pays nothing
_LONGEST_JITTER = 0.25
_SHORTEST = 4  # steps that lead out of the silent region, from any start to any goal
_REWARDS = ("potential", "published")
_NODES = 32  # of the quadrature over starts, per axis


class CornerTasks(NamedTuple):
    """``corner``: which of the four, (T, 2); ``goal``: that corner, displaced, (T, 2). Both in units of length."""

    corner: Tensor
    goal: Tensor


class CornerState(NamedTuple):
    """``position`` (T, E, 2), in the plane's unit of length."""

    position: Tensor


@dataclass(frozen=True)
class CornerNavigation(TaskFamily):
    """Walk to the one corner of four that pays, (+-2, +-2); what it is must be found out by going and looking.

    Episodes start in (-0.2, 0.2)^2 and last H steps; an action is a displacement, clipped to +-0.2 per axis. A position
    *pays* where |x| + |y| >= 0.5 and no other corner is nearer than the task's own: elsewhere, in three quarters of the
    plane and around the start, the reward is 0 and tells nothing. With d the distance to the goal before and d' after a
    step:

    - ``published``, the reward of the authors' code: d - d' where the new position pays, else 0. It leaks: a step
      *out of* the paying region costs nothing, so stepping in and out for ever earns 0.14 a step, 14 in 100 steps,
      and walking to the goal and staying there 2.6. Its best return is not known here (``oracle`` is None).
    - ``potential`` (the default), the same without the leak: phi' - phi, where phi = D - d in a paying position and 0
      elsewhere, with D the goal's distance from the origin. A return telescopes into the phi of the last position, so
      nothing is better than to be at the goal in the end, and as before nothing is paid until the region is found.

    The authors' four goals are the corners themselves; so that no task is in two splits, a goal here is its corner
    plus a displacement uniform on +-``jitter`` per axis. Out of distribution the corners are turned by 45 degrees, onto
    the axes, at the same distance from the origin.
    """

    name: ClassVar[str] = "corner_navigation"
    source: ClassVar[str] = (
        "Rothfuss et al. 2019, ProMP, arXiv 1810.06784, and the authors' code "
        "(jonasrothfuss/ProMP, point_envs/point_env_2d_corner.py)"
    )

    reward: str = "potential"
    """"potential" or "published"; see above."""
    jitter: float = 0.1
    """Largest displacement of a goal from its corner, per axis, in units of length; at most 0.25."""
    horizon: int = 100
    """H, steps per episode; at least 4."""

    def __post_init__(self) -> None:
        check_positive("corner_navigation", jitter=self.jitter)
        if self.reward not in _REWARDS:
            raise ValueError(f"corner_navigation: reward={self.reward!r} is not known; choose one of {_REWARDS}")
        if self.jitter > _LONGEST_JITTER or self.horizon < _SHORTEST:
            raise ValueError(
                f"corner_navigation: jitter={self.jitter!r}, horizon={self.horizon!r} is not allowed; "
                f"give a jitter of at most {_LONGEST_JITTER} and a horizon of at least {_SHORTEST}"
            )

    @property
    def spec(self) -> Spec:
        plane = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        moves = gym.spaces.Box(-_MAX_STEP, _MAX_STEP, (2,), np.float32)
        return Spec(plane, moves, horizon=self.horizon, reset_noise=2)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> CornerTasks:
        check_split(split)
        u = split_uniform((n, 3), split, generator)  # (T, 3): two displacements and which corner
        angle = math.pi / 2 * (4 * u[:, 2]).floor() + (0 if split == "ood" else math.pi / 4)
        corner = math.sqrt(2) * _CORNER * torch.stack((angle.cos(), angle.sin()), 1)
        return CornerTasks(corner, corner + self.jitter * (2 * u[:, :2] - 1))

    def published_tasks(self, device: torch.device | str = "cpu") -> CornerTasks:
        """The authors' four tasks: the corners themselves, in their order."""
        corners = _CORNER * torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]], device=device)
        return CornerTasks(corners, corners)

    def reset(self, tasks: CornerTasks, noise: Tensor) -> CornerState:
        return CornerState(_START * (2 * noise - 1))

    def step(
        self, tasks: CornerTasks, state: CornerState, action: Tensor, noise: Tensor
    ) -> tuple[CornerState, Tensor, Tensor]:
        position = state.position + action.clamp(-_MAX_STEP, _MAX_STEP)
        goal = tasks.goal.unsqueeze(1)  # (T, 1, 2)
        before, after = _distance(state.position, goal), _distance(position, goal)
        pays = _pays(tasks.corner.unsqueeze(1), position)
        if self.reward == "published":
            reward = (before - after) * pays
        else:
            full = torch.linalg.vector_norm(goal, dim=-1)  # D, (T, 1)
            reward = (full - after) * pays - (full - before) * _pays(tasks.corner.unsqueeze(1), state.position)
        return CornerState(position), reward, torch.zeros_like(pays)

    def observe(self, tasks: CornerTasks, state: CornerState) -> Tensor:
        return state.position

    def oracle(self, tasks: CornerTasks) -> Tensor | None:
        """D minus the expected distance that is left after H straight steps; exactly D from 16 steps on. None for
        the published reward.

        A return is phi of the last position: the start, inside the silent region, has none. Of the positions in reach
        the least distant one is that of going straight on each axis, and from four steps on it pays (a test searches).
        """
        if self.reward == "published":
            return None
        nodes = (torch.arange(_NODES, device=tasks.goal.device) + 0.5) / _NODES
        start = _START * (2 * nodes - 1)  # midpoints: the mean over the box of starts
        left = ((tasks.goal.unsqueeze(-1) - start).abs() - self.horizon * _MAX_STEP).clamp_min(0)  # (T, 2, nodes)
        distance = torch.hypot(left[:, 0, :, None], left[:, 1, None, :]).mean((1, 2))
        return torch.linalg.vector_norm(tasks.goal, dim=-1) - distance

    def best_action(self, tasks: CornerTasks, observation: Tensor, step: int) -> Tensor | None:
        if self.reward == "published":
            return None
        return (tasks.goal.unsqueeze(1) - observation).clamp(-_MAX_STEP, _MAX_STEP)


def _distance(position: Tensor, goal: Tensor) -> Tensor:
    """Euclidean, (T, E)."""
    return torch.linalg.vector_norm(position - goal, dim=-1)


def _pays(corner: Tensor, position: Tensor) -> Tensor:
    """Whether a position is outside the silent region and as near to its corner as to any other, (T, E).

    |p - c|^2 = |p|^2 + |c|^2 - 2 p.c, so the nearest of c, -c and their quarter turns is the one with the largest p.c.
    """
    along = (position * corner).sum(-1)
    across = position[..., 1] * corner[..., 0] - position[..., 0] * corner[..., 1]
    return (position.abs().sum(-1) >= _SILENT) & (along >= across.abs())
