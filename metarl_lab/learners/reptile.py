"""Reptile: move the initialisation towards where plain policy gradient ends on each task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from metarl_lab.inner_loop import AdaptConfig, trial_metrics
from metarl_lab.learners.base import GradientLearner
from metarl_lab.ops.inner_step import Adaptation
from metarl_lab.ops.surrogates import naive
from metarl_lab.rollout import begin, collect
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Episodes, Metrics, Spec


@dataclass(frozen=True)
class ReptileConfig(AdaptConfig):
    """What can be chosen."""

    inner_steps: int = 2
    """Inner steps of each task per iteration, each on a batch of its own. With 1, Reptile is joint training."""
    outer_step: float = 1.0
    """epsilon: how far the initialisation moves towards the mean of the adapted parameters; 1 is all the way."""


class Reptile(GradientLearner):
    """theta <- theta + epsilon mean_i (theta_i^(k) - theta), theta_i^(k) after k plain steps on task i (Nichol et al.
    2018, algorithm 2).

    No derivative passes through an inner step. With k >= 2 the expected move holds, beside the joint gradient, a term
    that raises the inner product between the gradients of a task's batches (idem, section 5). All surrogates have one
    first derivative, so there is none to choose. Memory: each task's own parameters.
    """

    name: ClassVar[str] = "reptile"
    source: ClassVar[str] = "Nichol, Achiam & Schulman 2018, arXiv 1803.02999"
    Config = ReptileConfig

    def __init__(self, spec: Spec, config: ReptileConfig) -> None:
        super().__init__(spec, config)
        check_positive("reptile", outer_step=config.outer_step)
        self.how = Adaptation(self.network.per_task, [], naive)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        trial = begin(self, family, tasks, self.config.episodes)
        acted: list[Episodes] = []
        for _ in range(self.config.inner_steps):
            episodes, trial = collect(self, family, tasks, trial, generator)
            trial = trial._replace(memory=self.absorb(trial.memory, episodes))
            acted.append(episodes)
        moved = 0.0
        with torch.no_grad():
            for k, p in self.meta_parameters().items():
                move = self.config.outer_step * (trial.memory.parameters[k].mean(0) - p)
                p += move
                moved += move.square().sum().item()
        return trial_metrics(acted, {"step_norm": moved**0.5})
