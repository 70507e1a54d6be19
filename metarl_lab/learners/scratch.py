"""From scratch: random initial parameters, then plain policy gradient on each task. No meta-training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from metarl_lab.inner_loop import AdaptConfig, inner_loop, trial_metrics
from metarl_lab.learners.base import GradientLearner
from metarl_lab.ops.inner_step import Adaptation
from metarl_lab.ops.surrogates import naive
from metarl_lab.tasks.base import TaskFamily, Tasks
from metarl_lab.types import Metrics, Spec


@dataclass(frozen=True)
class ScratchConfig(AdaptConfig):
    """What can be chosen."""

    output_gain: float = 1.0
    """Scale of the policy's initial output weights, in units of Xavier's. 1 is the published random start."""


class Scratch(GradientLearner):
    """Every task starts from the same random parameters and takes ``maml``'s inner step after each batch.

    Memory: each task's own parameters. ``update`` acts one batch for the record, and changes nothing.
    """

    name: ClassVar[str] = "scratch"
    source: ClassVar[str] = "The 'random' baseline of Finn, Abbeel & Levine 2017, arXiv 1703.03400, section 5.3"
    Config = ScratchConfig

    def __init__(self, spec: Spec, config: ScratchConfig) -> None:
        super().__init__(spec, config)
        self.how = Adaptation(self.network.per_task, [], naive)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        acted, _ = inner_loop(self, family, tasks, 0, generator)
        return trial_metrics(acted, {})
