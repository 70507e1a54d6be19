"""ProMP: proximal meta-policy search, a low-variance meta-gradient used for several steps on the same data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from metarl_lab.inner_loop import LookThroughConfig, inner_loop, parts_of, step_sizes, trial_metrics
from metarl_lab.learners.base import GradientLearner
from metarl_lab.ops.inner_step import Adaptation
from metarl_lab.ops.outer_step import gradient_update
from metarl_lab.ops.surrogates import lvc, surrogate_named
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Metrics, Spec


@dataclass(frozen=True)
class ProMPConfig(LookThroughConfig):
    """What can be chosen. The outer defaults, the KL weight aside, are those of the authors' scripts."""

    surrogate: str = "lvc"
    """What the inner step differentiates; "lvc" is ProMP's. See ``maml`` for the others."""
    inner_clip: float = 0.3
    """Clip of the inner step's ratio to the policy that acted, 1 -+ inner_clip; 0 does not clip (as the paper)."""
    epochs: int = 5
    """Gradient steps per iteration."""
    clip: float = 0.3
    """Clip of the ratio after adaptation, 1 -+ clip."""
    learning_rate: float = 1e-3
    """Adam's step size."""
    kl_weight: float = 1.0
    """First and least weight of the KL penalty, which keeps the policies before adaptation near the ones that acted.
    (The authors' scripts hold 5e-4: on short runs with larger steps that lets them go, and they do not come back.)"""
    kl_target: float = 0.01
    """The weight doubles after an iteration that moved them by more than 1.5 times this KL, and halves below 1 / 1.5
    times, nats per step."""
    piece: int = 20_000
    """Steps differentiated at once on a CPU, so that they stay in its cache; changes rounding only."""


class ProMP(GradientLearner):
    """max_theta sum_i J_i^CLIP(theta_i') - eta KL(pi_acted || pi_theta), theta_i' = theta + alpha grad J_i^LR(theta)
    (Rothfuss et al. 2019, eqs. 13, 14, algorithm 1).

    Memory: each task's own parameters. At the policies that acted (first gradient step) this is MAML's gradient with
    the low-variance-curvature surrogate.
    """

    name: ClassVar[str] = "promp"
    source: ClassVar[str] = "Rothfuss, Lee, Clavera, Asfour & Abbeel 2019, arXiv 1810.06784; code jonasrothfuss/ProMP"
    Config = ProMPConfig
    kl_weight: Tensor

    def __init__(self, spec: Spec, config: ProMPConfig) -> None:
        super().__init__(spec, config)
        check_positive("promp", kl_weight=config.kl_weight, kl_target=config.kl_target)
        surrogate = surrogate_named(config.surrogate)
        if surrogate is lvc and config.inner_clip:
            surrogate = partial(lvc, clip=config.inner_clip)
        self.how = Adaptation(self.network.per_task, step_sizes(config), surrogate, config.first_order)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)
        self.register_buffer("kl_weight", torch.tensor(config.kl_weight, dtype=torch.float64))

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        config = self.config
        # algorithm 1: sample tasks' trajectories before and after the inner steps
        acted, batches = inner_loop(self, family, tasks, config.inner_steps, generator)
        # algorithm 1: ascend the objective of eqs. 13 and 14 on the same trajectories for several epochs
        kl_weight = self.kl_weight.item()
        values = gradient_update(
            self.how,
            self.meta_parameters(),
            parts_of(batches, config.piece),
            self.optimizer,
            config.epochs,
            config.clip,
            kl_weight,
        )
        self._follow_kl_target(values["inner_kl"])
        return trial_metrics(acted, values | {"kl_weight": kl_weight})

    def _follow_kl_target(self, moved: float) -> None:
        """The penalty's next weight, given the KL by which this iteration moved the policies before adaptation."""
        if moved > 1.5 * self.config.kl_target:
            self.kl_weight *= 2.0
        elif moved < self.config.kl_target / 1.5:
            self.kl_weight *= 0.5
        # not below its start: halved away through quiet iterations, it could not come back when one is not
        self.kl_weight.clamp_(min=self.config.kl_weight)
