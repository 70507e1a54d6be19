"""An actor-critic that remembers: what was seen -> sequence core -> action distribution and value."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metarl_lab.nets.base import Core
from metarl_lab.ops.distributions import Categorical, DiagonalGaussian, Distribution
from metarl_lab.types import Spec


class RecurrentActorCritic(nn.Module):
    """A core over (observation, last action, last reward, episode start), a policy head and a value head.

    Parameters
    ----------
    spec : Spec
        The family's spaces.
    core : Core
        Reads ``encode_seen(spec, seen)``; its weights are drawn again here.
    """

    def __init__(self, spec: Spec, core: Core) -> None:
        super().__init__()
        self.discrete = spec.discrete
        self.core = core
        self.policy = nn.Linear(core.out_size, spec.action_size)
        self.value = nn.Linear(core.out_size, 1)
        self.log_std = nn.Parameter(torch.zeros(0 if spec.discrete else spec.action_size))
        core.reset_parameters()
        # small: the first policy is close to uniform, the first value close to zero
        nn.init.orthogonal_(self.policy.weight, 0.01)
        nn.init.orthogonal_(self.value.weight, 0.01)
        nn.init.zeros_(self.policy.bias)
        nn.init.zeros_(self.value.bias)

    def distribution(self, out: Tensor) -> Distribution:
        """The action distribution that an output of the core stands for."""
        if self.discrete:
            return Categorical(logits=self.policy(out))
        return DiagonalGaussian(mean=self.policy(out), log_std=self.log_std)
