"""Contrast: a log-ratio of two policies, its mean (the KL), the policy nearest to many, and a contrast between sets.

The documents' loss of a task's policy against the average one is E_{(s,a) ~ pi_i}[log pi_i(a|s) - log pi(a|s)]: it is
KL(pi_i || pi), never below 0, to be *minimised*, and the policy that does so is the average of the task policies,
weighted by how often each visits the state.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from metarl_lab.ops.distributions import DiagonalGaussian, Distribution


def log_ratio(policy: Distribution, other: Distribution, action: Tensor) -> Tensor:
    """log pi(a) - log other(a), (...): with a drawn from ``policy`` its mean is KL(policy || other)."""
    return policy.log_prob(action) - other.log_prob(action)  # type: ignore[arg-type]


def kl_k3(ratio: Tensor) -> Tensor:
    """exp(-l) - 1 + l of a log-ratio l = log p(a) - log q(a), a ~ p: unbiased as l itself is, since E_p[q / p] = 1, and
    never below 0.

    Its standard deviation is far smaller than that of l where p and q are close (second order in their distance, not
    first), and larger where q has mass that p lacks (Schulman 2020, "Approximating KL divergence", k3).
    """
    return (-ratio).expm1() + ratio


def arithmetic_average(probability: Tensor, visits: Tensor) -> Tensor:
    """pi(a|s) = sum_i d_i(s) pi_i(a|s) / sum_i d_i(s): argmin over pi of sum_i sum_s d_i(s) KL(pi_i(.|s) || pi(.|s)).

    probability (N, ..., A) of N policies, visits (N, ...) how often each is in the state -> (..., A).
    """
    _check_average(probability, visits)
    weight = (visits / visits.sum(0)).unsqueeze(-1)
    return (weight * probability).sum(0)


def geometric_average(probability: Tensor, visits: Tensor) -> Tensor:
    """pi(a|s) prop. to prod_i pi_i(a|s)^(d_i(s) / sum_j d_j(s)): argmin of the reverse, sum_i,s d_i(s) KL(pi || pi_i).

    It keeps only what all policies do. Shapes as ``arithmetic_average``.
    """
    _check_average(probability, visits)
    weight = (visits / visits.sum(0)).unsqueeze(-1)
    return (weight * probability.log()).sum(0).softmax(-1)


def gaussian_average(policies: DiagonalGaussian) -> DiagonalGaussian:
    """The Gaussian with the moments of an even mixture: argmin over q of sum_i KL(p_i || q); (N, ..., A) -> (..., A).

    mean = mean_i m_i, variance = mean_i (s_i^2 + (m_i - mean)^2): it is as wide as the policies lie apart.
    """
    mean = policies.mean.mean(0)
    spread = (2 * policies.log_std).exp() + (policies.mean - mean).square()
    return DiagonalGaussian(mean, 0.5 * spread.mean(0).log())


def cosine_scores(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """f_ij = cos(x_i, y_j) / temperature, (N, Z), (N, Z) -> (N, N)."""
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(f"cosine_scores: given {tuple(first.shape)} and {tuple(second.shape)}; give (N, Z) twice")
    return normalize(first, dim=-1) @ normalize(second, dim=-1).mT / temperature


def info_nce(scores: Tensor) -> Tensor:
    """- (1/N) sum_i log( exp f_ii / sum_j exp f_ij ): nats lost in telling x_i's own y_i from the N - 1 of the others.

    van den Oord, Li & Vinyals 2018, arXiv 1807.03748, eq. 4. N counts the one positive and the N - 1 negatives; scores
    that say nothing lose log N.

    Parameters
    ----------
    scores : Tensor (N, N)
        f_ij of the pair (x_i, y_j), one row for each x: the positive pairs lie on the diagonal.
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise ValueError(f"info_nce: scores {tuple(scores.shape)} must be (N, N), the positive pairs on the diagonal")
    return cross_entropy(scores, torch.arange(len(scores), device=scores.device))


def information_bound(loss: Tensor | float, n: int) -> Tensor | float:
    """log N - loss <= I(x; y), in nats (1807.03748, section 2.3). The estimate itself never exceeds log N."""
    return math.log(n) - loss


def _check_average(probability: Tensor, visits: Tensor) -> None:
    if probability.shape[:-1] != visits.shape:
        raise ValueError(
            f"policies {tuple(probability.shape)} and visits {tuple(visits.shape)} do not belong together; "
            "give (N, ..., A) and (N, ...)"
        )
