"""Reference: an agent that is not learned, an anchor to read every result against."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.types import Episodes, Memory, Seen


class Reference(ABC):
    """An agent built from a family's own structure (its prior, its dynamics), with the same face as a learner.

    A concrete reference is a final class made as ``Reference(family, **options)``; it raises ValueError, naming the
    families it can act in, for one that it cannot. It carries its own memory per copy, with leading axes (T, E).
    """

    name: ClassVar[str] = ""
    source: ClassVar[str] = ""
    shares_memory: bool = False
    noise_size: int = 1
    device: torch.device = torch.device("cpu")

    def __init__(self, family: TaskFamily) -> None:
        self.family = family
        self.spec = family.spec

    def to(self, device: torch.device | str) -> Reference:
        """Make memories on this device from now on."""
        self.device = torch.device(device)
        return self

    @abstractmethod
    def begin(self, n_tasks: int, copies: int) -> Memory:
        """The memory before the first step of a trial."""

    @abstractmethod
    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        """Choose an action for every copy; take in the last action and reward first. noise (T, E, noise_size)."""

    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        """Nothing: a reference learns from each transition as it sees it."""
        return memory


class Knowing(Reference):
    """A reference that is told the tasks: ``rollout.begin`` calls ``told``. Its memory has leading axis T, like tasks,
    and acting never changes it."""

    shares_memory = True

    def begin(self, n_tasks: int, copies: int) -> Memory:
        raise ValueError(f"{self.name} must know its tasks; start its trials with metarl_lab.rollout.begin")

    @abstractmethod
    def told(self, tasks: Tasks, copies: int) -> Memory:
        """The memory before the first step of a trial, the tasks known."""


def check_family(name: str, family: TaskFamily, *allowed: type[TaskFamily], hint: str = "") -> None:
    """Raise ValueError if the reference ``name`` cannot act in this family."""
    if not isinstance(family, allowed):
        names = " or ".join(repr(a.name) for a in allowed)
        raise ValueError(f"{name} cannot act in {family.name!r}; give a family {names}{hint and '; ' + hint}")
