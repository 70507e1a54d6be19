"""ANIL: almost no inner loop. Only the policy's last layer adapts to a task."""

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
class ANILConfig(MetaGradientConfig):
    """What can be chosen."""


class ANIL(GradientLearner):
    """MAML whose inner steps move the head (last weights and biases) only; the body is meta-trained, and shared.

    The outer gradient reaches the body too, through the adapted head. Memory: each task's own head (the shared body
    beside it).
    """

    name: ClassVar[str] = "anil"
    source: ClassVar[str] = "Raghu, Raghu, Bengio & Vinyals 2020, arXiv 1909.09157"
    Config = ANILConfig

    def __init__(self, spec: Spec, config: ANILConfig) -> None:
        super().__init__(spec, config)
        surrogate, head = surrogate_named(config.surrogate), self.network.head
        self.how = Adaptation(self.network.per_task, step_sizes(config), surrogate, config.first_order, moved=head)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        acted, batches = inner_loop(self, family, tasks, self.config.inner_steps, generator)
        values = outer_step(self.how, self.meta_parameters(), batches, self.config, self.optimizer)
        return trial_metrics(acted, values)
