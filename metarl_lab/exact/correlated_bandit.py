"""Exact Bayes-optimal play of two arms with p1 + p2 = 1, in closed form.

Arm 1 paying and arm 2 failing are the same evidence: each has the chance p1. So a pull of either arm is one draw of
Bernoulli(p1), what is learned does not depend on the arm, and the best play is greedy. What is known after t pulls is
``evidence``: how often it spoke for arm 1 and for arm 2.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import stats
from torch import Tensor


def no_evidence(n_tasks: int, copies: int, device: torch.device) -> Tensor:
    """Before the first pull: zeros (T, E, 2)."""
    return torch.zeros(n_tasks, copies, 2, device=device)


def count_evidence(evidence: Tensor, action: Tensor, reward: Tensor) -> Tensor:
    """After one pull more; action (...) int64, -1 for none yet, reward (...) 0 or 1; new (..., 2)."""
    arm = torch.where(reward > 0, action, 1 - action)  # the arm that the outcome speaks for
    return evidence + ((arm.unsqueeze(-1) == torch.arange(2, device=arm.device)) & (action >= 0).unsqueeze(-1))


def posterior_means(evidence: Tensor, low: float | None) -> Tensor:
    """E[p1 | a, b] and E[p2 | a, b] from the evidence (a, b) for each arm, (..., 2).

    p1 ~ U(0, 1), ``low`` None:     E[p1] = (1 + a) / (2 + a + b).
    p1 = low or 1 - low, equally likely before:  P(p1 = 1 - low) = sigmoid((a - b) ln((1 - low) / low)).
    """
    if low is None:
        return (1 + evidence) / (2 + evidence.sum(-1, keepdim=True))
    high = torch.sigmoid((evidence - evidence.flip(-1)) * math.log((1 - low) / low))
    return low + (1 - 2 * low) * high


def bayes_value(pulls: int, low: float | None) -> float:
    """Expected total reward of exact play, sum over t < n of E[max(E[p1 | a, b], E[p2 | a, b])], with t = a + b.

    For p1 ~ U(0, 1) every a = 0..t has chance 1 / (t + 1); for two values, a is a mixture of two binomials.
    """
    total = 0.0
    for t in range(pulls):
        a = np.arange(t + 1)
        if low is None:
            chance = np.full(t + 1, 1 / (t + 1))
        else:
            chance = (stats.binom.pmf(a, t, low) + stats.binom.pmf(a, t, 1 - low)) / 2
        means = posterior_means(torch.from_numpy(np.stack((a, t - a), 1).astype(float)), low).numpy()
        total += float(chance @ means.max(1))
    return total


def oracle_value(pulls: int, low: float | None) -> float:
    """n E[max(p1, p2)]: 3/4 n for p1 ~ U(0, 1), else (1 - low) n."""
    return pulls * (0.75 if low is None else 1 - low)
