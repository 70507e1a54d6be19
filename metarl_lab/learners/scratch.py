"""From scratch: random initial parameters, then plain policy gradient on each task. No meta-training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.learners.base import MetaLearner
from metarl_lab.nets.mlp import MLPPolicy
from metarl_lab.ops.baseline import advantages, check_baseline
from metarl_lab.ops.inner_step import Adapted, adapt, fresh
from metarl_lab.ops.surrogates import naive
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Metrics, Seen, Spec


@dataclass(frozen=True)
class ScratchConfig:
    """What can be chosen. Fields that ``maml`` has too mean the same and have the same default."""

    hidden: tuple[int, ...] = (64, 64)
    """Units of each hidden layer of the policy."""
    activation: str = "tanh"
    """"tanh" or "relu"."""
    output_gain: float = 1.0
    """Scale of the policy's initial output weights, in units of Xavier's. 1 is the published random start."""
    meta_batch: int = 20
    """Tasks per iteration."""
    episodes: int = 20
    """Episodes of each task per batch."""
    inner_step: float = 0.5
    """Step size of a trial's first inner step, per unit of the mean over live steps of log pi times advantage."""
    later_inner_step: float = 0.25
    """Step size of every later inner step of a trial (the authors' halve it)."""
    discount: float = 0.99
    """Discount per step."""
    gae_lambda: float = 1.0
    """GAE's lambda: 0 trusts the baseline, 1 the returns."""
    baseline: str = "leave_one_out"
    """Linear baseline per task: "leave_one_out" (unbiased), "same_batch" (common, biased) or "none"."""
    standardize: bool = True
    """Give each task's advantages mean 0 and standard deviation 1 (biased in scale, as in the authors' code)."""


class Scratch(MetaLearner):
    """Every task starts from the same random parameters and takes ``maml``'s inner step after each batch.

    Memory: each task's own parameters. ``update`` acts one batch for the record, and changes nothing.
    """

    name: ClassVar[str] = "scratch"
    source: ClassVar[str] = "The 'random' baseline of Finn, Abbeel & Levine 2017, arXiv 1703.03400, section 5.3"
    Config = ScratchConfig
    shares_memory = True

    def __init__(self, spec: Spec, config: ScratchConfig) -> None:
        super().__init__(spec, config)
        check_positive("scratch", meta_batch=config.meta_batch, episodes=config.episodes)
        check_baseline(config.baseline)
        self.policy = MLPPolicy(spec, config.hidden, config.activation, output_gain=config.output_gain)

    def begin(self, n_tasks: int, copies: int) -> Adapted:
        return fresh(self.policy.parameters_by_name(), n_tasks)

    def act(self, memory: Adapted, seen: Seen, noise: Tensor) -> tuple[Tensor, Adapted]:
        return self.policy.per_task(memory.parameters, seen.observation).sample(noise), memory

    def absorb(self, memory: Adapted, episodes: Episodes) -> Adapted:
        c = self.config
        samples = advantages(episodes, c.discount, c.gae_lambda, c.baseline, c.standardize)
        return adapt(self.policy.per_task, memory, samples, (c.inner_step, c.later_inner_step), naive)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        episodes, _ = collect(self, family, tasks, begin(self, family, tasks, self.config.episodes), generator)
        scores = episodes.returns.mean((1, 2))
        return Metrics({"return": scores.mean().item(), "env_steps": episodes.env_steps}, scores)
