"""Returns and advantages over a time axis that comes first: (L, ...)."""

from __future__ import annotations

import torch
from torch import Tensor


def discounted_returns(reward: Tensor, discount: float | Tensor, carry: Tensor | None = None) -> Tensor:
    """G_t = r_t + discount_t G_{t+1}, G_L = carry or 0 (Sutton & Barto 2018, eq. 3.9).

    reward (L, ...) per step; discount a number, or (L, ...) where it varies (0 where the episode ends at t).
    """
    step = torch.as_tensor(discount, dtype=reward.dtype, device=reward.device).expand_as(reward)
    after = torch.zeros_like(reward[0]) if carry is None else carry
    out = torch.empty_like(reward)
    for t in reversed(range(len(reward))):
        after = reward[t] + step[t] * after
        out[t] = after
    return out


def gae(
    reward: Tensor, value: Tensor, next_value: Tensor, ended: Tensor, terminated: Tensor, discount: float, lam: float
) -> Tensor:
    """Generalized advantage estimates, A_t = delta_t + discount lam (1 - ended_t) A_{t+1} (Schulman et al. 2016).

    delta_t = r_t + discount (1 - terminated_t) V(s_{t+1}) - V(s_t): values bootstrap through truncation, and only the
    sum of deltas stops where an episode ended.

    Parameters
    ----------
    reward, value, next_value : Tensor (L, ...)
        r_t, V(s_t), V(s_{t+1}); s_{t+1} is the state that followed, also where the episode was truncated.
    ended, terminated : bool Tensor (L, ...)
        The step was the last one (terminated or truncated); it ended in a terminal state.
    """
    if not reward.shape == value.shape == next_value.shape == ended.shape == terminated.shape:
        raise ValueError("gae: reward, value, next_value, ended and terminated must have one shape, (L, ...)")
    delta = reward + discount * next_value * ~terminated - value
    return discounted_returns(delta, discount * lam * (~ended).to(reward.dtype))
