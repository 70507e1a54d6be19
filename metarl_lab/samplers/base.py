"""TaskSampler: which tasks to train on next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.tasks.base import TaskFamily, Tasks


class TaskSampler(ABC):
    """Chooses the tasks of each meta-training iteration, and hears how they went."""

    name: ClassVar[str] = ""

    @abstractmethod
    def sample(self, family: TaskFamily, n: int, generator: torch.Generator) -> Tasks:
        """n training tasks."""

    @abstractmethod
    def observe(self, tasks: Tasks, scores: Tensor) -> None:
        """Take in the scores (T, B) of the tasks of the last ``sample``: mean return per episode, batch by batch of a
        trial, from before adaptation (first column) to after it (last). See ``metarl_lab.types.Metrics``."""

    def state(self) -> dict[str, Tensor]:
        """What must survive a resume, as named tensors."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of ``state``."""
        if state:
            raise ValueError(f"sampler {self.name!r} keeps no state, but was given {', '.join(state)}")
