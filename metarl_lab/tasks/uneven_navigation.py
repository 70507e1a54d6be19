"""Uneven navigation: easy, hard and impossible goals in one plane, for samplers that choose tasks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.tasks.base import TaskFamily, check_positive, split_uniform
from metarl_lab.types import Spec

KINDS = ("easy", "hard", "impossible")


class UnevenTasks(NamedTuple):
    """``goal``: where the light is, (T, 2), in the plane's unit of length."""

    goal: Tensor


class UnevenState(NamedTuple):
    """``position`` (T, E, 2), in the plane's unit of length."""

    position: Tensor


@dataclass(frozen=True)
class UnevenNavigation(TaskFamily):
    """A point looks for a light of radius ``glow``; most lights are too far away to be reached at all.

    Episodes start at (0, 0) and last H steps. An action is a displacement, cut to length ``max_step``. A step pays
    max(0, 1 - d / glow), d the distance to the goal after it: 1 on the goal, nothing outside its glow; so a return lies
    between 0 and H. The goal is not observed. Goals are uniform in a disc whose radius is such that ``impossible`` of
    them are out of reach. Three rings, known in advance only to who looks at ``kind``:

    - *easy*, |goal| < glow / 2: staying at the start already pays more than half of what a step can pay;
    - *hard*, up to H max_step + glow: pays little or nothing at the start, and the further away, the less often chance
      finds its glow;
    - *impossible*, beyond: no path earns anything, and nothing can be learned.

    With the defaults uniform sampling gives easy, hard and impossible goals in the proportion 1 : 24 : 75. The "ood"
    split has goals that are uniform in radius, not in area, and all within reach: easy ones are common there, and none
    is impossible.
    """

    name: ClassVar[str] = "uneven_navigation"
    source: ClassVar[str] = "this workbook; in the manner of the sparse 2-D navigation of Rakelly et al. 2019"

    impossible: float = 0.75
    """Share of the goals that are out of reach, 0 to below 1."""
    glow: float = 1.0
    """Radius of the region around the goal that pays, in units of length."""
    max_step: float = 0.15
    """Longest displacement of a step, in units of length."""
    horizon: int = 10
    """H, steps per episode."""

    def __post_init__(self) -> None:
        check_positive("uneven_navigation", glow=self.glow, max_step=self.max_step, horizon=self.horizon)
        if not 0 <= self.impossible < 1:
            raise ValueError(f"uneven_navigation: impossible={self.impossible!r} is not allowed; give 0 to below 1")

    @property
    def spec(self) -> Spec:
        plane = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        moves = gym.spaces.Box(-self.max_step, self.max_step, (2,), np.float32)
        return Spec(plane, moves, horizon=self.horizon)

    @property
    def reach(self) -> float:
        """Goals at this distance or beyond never pay, in units of length."""
        return self.horizon * self.max_step + self.glow

    @property
    def radius(self) -> float:
        """Of the disc of goals, in units of length: ``impossible`` of its area lies beyond ``reach``."""
        return self.reach / math.sqrt(1 - self.impossible)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> UnevenTasks:
        u = split_uniform((n, 2), split, generator)  # (T, 2): radius, angle
        r = self.reach * u[:, 0] if split == "ood" else self.radius * u[:, 0].sqrt()
        angle = 2 * math.pi * u[:, 1]
        return UnevenTasks(r.unsqueeze(1) * torch.stack((angle.cos(), angle.sin()), 1))

    def kind(self, tasks: UnevenTasks) -> Tensor:
        """0 easy, 1 hard, 2 impossible, (T,) int64: an index into ``KINDS``."""
        r = torch.linalg.vector_norm(tasks.goal, dim=1)
        return (r >= self.glow / 2).long() + (r >= self.reach).long()

    def reset(self, tasks: UnevenTasks, noise: Tensor) -> UnevenState:
        return UnevenState(torch.zeros(*noise.shape[:2], 2, device=noise.device))

    def step(
        self, tasks: UnevenTasks, state: UnevenState, action: Tensor, noise: Tensor
    ) -> tuple[UnevenState, Tensor, Tensor]:
        position = state.position + self._cut(action)
        reward = self._pay(torch.linalg.vector_norm(position - tasks.goal.unsqueeze(1), dim=-1))
        return UnevenState(position), reward, torch.zeros_like(reward, dtype=torch.bool)

    def observe(self, tasks: UnevenTasks, state: UnevenState) -> Tensor:
        return state.position

    def oracle(self, tasks: UnevenTasks) -> Tensor:
        """Exact: going straight at full speed leaves, after every step, the least distance that any path can."""
        steps = torch.arange(1, self.horizon + 1, device=tasks.goal.device).unsqueeze(1)  # (H, 1)
        r = torch.linalg.vector_norm(tasks.goal, dim=1)
        return self._pay((r - self.max_step * steps).clamp_min(0)).sum(0)

    def best_action(self, tasks: UnevenTasks, observation: Tensor, step: int) -> Tensor:
        return self._cut(tasks.goal.unsqueeze(1) - observation)

    def _pay(self, distance: Tensor) -> Tensor:
        return (1 - distance / self.glow).clamp_min(0)

    def _cut(self, move: Tensor) -> Tensor:
        """A displacement (T, E, 2), no longer than ``max_step``."""
        length = torch.linalg.vector_norm(move, dim=-1, keepdim=True)
        return move * (self.max_step / length.clamp_min(self.max_step))
