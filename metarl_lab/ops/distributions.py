"""Policies' action distributions: sampling from given uniform noise, log-probability, entropy, KL.

Small NamedTuples of tensors, so that they pass through ``torch.func`` transforms.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Categorical(NamedTuple):
    """p(a) = softmax(logits)_a; logits (..., A), actions (...) int64."""

    logits: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Inverse-CDF sampling from uniform noise (..., 1): the number of cumulative probabilities below it."""
        cdf = self.logits.softmax(-1).cumsum(-1)
        # the last entry of the cdf may round below 1: never count it
        return (noise > cdf[..., :-1]).sum(-1)

    def log_prob(self, action: Tensor) -> Tensor:
        """log p(a), (...)."""
        return self.logits.log_softmax(-1).gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """- sum_a p(a) log p(a), nats."""
        log_p = self.logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def kl(self, other: Categorical) -> Tensor:
        """KL(self || other) = sum_a p(a) (log p(a) - log q(a)), nats."""
        log_p, log_q = self.logits.log_softmax(-1), other.logits.log_softmax(-1)
        return (log_p.exp() * (log_p - log_q)).sum(-1)

    def mode(self) -> Tensor:
        """The most likely action."""
        return self.logits.argmax(-1)


class DiagonalGaussian(NamedTuple):
    """a ~ N(mean, diag exp(2 log_std)); mean (..., A), log_std broadcasts to it, actions (..., A)."""

    mean: Tensor
    log_std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """mean + std * Phi^-1(noise), noise (..., A) uniform."""
        return self.mean + self.log_std.exp() * standard_normal(noise)

    def log_prob(self, action: Tensor) -> Tensor:
        """Summed over action dimensions: the density of the whole vector, (...)."""
        z = (action - self.mean) * (-self.log_std).exp()
        return (-0.5 * z.square() - self.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Tensor:
        """sum_i log std_i + (1 + log 2 pi) / 2, nats."""
        each = self.log_std + 0.5 * (1 + math.log(2 * math.pi))
        return each.expand_as(self.mean).sum(-1)

    def kl(self, other: DiagonalGaussian) -> Tensor:
        """KL(self || other), summed over dimensions, nats."""
        ratio = (2 * (self.log_std - other.log_std)).exp()
        gap = ((self.mean - other.mean) * (-other.log_std).exp()).square()
        return (0.5 * (ratio + gap - 1) + other.log_std - self.log_std).sum(-1)

    def mode(self) -> Tensor:
        """The mean."""
        return self.mean


Distribution = Categorical | DiagonalGaussian


def standard_normal(noise: Tensor) -> Tensor:
    """Phi^-1(u), u uniform on [0, 1) moved off 0: standard normal numbers, at most 5.4 in size."""
    return torch.special.ndtri(noise.clamp(2.0**-25, 1 - 2.0**-24))
