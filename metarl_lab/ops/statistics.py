"""Intervals."""

from __future__ import annotations

import numpy as np
from scipy import stats


def mean_interval(x: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over axis 0 with Student's t interval: mean -+ t s / sqrt(n). x (n, ...), n >= 2; NaN bounds for n = 1."""
    n = x.shape[0]
    mean = x.mean(0)
    if n < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half = stats.t.ppf(0.5 + confidence / 2, n - 1) * x.std(0, ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half
