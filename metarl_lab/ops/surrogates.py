"""Surrogates: functions whose derivatives, at the policy that acted, are those of the expected return.

All have the same first derivative, the policy gradient. They differ in the second, which MAML takes: there the naive
one forgets that other parameters would have drawn other actions (Foerster et al. 2018, arXiv 1802.05098).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Surrogate = Callable[[Tensor, Tensor, Tensor], Tensor]


def naive(log_prob: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    """sum_{n,t} log pi(a_t | s_t) A_t (Williams 1992). Second derivative: E[A_t hess log pi] only, which is **biased**.

    log_prob, advantage, mask (T, N, H) -> (T,), a sum over live steps.
    """
    return (log_prob * advantage * mask).sum((1, 2))


def dice(log_prob: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    """sum_{n,t} (box_{<=t} - box_{<t}) A_t, box_{<=t} = exp(sum_{k<=t} log pi_k - stop(log pi_k)).

    The DiCE objective sum_t box_{<=t} r_t (Foerster et al. 2018, eq. 5) summed by parts, so that any advantage may
    stand for the return to go (Farquhar, Whiteson & Foerster 2019, arXiv 1909.10549, eq. 9). Every box is 1; its
    derivatives of any order are those of the trajectory's probability, so with A_t = sum_{k>=t} r_k, less any baseline
    that does not depend on a_t, derivatives of every order are **unbiased**, at the price of a variance that grows
    with the horizon.

    log_prob, advantage, mask (T, N, H) -> (T,), a sum over live steps (the value itself is 0).
    """
    step = (log_prob - log_prob.detach()) * mask
    through = step.cumsum(2)
    return ((through.exp() - (through - step).exp()) * advantage * mask).sum((1, 2))


def clipped_ratio(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """min(rho A, clamp(rho, 1 - clip, 1 + clip) A), elementwise (Schulman et al. 2017, PPO, eq. 7)."""
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


SURROGATES: dict[str, Surrogate] = {"naive": naive, "dice": dice}


def surrogate_named(name: str) -> Surrogate:
    """The surrogate of that name; ValueError listing what exists otherwise."""
    if name not in SURROGATES:
        raise ValueError(f"surrogate {name!r} is not known; choose one of {', '.join(map(repr, SURROGATES))}")
    return SURROGATES[name]
