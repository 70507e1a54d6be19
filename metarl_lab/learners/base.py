"""MetaLearner: what every learned agent is. One algorithm per file beside this one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.types import Episodes, Memory, Metrics, Seen, Spec


class MetaLearner(nn.Module, ABC):
    """A meta-learner: an nn.Module whose parameters are what meta-training changes, and whose memory is what a trial
    changes.

    A concrete learner is final (never subclassed); it sets ``name``, ``Config`` (a frozen dataclass with a documented,
    defaulted field for everything that can be chosen, among them ``meta_batch``, the tasks per update), and
    ``shares_memory`` and ``noise_size`` as in ``metarl_lab.types.Agent``. Optimisers are plain attributes of type
    ``torch.optim.Optimizer``; everything else that must survive a resume is a parameter or a buffer.
    """

    name: ClassVar[str] = ""
    source: ClassVar[str] = ""
    """The paper the algorithm comes from."""
    Config: ClassVar[type]
    shares_memory: bool
    noise_size: int

    def __init__(self, spec: Spec, config: Any) -> None:
        super().__init__()
        self.spec = spec
        self.config = config
        self.noise_size = 1 if spec.discrete else spec.action_size

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @abstractmethod
    def begin(self, n_tasks: int, copies: int) -> Memory:
        """What the learner knows before the first step of a trial."""

    @abstractmethod
    def act(self, memory: Memory, seen: Seen, noise: Tensor) -> tuple[Tensor, Memory]:
        """Choose an action for every copy. noise (T, E, noise_size), uniform on (0, 1)."""

    @abstractmethod
    def absorb(self, memory: Memory, episodes: Episodes) -> Memory:
        """What the learner makes of a finished batch of episodes; must not change its argument in place."""

    @abstractmethod
    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        """One meta-training iteration on these tasks, in place.

        See ``metarl_lab.types.Metrics`` for what it returns; training stops with an error, before anything is saved,
        when a value is not finite.
        """

    def training_state(self) -> dict[str, Tensor]:
        """The optimisers' state as flat named tensors, for a checkpoint; with it the step sizes, which may decay."""
        state: dict[str, Tensor] = {}
        for name, optimizer in self._optimizers().items():
            whole = optimizer.state_dict()
            for index, slots in whole["state"].items():
                for key, value in slots.items():
                    if value is not None:  # SGD without momentum
                        state[f"{name}.{index}.{key}"] = torch.as_tensor(value).detach().clone()
            rates = [float(group["lr"]) for group in whole["param_groups"]]
            state[f"{name}.lr"] = torch.tensor(rates, dtype=torch.float64)
        return state

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of ``training_state``."""
        for name, optimizer in self._optimizers().items():
            whole = optimizer.state_dict()
            whole["state"] = {}
            for group, rate in zip(whole["param_groups"], state[f"{name}.lr"].tolist(), strict=True):
                group["lr"] = rate
            for full, value in state.items():
                if full.startswith(f"{name}.") and full != f"{name}.lr":
                    index, key = full[len(name) + 1 :].split(".", 1)
                    whole["state"].setdefault(int(index), {})[key] = value.clone()
            optimizer.load_state_dict(whole)

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {k: v for k, v in vars(self).items() if isinstance(v, torch.optim.Optimizer)}
