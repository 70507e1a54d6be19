"""Uniformly random actions: the floor of every figure."""

from __future__ import annotations

from typing import ClassVar

import gymnasium as gym
import torch
from torch import Tensor

from metarl_lab.references.base import Reference
from metarl_lab.tasks.base import TaskFamily
from metarl_lab.types import Memory, Seen


class Random(Reference):
    """Every action equally likely, whatever was seen; in a box, uniform between its bounds."""

    name: ClassVar[str] = "random"

    def __init__(self, family: TaskFamily) -> None:
        super().__init__(family)
        self.noise_size = 1 if self.spec.discrete else self.spec.action_size

    def begin(self, n_tasks: int, copies: int) -> Memory:
        return ()

    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        space = self.spec.action_space
        if isinstance(space, gym.spaces.Discrete):
            n = int(space.n)
            return (noise[..., 0] * n).long().clamp_max(n - 1), memory
        low = torch.as_tensor(space.low, device=noise.device)
        return low + (torch.as_tensor(space.high, device=noise.device) - low) * noise, memory
