"""Means over live steps: before an episode terminated, and before a trial laid out end to end was over."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def live_mean(x: Tensor, live: Tensor) -> Tensor:
    """Mean of x over live steps, and over the axes that it has beyond them; a scalar.

    live (L, B) or (T, N, H), bool; x the same shape, or one with further axes, such as (L, B, G). What x holds where
    not live is never read: not a number there is still a number here.
    """
    if x.shape[: live.ndim] != live.shape:
        raise ValueError(f"live_mean: x {tuple(x.shape)} must begin with the axes of live {tuple(live.shape)}")
    beyond = x.shape[live.ndim :]
    alive = live.view(*live.shape, *[1] * len(beyond))
    return torch.where(alive, x, 0.0).sum() / (live.sum() * math.prod(beyond))
