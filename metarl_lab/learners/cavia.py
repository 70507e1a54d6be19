"""CAVIA: a context vector is all that adapts to a task; the network that reads it is shared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from metarl_lab.inner_loop import MetaGradientConfig, inner_loop, outer_step, step_sizes, trial_metrics
from metarl_lab.learners.base import GradientLearner
from metarl_lab.ops.inner_step import Adaptation, Parameters
from metarl_lab.ops.surrogates import surrogate_named
from metarl_lab.tasks.base import TaskFamily, Tasks, check_positive
from metarl_lab.types import Metrics, Spec


@dataclass(frozen=True)
class CAVIAConfig(MetaGradientConfig):
    """What can be chosen."""

    context: int = 5
    """Length of the context vector."""
    inner_step: float = 5.0
    """Step size of a trial's first inner step on the context, per unit of the mean over live steps of log pi times
    advantage. A few numbers must do what MAML does with thousands, so it is larger than MAML's."""
    later_inner_step: float = 2.5
    """Step size of every later inner step of a trial."""


class CAVIA(GradientLearner):
    """max_theta sum_i E[ R_i(theta, phi_i') ], phi_i' = alpha grad_phi R_i(theta, phi) at phi = 0 (Zintgraf et al.
    2019, eqs. 6-8).

    The context phi is an input beside the observation, the same in all steps of a task. Memory: each task's context
    (the shared network beside it).
    """

    name: ClassVar[str] = "cavia"
    source: ClassVar[str] = "Zintgraf, Shiarlis, Kurin, Hofmann & Whiteson 2019, arXiv 1810.03642"
    Config = CAVIAConfig

    def __init__(self, spec: Spec, config: CAVIAConfig) -> None:
        super().__init__(spec, config)
        check_positive("cavia", context=config.context)
        units = len(self.meta_parameters()["bias0"])
        self.context_weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(config.context, units)))
        surrogate, zeros = surrogate_named(config.surrogate), {"context": (config.context,)}
        self.how = Adaptation(
            self.network.per_task, step_sizes(config), surrogate, config.first_order,
            moved=("context",), zeros=zeros, fold=with_context,
        )  # fmt: skip
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate)

    def update(self, family: TaskFamily, tasks: Tasks, generator: torch.Generator) -> Metrics:
        acted, batches = inner_loop(self, family, tasks, self.config.inner_steps, generator)
        values = outer_step(self.how, self.meta_parameters(), batches, self.config, self.optimizer)
        return trial_metrics(acted, values)


def with_context(parameters: Parameters) -> Parameters:
    """A context that enters beside the observation is an addition to the first layer's bias: bias0 + context W_c."""
    shift: Tensor = (parameters["context"].unsqueeze(1) @ parameters["context_weight"]).squeeze(1)  # (T, units)
    return parameters | {"bias0": parameters["bias0"] + shift}
