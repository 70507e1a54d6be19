"""Uniform task sampling: every iteration draws fresh tasks from the family's training distribution."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.samplers.base import TaskSampler
from metarl_lab.tasks.base import TaskFamily, Tasks


class Uniform(TaskSampler):
    """Fresh tasks from p(task), scores ignored."""

    name: ClassVar[str] = "uniform"

    def sample(self, family: TaskFamily, n: int, generator: torch.Generator) -> Tasks:
        return family.sample_tasks(n, "train", generator)

    def observe(self, tasks: Tasks, scores: Tensor) -> None:
        pass
