"""Maximum-entropy RL (soft actor-critic): values, targets, temperature, tanh-squashed actions. Formulas, no loop.

Haarnoja et al. 2018, arXiv 1801.01290 and 1812.05905; discrete actions: Christodoulou 2019, arXiv 1910.07207.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import gymnasium as gym
import torch
from torch import Tensor
from torch.nn.functional import softplus

from metarl_lab.ops.distributions import Categorical, DiagonalGaussian, standard_normal
from metarl_lab.types import Spec


class SquashedGaussian(NamedTuple):
    """u = tanh(x), x ~ N(mean, diag exp(2 log_std)); mean, log_std and actions u (..., A), u in (-1, 1).

    Densities are per unit of u, half the width of the action box (``action_box``): a temperature then means the same
    whatever the box.
    """

    mean: Tensor
    log_std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """tanh(mean + std * Phi^-1(noise)), noise (..., A) uniform; gradients pass through (reparametrised)."""
        return self.sample_with_log_prob(noise)[0]

    def sample_with_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """u (..., A) and log p(u) (...), from x itself: u alone has lost it where tanh rounds to 1."""
        x = self.mean + self.log_std.exp() * standard_normal(noise)
        return x.tanh(), self._log_prob_of(x)

    def log_prob(self, action: Tensor) -> Tensor:
        """log p(u), (...), for given u; those within 1e-6 of -1 or 1 count as lying there."""
        return self._log_prob_of(action.clamp(-1 + 1e-6, 1 - 1e-6).atanh())

    def mode(self) -> Tensor:
        """tanh(mean): the squashed median, which is what is meant by acting without noise."""
        return self.mean.tanh()

    def _log_prob_of(self, x: Tensor) -> Tensor:
        """log N(x) - sum_i log(1 - tanh(x_i)^2), in a form that is exact for large x (1812.05905, appendix C)."""
        log_slope = 2 * (math.log(2) - x - softplus(-2 * x))
        return DiagonalGaussian(self.mean, self.log_std).log_prob(x) - log_slope.sum(-1)


def action_box(spec: Spec) -> tuple[Tensor, Tensor]:
    """(centre, half width) of each action dimension, (A,); (0, 1) where a bound is infinite."""
    if not isinstance(spec.action_space, gym.spaces.Box):
        raise ValueError(f"actions are {spec.action_space}, which is no box; discrete actions have no centre")
    pairs = zip(spec.action_space.low.tolist(), spec.action_space.high.tolist(), strict=True)
    both = [((a + b) / 2, (b - a) / 2) if math.isfinite(b - a) else (0.0, 1.0) for a, b in pairs]
    return torch.tensor([c for c, _ in both]), torch.tensor([w for _, w in both])


def soft_value(q: Tensor, log_prob: Tensor, temperature: Tensor | float) -> Tensor:
    """Q(s, a) - temperature log pi(a | s): V(s) from one action drawn; q, log_prob and result (...).

    Its mean over actions is the policy's gain too, the one with Q as a constant of the policy's parameters.
    """
    if q.shape != log_prob.shape:
        raise ValueError(f"soft_value: q {tuple(q.shape)} and log_prob {tuple(log_prob.shape)} must have one shape")
    return q - temperature * log_prob


def expected_soft_value(q: Tensor, policy: Categorical, temperature: Tensor | float) -> Tensor:
    """V(s) = sum_a pi(a | s) (Q(s, a) - temperature log pi(a | s)): exact. q (..., A) -> (...)."""
    if q.shape != policy.logits.shape:
        raise ValueError(f"expected_soft_value: q {tuple(q.shape)} and logits {tuple(policy.logits.shape)} differ")
    log_pi = policy.logits.log_softmax(-1)
    return (log_pi.exp() * (q - temperature * log_pi)).sum(-1)


def soft_target(reward: Tensor, next_value: Tensor, terminated: Tensor, discount: float | Tensor) -> Tensor:
    """r + discount (1 - terminated) V(s'): what Q(s, a) is fitted to; all (...).

    Values bootstrap through truncation: ``terminated`` says that s' is terminal, never that time was up.
    """
    if not reward.shape == next_value.shape == terminated.shape:
        raise ValueError("soft_target: reward, next_value and terminated must have one shape")
    return reward + discount * next_value * ~terminated


def target_entropy(spec: Spec, share: float) -> float:
    """An adaptive temperature's aim, nats: this share of log A of discrete actions, -(1 + share) A of box actions."""
    return share * math.log(spec.action_size) if spec.discrete else -(1 + share) * spec.action_size


def temperature_loss(log_temperature: Tensor, entropy: Tensor, target: float) -> Tensor:
    """mean of temperature (entropy - target): its descent lowers the temperature while entropy exceeds the target.

    1812.05905, eq. 18. entropy (...) in nats, of the policy in each state or as minus the log-probability of an action
    drawn; it is taken as a constant.
    """
    return (log_temperature.exp() * (entropy.detach() - target)).mean()


def polyak(targets: Sequence[Tensor], sources: Sequence[Tensor], rate: float) -> None:
    """target <- (1 - rate) target + rate source, in place, each pair of tensors."""
    with torch.no_grad():
        torch._foreach_lerp_(list(targets), [x.detach() for x in sources], rate)
