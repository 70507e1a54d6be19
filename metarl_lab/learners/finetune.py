"""Fine-tuning: pre-train one policy on all tasks at once, then plain policy gradient. What meta-RL must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from metarl_lab.inner_loop import OuterConfig, inner_loop, outer_step, trial_metrics
from metarl_lab.learners.base import GradientLearner
from metarl_lab.ops.inner_step import Adaptation
from metarl_lab.ops.surrogates import naive
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.types import Metrics, Spec


@dataclass(frozen=True)
class FinetuneConfig(OuterConfig):
    """What can be chosen."""

    episodes: int = 40
    """Episodes of each task per iteration: as many as ``maml`` acts in its two batches."""
    curvature_episodes: int = 10
    """TRPO: of each task's episodes, how many the curvature reads (the KL bound is checked on all)."""


class Finetune(GradientLearner):
    """theta <- argmax sum_i R_i(theta): the mean return of one policy, with no look ahead to what a step would do.

    Adaptation to a task is the same policy-gradient step as ``maml``'s. Memory: each task's own parameters.
    """

    name: ClassVar[str] = "finetune"
    source: ClassVar[str] = "The 'pretrained' baseline of Finn, Abbeel & Levine 2017, arXiv 1703.03400, section 5.3"
    Config = FinetuneConfig

    def __init__(self, spec: Spec, config: FinetuneConfig) -> None:
        super().__init__(spec, config)
        self.how = Adaptation(self.network.per_task, [], naive)  # no inner step: the objective is that of one policy
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        acted, batches = inner_loop(self, family, tasks, 0, generator)
        values = outer_step(self.how, self.meta_parameters(), batches, self.config, self.optimizer)
        return trial_metrics(acted, values)
