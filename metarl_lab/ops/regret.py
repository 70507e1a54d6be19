"""Regret: what not knowing the task cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from torch import Tensor

from metarl_lab.ops.statistics import mean_interval


class Regret(NamedTuple):
    """Mean over tasks, and its 95% interval (Student's t over tasks)."""

    mean: float
    low: float
    high: float


def regret(oracle: Tensor, per_task: np.ndarray) -> Regret:
    """Mean of  oracle - return,  task by task: the luck of an oracle that plays is no part of it.

    Parameters
    ----------
    oracle : Tensor (T,)
        ``family.oracle(tasks)``, the best expected return of one episode.
    per_task : ndarray (T,) or (T, batches)
        Returns per episode on the *same* tasks, such as ``Curve.per_task``; batches are averaged.
    """
    returns = per_task.reshape(len(per_task), -1).mean(1)
    if oracle.ndim != 1 or len(oracle) != len(returns):
        raise ValueError(
            f"regret: oracle {tuple(oracle.shape)} and returns {per_task.shape} are not of the same tasks; "
            "give (T,) and (T,) or (T, batches)"
        )
    mean, low, high = mean_interval(oracle.double().cpu().numpy() - returns)
    return Regret(float(mean), float(low), float(high))


def expected_regret(mean: Tensor, action: Tensor) -> Tensor:
    """sum over pulls of  max_i p_i - p_a,  of each trial (T, E, K): the same expectation, without the noise of pay.

    mean (T, k): expected pay of each arm; action (T, E, K, H) int64: the arms pulled.
    """
    if mean.ndim != 2 or action.ndim != 4:
        raise ValueError(
            f"expected_regret: mean {tuple(mean.shape)} and action {tuple(action.shape)} are not allowed; "
            "give (T, k) and (T, E, K, H)"
        )
    gap = mean.max(1, keepdim=True).values - mean  # (T, k)
    return gap.gather(1, action.flatten(1)).reshape(action.shape).sum(-1)
