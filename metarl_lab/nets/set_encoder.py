"""The posterior over a task given a set of transitions, in any order: a product of Gaussian factors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, softplus

from metarl_lab.ops.distributions import DiagonalGaussian
from metarl_lab.types import Spec


class Factors(NamedTuple):
    """A product of Gaussian densities by its natural parameters, which add up: the product of more is their sum."""

    precision: Tensor  # (..., Z), sum of 1 / std_n^2
    weighted: Tensor  # (..., Z), sum of mean_n / std_n^2


class SetEncoder(nn.Module):
    """q(z | c) proportional to N(z; 0, I) prod_n N(z; m(c_n), s(c_n)^2), c_n one transition (1903.08254, section 4.1).

    The prior is one of the factors, so with no context the posterior is the prior, and every transition can only add
    certainty. (The paper's product is without it, and falls back to the prior before the first transition.)
    """

    def __init__(self, features: int, hidden: tuple[int, ...], latent: int) -> None:
        super().__init__()
        self.net = mlp((features, *hidden, 2 * latent))

    def factors(self, x: Tensor) -> Factors:
        """The factor of each transition; x (..., F)."""
        mean, raw_precision = self.net(x).chunk(2, -1)
        precision = softplus(raw_precision)  # above 0
        return Factors(precision, precision * mean)

    def posterior(self, total: Factors) -> DiagonalGaussian:
        """The prior times all factors, given their sum: precision 1 + sum 1 / s^2, mean (sum m / s^2) / precision."""
        precision = 1 + total.precision  # the prior N(0, I) brings precision 1, and nothing to the weighted mean
        mean = total.weighted / precision
        log_std = -0.5 * precision.log()
        return DiagonalGaussian(mean, log_std)

    def forward(self, x: Tensor, mask: Tensor) -> DiagonalGaussian:
        """The posterior given a set each; x (..., N, F), mask (..., N) says which of them count -> (..., Z)."""
        if x.shape[:-1] != mask.shape:
            raise ValueError(
                f"set encoder: x {tuple(x.shape)} must be (..., N, F) with mask {tuple(mask.shape)} (..., N)"
            )
        counts = mask.to(x.dtype).unsqueeze(-1)  # (..., N, 1)
        each = self.factors(x)
        product = Factors(
            precision=(each.precision * counts).sum(-2),
            weighted=(each.weighted * counts).sum(-2),
        )
        return self.posterior(product)


def context_size(spec: Spec) -> int:
    """F, the features of one transition."""
    return 2 * spec.observation_size + spec.action_size + 2


def encode_transition(
    spec: Spec, observation: Tensor, action: Tensor, reward: Tensor, next_observation: Tensor, followed: Tensor
) -> Tensor:
    """(observation, action, reward, next observation or zeros, followed), (..., F).

    What follows the last step of an episode is never shown to an agent, so it is hidden here as well: ``followed``
    (...) bool says where there is a next observation. Actions (...) int64, or (..., A).
    """
    if spec.discrete:
        action = one_hot(action.clamp_min(0), spec.action_size).to(reward.dtype)
    shown = followed.to(reward.dtype).unsqueeze(-1)  # (..., 1)
    return torch.cat((observation, action, reward.unsqueeze(-1), next_observation * shown, shown), -1)


def mlp(sizes: tuple[int, ...]) -> nn.Sequential:
    """Linear layers of these sizes with rectifiers between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
