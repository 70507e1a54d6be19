"""TaskSampler: which tasks to train on next. One sampler per file beside this one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.types import leaves, map_tensors


class TaskSampler(ABC):
    """Chooses the tasks of each meta-training iteration, and hears how they went.

    A concrete sampler is final; it sets ``name`` and ``Config``, a frozen dataclass with a documented, defaulted field
    for everything that can be chosen. It works with any family and any learner, draws random numbers from no other
    generator than the one that ``sample`` is given, and puts everything that a resume could lose into ``state``.
    """

    name: ClassVar[str] = ""
    source: ClassVar[str] = ""
    """The paper that the sampler comes from."""
    Config: ClassVar[type]

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def sample(self, family: TaskFamily, n: int, generator: torch.Generator) -> Tasks:
        """n tasks of the family's "train" split, on the generator's device."""

    @abstractmethod
    def observe(self, tasks: Tasks, scores: Tensor) -> None:
        """Take in the scores (T, B) of the tasks of the last ``sample``: mean return per episode, batch by batch of a
        trial, from before adaptation (first column) to after it (last). See ``metarl_lab.types.Metrics``."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """What must survive a resume, as named tensors; it may depend on what ``sample`` has met so far."""

    @abstractmethod
    def load_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of ``state``, also on a sampler that has met no family yet."""


def features(tasks: Tasks) -> Tensor:
    """A task as numbers: all its parameters, flattened and laid end to end, (T, F) float32."""
    return torch.cat([x.reshape(len(x), -1).to(torch.float32) for x in leaves(tasks)], 1)


def rebuild(like: Tasks, tensors: list[Tensor]) -> Tasks:
    """Inverse of ``leaves``: a batch of tasks shaped as ``like``, made of these tensors."""
    left = iter(tensors)
    return map_tensors(lambda _: next(left), like)


def draw(probabilities: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """``count`` different indices, one after another in proportion to (N,) probabilities of those left, (count,)."""
    if count == 0:
        return torch.zeros(0, dtype=torch.int64, device=probabilities.device)
    return torch.multinomial(probabilities.double(), count, generator=generator)


def check_scores(sampler: str, scores: Tensor) -> None:
    """Raise ValueError unless scores are (T, B), with at least one batch."""
    if scores.ndim != 2 or scores.shape[1] < 1:
        raise ValueError(f"{sampler}: scores must be (T, B), one row a task; given {tuple(scores.shape)}")
