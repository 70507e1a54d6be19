"""Uniform task sampling: every iteration draws fresh tasks from the family's training distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.samplers.base import TaskSampler
from metarl_lab.tasks.base import TaskFamily, Tasks


@dataclass(frozen=True)
class UniformConfig:
    """Nothing can be chosen."""


class Uniform(TaskSampler):
    """Fresh tasks from p(task), scores ignored: what J(theta) = E_p[R] is an expectation over."""

    name: ClassVar[str] = "uniform"
    Config = UniformConfig

    def sample(self, family: TaskFamily, n: int, generator: torch.Generator) -> Tasks:
        return family.sample_tasks(n, "train", generator)

    def observe(self, tasks: Tasks, scores: Tensor) -> None:
        pass

    def state(self) -> dict[str, Tensor]:
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        if state:
            raise ValueError(f"sampler {self.name!r} keeps no state, but was given {', '.join(state)}")
