"""The agent that knows its task: the ceiling of every figure."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from metarl_lab.references.base import Knowing
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.types import Seen


class Oracle(Knowing):
    """Plays the family's ``best_action`` with the task known. Its memory is the tasks themselves."""

    name: ClassVar[str] = "oracle"

    def __init__(self, family: TaskFamily) -> None:
        super().__init__(family)
        if type(family).best_action is TaskFamily.best_action:
            raise ValueError(f"oracle: {family.name} has no best_action, so it cannot be played with the task known")

    def told(self, tasks: Tasks, copies: int) -> Tasks:
        return tasks

    def act(self, memory: Tasks, seen: Seen, noise: Tensor) -> tuple[Tensor, Tasks]:
        action = self.family.best_action(memory, seen.observation, seen.step)
        if action is None:
            raise ValueError(f"oracle: {self.family.name} with these options has no known best_action")
        return action, memory
