"""Meta-SGD: MAML that learns the inner step size, and direction, of every parameter beside the initialisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from metarl_lab.inner_loop import MetaGradientConfig, inner_loop, outer_step, step_sizes, trial_metrics
from metarl_lab.learners.base import GradientLearner
from metarl_lab.ops.inner_step import RATE, Adaptation
from metarl_lab.ops.surrogates import surrogate_named
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.types import Metrics, Spec

RATES = ("parameter", "layer")


@dataclass(frozen=True)
class MetaSGDConfig(MetaGradientConfig):
    """What can be chosen. The learned rates multiply ``inner_step`` and ``later_inner_step``."""

    rates: str = "parameter"
    """One rate for each "parameter", or for each "layer" (its weights and its biases have one each)."""


class MetaSGD(GradientLearner):
    """theta_i' = theta + alpha * grad R_i(theta), elementwise, with theta *and* alpha meta-learned.

    alpha = inner_step * rate, where every rate starts at 1 and may become negative. Memory: each task's own parameters.
    """

    name: ClassVar[str] = "meta_sgd"
    source: ClassVar[str] = "Li, Zhou, Chen & Li 2017, arXiv 1707.09835, eq. 1"
    Config = MetaSGDConfig

    def __init__(self, spec: Spec, config: MetaSGDConfig) -> None:
        super().__init__(spec, config)
        if config.rates not in RATES:
            raise ValueError(f"meta_sgd: rates={config.rates!r} is not known; choose one of {', '.join(RATES)}")
        for k, p in self.network.parameters_by_name().items():
            rate = torch.ones_like(p) if config.rates == "parameter" else torch.ones([1] * p.ndim)
            self.register_parameter(RATE + k, nn.Parameter(rate))
        surrogate = surrogate_named(config.surrogate)
        self.how = Adaptation(self.network.per_task, step_sizes(config), surrogate, config.first_order)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        acted, batches = inner_loop(self, family, tasks, self.config.inner_steps, generator)
        values = outer_step(self.how, self.meta_parameters(), batches, self.config, self.optimizer)
        return trial_metrics(acted, values)
