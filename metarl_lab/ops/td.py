"""Temporal-difference targets over whole trials, for several discounts at once."""

from __future__ import annotations

import torch
from torch import Tensor


def trial_targets(reward: Tensor, value: Tensor, live: Tensor, discounts: Tensor, lam: float) -> Tensor:
    """y_t = r_t + discount_g ((1 - lam) v_{t+1} + lam y_{t+1}) inside the trial, y_t = r_t at its last live step.

    lam = 0 is one step of temporal difference; above it, Peng's Q(lambda), which credits actions with what followed
    them and does not correct for the policy that took them (Peng & Williams 1996; Kozuno et al. 2021, arXiv
    2103.00107). An episode that ends inside the trial, terminated or not, ends nothing here: the objective is the
    return of the whole trial, so credit crosses it, one discount a step.

    Parameters
    ----------
    reward : Tensor (L, B)
        Laid out by ``nets.base.sequences``, live steps first.
    value : Tensor (L, B, G)
        v_t of the state in which step t is taken, for each of G discounts.
    live : bool Tensor (L, B)
    discounts : Tensor (G,)
    lam : float
        0 to 1.

    Returns
    -------
    Tensor (L, B, G)
        0 where not live.
    """
    if reward.ndim != 2 or live.shape != reward.shape or value.shape != (*reward.shape, *discounts.shape):
        raise ValueError(
            f"trial_targets: reward and live must be (L, B), value (L, B, G), discounts (G,); given "
            f"{tuple(reward.shape)}, {tuple(live.shape)}, {tuple(value.shape)}, {tuple(discounts.shape)}"
        )
    out = torch.zeros_like(value)
    after = torch.zeros_like(value[0])  # (1 - lam) v_{t+1} + lam y_{t+1}
    for t in reversed(range(len(reward))):
        alive = live[t].unsqueeze(-1)
        out[t] = torch.where(alive, reward[t].unsqueeze(-1) + discounts * after, 0.0)
        after = torch.where(alive, torch.lerp(value[t], out[t], lam), 0.0)
    return out
