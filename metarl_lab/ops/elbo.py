"""The evidence lower bound of a trial, at every step of it (Zintgraf et al. 2020, arXiv 1910.08348, eqs. 5 to 8).

ELBO_t = E_{m ~ q_t} [log p(trial | m)] - KL(q_t || q_{t-1}), where q_t = q(m | tau_:t) has read the first t steps and
p(trial | m) decodes *all* steps, past and future: that is what makes the posterior a belief and not a record.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from metarl_lab.ops.distributions import DiagonalGaussian


def chain_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(q_t || q_{t-1}) of each step, nats; q_{-1} is the prior N(0, I). mean, log_var (L, B, M) -> (L, B).

    As in the authors' code, nothing is detached: q_{t-1} is also drawn towards q_t.
    """
    if mean.ndim != 3 or mean.shape != log_var.shape:
        raise ValueError(f"chain_kl: mean and log_var must be (L, B, M), not {mean.shape} and {log_var.shape}")
    prior = torch.zeros_like(mean[:1])
    before = DiagonalGaussian(torch.cat((prior, mean[:-1])), torch.cat((prior, log_var[:-1])) / 2)
    return DiagonalGaussian(mean, log_var / 2).kl(before)


def reward_error(predicted: Tensor, reward: Tensor, binary: bool) -> Tensor:
    """-log p(r | m, step), up to a constant: of N(predicted, 1); or ``binary``, of [r > 0] with logit ``predicted``."""
    if binary:
        return softplus(predicted) - predicted * (reward > 0)
    return (predicted - reward).square() / 2


def summed_error(error: Tensor, live: Tensor, chosen: Tensor) -> Tensor:
    """-E log p(trial | m) of a trial: the mean over the live ones of the prefixes, and over trials. A scalar.

    error (B, P, L) of each of L steps decoded from the posterior after each of P prefixes; live (B, L); chosen (P,),
    the last step of each prefix. Every live step counts, those before the end of the prefix and those after it.
    """
    by_prefix = (error * live.unsqueeze(1)).sum(-1)  # (B, P)
    weight = live[:, chosen].to(error.dtype)  # a prefix that ends in a masked step is one that nobody acted on
    return (by_prefix * weight).sum() / weight.sum().clamp_min(1)
