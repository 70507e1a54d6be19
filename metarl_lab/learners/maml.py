"""MAML: initial parameters from which one policy-gradient step on a new task goes far."""

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
class MAMLConfig(MetaGradientConfig):
    """What can be chosen."""


class MAML(GradientLearner):
    """theta <- argmax sum_i E[ R_i(theta + alpha grad R_i(theta)) ] (Finn et al. 2017, eq. 4), by gradient *ascent*.

    Memory: each task's own parameters. The outer objective reads post-adaptation episodes only; pre-adaptation ones
    enter through the inner step.
    """

    name: ClassVar[str] = "maml"
    source: ClassVar[str] = "Finn, Abbeel & Levine 2017, arXiv 1703.03400, algorithm 3; code cbfinn/maml_rl"
    Config = MAMLConfig

    def __init__(self, spec: Spec, config: MAMLConfig) -> None:
        super().__init__(spec, config)
        surrogate = surrogate_named(config.surrogate)
        self.how = Adaptation(self.network.per_task, step_sizes(config), surrogate, config.first_order)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        acted, batches = inner_loop(self, family, tasks, self.config.inner_steps, generator)
        values = outer_step(self.how, self.meta_parameters(), batches, self.config, self.optimizer)
        return trial_metrics(acted, values)
