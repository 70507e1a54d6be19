"""Semicircle navigation: PEARL's sparse point robot, paid only near a goal that it has to find."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from metarl_lab.ops.transitions import next_observations
from metarl_lab.tasks.base import TaskFamily, check_positive, split_uniform
from metarl_lab.types import Episodes, Spec


class SemicircleTasks(NamedTuple):
    """``goal``: a point of the unit circle, (T, 2), in the plane's unit of length."""

    goal: Tensor


class SemicircleState(NamedTuple):
    """``position`` (T, E, 2), in the plane's unit of length."""

    position: Tensor


@dataclass(frozen=True)
class SemicircleNavigation(TaskFamily):
    """Sparse 2-D navigation: 1 - d within ``goal_radius`` of the goal, else 0; d the Euclidean distance after the move.

    Episodes start at (0, 0) and last ``horizon`` steps; an action is a displacement, clipped to +-``max_step`` per
    axis. The goal is not observed, and an agent that has never been near it has only zeros to go by: it has to search
    the arc. ``training_reward`` is the dense -d, which PEARL's actor and critic are meta-trained on; what agents see,
    and what evaluation counts, is the sparse reward.

    Goals: angle U(0, pi) in training and testing, the lower semicircle out of distribution. PEARL spaces 100 angles
    evenly over the upper one and holds out 20 of them at random; here every task is a fresh angle.

    A trial has six episodes: PEARL's five exploration trajectories, and the sixth, which is the one to report. With the
    goal known one and the same play returns most of both rewards: 13.38 (sparse) and -3.84 (dense) on average here, and
    13.36 and -3.85 on PEARL's 100 goals, where both ends of the arc lose 0.8 to rounding at the edge of the radius.
    """

    name: ClassVar[str] = "semicircle_navigation"
    source: ClassVar[str] = "Rakelly et al. 2019, PEARL, arXiv 1903.08254, section 6.3, and the authors' code"

    goal_radius: float = 0.2
    """The reward is zero further than this from the goal, in units of length (the semicircle's radius is 1)."""
    max_step: float = 0.1
    """Largest move per axis and step, in units of length."""
    horizon: int = 20
    """H, steps per episode."""
    episodes: int = 6
    """K, episodes per trial: five to explore and one to report."""

    def __post_init__(self) -> None:
        check_positive("semicircle_navigation", **self.config)

    @property
    def spec(self) -> Spec:
        plane = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        moves = gym.spaces.Box(-self.max_step, self.max_step, (2,), np.float32)
        return Spec(plane, moves, horizon=self.horizon, episodes=self.episodes)

    def sample_tasks(self, n: int, split: str, generator: torch.Generator) -> SemicircleTasks:
        angle = pi * split_uniform((n,), split, generator)  # (T,), radians
        side = -1 if split == "ood" else 1
        return SemicircleTasks(torch.stack((angle.cos(), side * angle.sin()), 1))

    def reset(self, tasks: SemicircleTasks, noise: Tensor) -> SemicircleState:
        return SemicircleState(torch.zeros(*noise.shape[:2], 2, device=noise.device))

    def step(
        self, tasks: SemicircleTasks, state: SemicircleState, action: Tensor, noise: Tensor
    ) -> tuple[SemicircleState, Tensor, Tensor]:
        position = state.position + action.clamp(-self.max_step, self.max_step)
        distance = torch.linalg.vector_norm(position - tasks.goal.unsqueeze(1), dim=-1)  # (T, E)
        reward = (1 - distance) * (distance <= self.goal_radius)
        return SemicircleState(position), reward, torch.zeros_like(reward, dtype=torch.bool)

    def observe(self, tasks: SemicircleTasks, state: SemicircleState) -> Tensor:
        return state.position

    def training_reward(self, tasks: SemicircleTasks, episodes: Episodes) -> Tensor:
        """Minus the Euclidean distance to the goal after each move, (T, E, K, H): dense, and hidden from agents."""
        # the position after a move is what was observed next
        after, _ = next_observations(episodes)
        distance = torch.linalg.vector_norm(after - tasks.goal[:, None, None, None], dim=-1)
        return -distance * episodes.mask

    def oracle(self, tasks: SemicircleTasks) -> Tensor:
        """Exact: each axis goes straight to its goal, |gap_t| = max(|goal| - t max_step, 0), the least that any play
        can leave on that axis after t moves. So at every step no play is nearer, and both rewards fall with distance.
        """
        state = self.reset(tasks, tasks.goal.new_zeros(len(tasks.goal), 1, 0))
        total = torch.zeros_like(tasks.goal[:, :1])  # (T, 1)
        for t in range(self.horizon):  # played out: a formula would round differently at the edge of the radius
            state, reward, _ = self.step(tasks, state, self.best_action(tasks, state.position, t), state.position)
            total = total + reward
        return total[:, 0]

    def best_action(self, tasks: SemicircleTasks, observation: Tensor, step: int) -> Tensor:
        return (tasks.goal.unsqueeze(1) - observation).clamp(-self.max_step, self.max_step)
