"""MetaLearner: what every learned agent is. PerTaskPolicy: one whose memory is each task's own policy parameters;
GradientLearner: one that moves them by policy gradient.

One algorithm per file beside this one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from metarl_lab.inner_loop import AdaptConfig, check_config, samples_of
from metarl_lab.nets.mlp import MLPPolicy
from metarl_lab.ops.baseline import Samples
from metarl_lab.ops.inner_step import Adaptation, Adapted, Parameters, adapt, fresh
from metarl_lab.ops.optimizer_state import load_optimizer_slots, optimizer_slots
from metarl_lab.replay import Replay
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.types import Episodes, Memory, Metrics, Seen, Spec


class MetaLearner(nn.Module, ABC):
    """A meta-learner: an nn.Module whose parameters are what meta-training changes, and whose memory is what a trial
    changes.

    A concrete learner is final (never subclassed); it sets ``name``, ``Config`` (a frozen dataclass with a documented,
    defaulted field for everything that can be chosen, among them ``meta_batch``, the tasks per update), and
    ``shares_memory`` and ``noise_size`` as in ``metarl_lab.types.Agent``. Optimisers are plain attributes of type
    ``torch.optim.Optimizer``, replay buffers of type ``metarl_lab.replay.Replay``; everything else that must survive a
    resume is a parameter or a buffer.
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
        """The optimisers' state as flat named tensors, for a checkpoint; with it the step sizes, which may decay, and
        what the replay buffers hold. Stored agents have none of it.
        """
        state: dict[str, Tensor] = {}
        for name, optimizer in self._optimizers().items():
            state |= {key: x.detach().clone() for key, x in optimizer_slots(optimizer, name).items()}
            rates = [float(group["lr"]) for group in optimizer.param_groups]
            state[f"{name}.lr"] = torch.tensor(rates, dtype=torch.float64)
        for name, replay in self._replays().items():
            state |= {f"{name}.{key}": x for key, x in replay.state().items()}
        return state

    def load_training_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of ``training_state``."""
        for name, optimizer in self._optimizers().items():
            load_optimizer_slots(optimizer, name, state)
            for group, rate in zip(optimizer.param_groups, state[f"{name}.lr"].tolist(), strict=True):
                group["lr"] = rate
        for name, replay in self._replays().items():
            prefix = f"{name}."
            mine = {key.removeprefix(prefix): x for key, x in state.items() if key.startswith(prefix)}
            replay.load_state(mine, self.device)

    def _replays(self) -> dict[str, Replay]:
        return {k: v for k, v in vars(self).items() if isinstance(v, Replay)}

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {k: v for k, v in vars(self).items() if isinstance(v, torch.optim.Optimizer)}


class PerTaskPolicy(MetaLearner, ABC):
    """A learner whose memory is the parameters of each task's own policy (``Adapted``): how it acts.

    Where a task's parameters come from sets one such learner apart: it writes ``begin``, ``absorb`` and ``update``, and
    assigns ``how`` (which parameters an inner step moves, along which surrogate).
    """

    shares_memory = True
    how: Adaptation

    def __init__(self, spec: Spec, config: AdaptConfig) -> None:
        super().__init__(spec, config)
        self.network = MLPPolicy(spec, config.hidden, config.activation, output_gain=config.output_gain)

    def act(self, memory: Adapted, seen: Seen, noise: Tensor) -> tuple[Tensor, Adapted]:
        """Every task acts by its own parameters."""
        return self.how.policy(memory.parameters, seen.observation).sample(noise), memory

    def samples(self, episodes: Episodes) -> Samples:
        """What the policy gradient reads of a batch of episodes."""
        return samples_of(episodes, self.config)

    def policy(self, memory: Adapted, task: int) -> nn.Module:
        """The policy of one task as a module of its own: observation (..., O) -> distribution of actions.

        IndexError for a task that is not in the memory.
        """
        return self.network.of_task(self.how.fold(memory.parameters), task)


class GradientLearner(PerTaskPolicy, ABC):
    """A learner that adapts by policy gradient from shared initial parameters. Memory: each task's own parameters.

    How it adapts is here, the same for all and never overridden; what sets one apart is ``how``, which it assigns, and
    ``update``. Its meta-parameters are the policy network's, and those that it registers itself.
    """

    def __init__(self, spec: Spec, config: AdaptConfig) -> None:
        check_config(self.name, config)
        super().__init__(spec, config)

    def meta_parameters(self) -> Parameters:
        """All parameters by their last names: the network's own, and the learner's beside."""
        return {name.rsplit(".", 1)[-1]: p for name, p in self.named_parameters()}

    def begin(self, n_tasks: int, copies: int) -> Adapted:
        """Every task starts from the meta-parameters."""
        return fresh(self.how, self.meta_parameters(), n_tasks)

    def absorb(self, memory: Adapted, episodes: Episodes) -> Adapted:
        """One inner step of every task on its own episodes."""
        sizes = (self.config.inner_step, self.config.later_inner_step)
        return adapt(self.how, self.meta_parameters(), memory, self.samples(episodes), sizes)
