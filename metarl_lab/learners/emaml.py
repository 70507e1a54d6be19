"""E-MAML: MAML that also credits exploration before adaptation with the return after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from metarl_lab.inner_loop import MetaGradientConfig, inner_loop, outer_step, step_sizes, trial_metrics
from metarl_lab.learners.base import GradientLearner
from metarl_lab.ops.inner_step import Adaptation
from metarl_lab.ops.surrogates import surrogate_named
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.types import Metrics, Spec


@dataclass(frozen=True)
class EMAMLConfig(MetaGradientConfig):
    """What can be chosen."""


class EMAML(GradientLearner):
    """MAML whose meta-gradient also runs through *which* data theta draws to adapt on.

    To MAML's gradient it adds E[ sum_t grad log pi_theta(a_t | s_t) R_i(theta_i') ] over the pre-adaptation data: the
    derivative of the sampling distribution. With the naive surrogate the sum is the unbiased gradient of
    E[ R_i(theta_i') ] for the finite batches that adaptation reads, at the price of much variance. Memory: each task's
    own parameters.
    """

    name: ClassVar[str] = "emaml"
    source: ClassVar[str] = "Stadie et al. 2018, arXiv 1803.01118; Al-Shedivat et al. 2018, arXiv 1710.03641, eq. 4"
    Config = EMAMLConfig

    def __init__(self, spec: Spec, config: EMAMLConfig) -> None:
        super().__init__(spec, config)
        surrogate = surrogate_named(config.surrogate)
        per_task, sizes = self.network.per_task, step_sizes(config)
        self.how = Adaptation(per_task, sizes, surrogate, config.first_order, sampling_term=True)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        acted, batches = inner_loop(self, family, tasks, self.config.inner_steps, generator)
        values = outer_step(self.how, self.meta_parameters(), batches, self.config, self.optimizer)
        return trial_metrics(acted, values)
