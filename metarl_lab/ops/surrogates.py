"""Surrogates: functions whose derivatives, at the policy that acted, are those of the expected return.

All have the same first derivative, the policy gradient. They differ in the second, which MAML takes: there the naive
one forgets that other parameters would have drawn other actions (Foerster et al. 2018, arXiv 1802.05098).

Shapes: log_prob, advantage, mask and acted (T, N, H) -> (T,), a sum over live steps. ``acted`` is the log-probability
under the policy that drew the actions, a constant; None where that is the policy being differentiated.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

Surrogate = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


def naive(log_prob: Tensor, advantage: Tensor, mask: Tensor, acted: Tensor | None = None) -> Tensor:
    """sum_{n,t} log pi(a_t | s_t) A_t (Williams 1992). Second derivative: E[A_t hess log pi] only, which is **biased**.

    It weighs data of an older policy as its own.
    """
    return (log_prob * advantage * mask).sum((1, 2))


def dice(log_prob: Tensor, advantage: Tensor, mask: Tensor, acted: Tensor | None = None, decay: float = 1.0) -> Tensor:
    """sum_{n,t} (box_{<=t} - box_{<t}) A_t, box_{<=t} = exp(sum_{k<=t} log pi_k - stop(log pi_k)).

    The DiCE objective sum_t box_{<=t} r_t (Foerster et al. 2018, eq. 5) summed by parts, so that any advantage may
    stand for the return to go (Farquhar, Whiteson & Foerster 2019, arXiv 1909.10549, eq. 9). Every box is 1; its
    derivatives of any order are those of the trajectory's probability, so with A_t = sum_{k>=t} r_k, less any baseline
    that does not depend on a_t, derivatives of every order are **unbiased**, at the price of a variance that grows
    with the horizon. The value itself is 0.

    decay : float
        Loaded DiCE's lambda (idem, algorithm 1): the dependency of step t on the action of step k weighs
        decay^(t - k). 1 is DiCE; 0 keeps no cross terms (``lvc``). The first derivative stays as it is.
    """
    step = _log_ratio(log_prob, acted) * mask
    through = step.cumsum(2) if decay == 1 else _discounted_cumsum(step, decay)
    return ((through.exp() - (through - step).exp()) * advantage * mask).sum((1, 2))


def lvc(
    log_prob: Tensor, advantage: Tensor, mask: Tensor, acted: Tensor | None = None, clip: float | None = None
) -> Tensor:
    """sum_{n,t} rho_t A_t, rho_t = pi(a_t | s_t) / stop(pi_acted(a_t | s_t)): low-variance curvature (Rothfuss et al.
    2019, ProMP, arXiv 1810.06784, eq. 11).

    Its second derivative E[A_t (hess log pi_t + grad log pi_t grad log pi_t')] keeps what ``naive`` forgets of each
    action, and drops the cross terms between different steps, which carry most of DiCE's variance: **biased**, less so
    than ``naive`` (the bias vanishes for one-step episodes).

    clip : float, optional
        PPO's clip of the ratio, 1 -+ clip, for data that an older policy drew.
    """
    ratio = _log_ratio(log_prob, acted).exp()
    gain = ratio * advantage if clip is None else clipped_ratio(ratio, advantage, clip)
    return (gain * mask).sum((1, 2))


def clipped_ratio(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """min(rho A, clamp(rho, 1 - clip, 1 + clip) A), elementwise (Schulman et al. 2017, PPO, eq. 7)."""
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


_DECAY = 0.95  # of loaded DiCE by name: between bias (0) and variance (1)

SURROGATES: dict[str, Surrogate] = {
    "naive": naive,
    "dice": dice,
    "loaded_dice": partial(dice, decay=_DECAY),
    "lvc": lvc,
}


def surrogate_named(name: str) -> Surrogate:
    """The surrogate of that name; ValueError listing what exists otherwise."""
    if name not in SURROGATES:
        raise ValueError(f"surrogate {name!r} is not known; choose one of {', '.join(map(repr, SURROGATES))}")
    return SURROGATES[name]


def _log_ratio(log_prob: Tensor, acted: Tensor | None) -> Tensor:
    return log_prob - (log_prob.detach() if acted is None else acted)


def _discounted_cumsum(x: Tensor, decay: float) -> Tensor:
    """y_t = sum_{k<=t} decay^(t-k) x_k along the last axis, as one matrix product."""
    lag = torch.arange(x.shape[-1], device=x.device, dtype=x.dtype)
    lag = lag.view(1, -1) - lag.view(-1, 1)  # (k, t): t - k
    return x @ torch.where(lag < 0, 0.0, decay ** lag.clamp_min(0))
