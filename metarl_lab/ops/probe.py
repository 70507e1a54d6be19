"""A linear probe: what can be read off a hidden state, and how well on data that it was not fitted to."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Probe(NamedTuple):
    """``weight`` (F, D) and ``bias`` (D,), float64: D quantities read off F features."""

    weight: Tensor
    bias: Tensor

    def read(self, hidden: Tensor) -> Tensor:
        """hidden (..., F) -> (..., D)."""
        return hidden.to(self.weight) @ self.weight + self.bias


def fit_probe(hidden: Tensor, target: Tensor, ridge: float = 1e-4) -> Probe:
    """Ridge regression, min over W, b of  mean |h W + b - y|^2 + ridge |W|^2;  the bias is not shrunk.

    W = (C'C / N + ridge I)^-1 C'Y / N, with C and Y less their means (Hastie et al. 2009, eq. 3.44); for probes of
    networks see Alain & Bengio 2016, arXiv 1610.01644.

    Parameters
    ----------
    hidden : Tensor (..., F)
        Hidden states; all leading axes are examples.
    target : Tensor (..., D)
        What is to be read off them.
    ridge : float
        Above 0, in squared units of ``hidden``.
    """
    if hidden.ndim < 2 or target.ndim < 2 or hidden.shape[:-1] != target.shape[:-1]:
        raise ValueError(
            f"fit_probe: hidden {tuple(hidden.shape)} and target {tuple(target.shape)} do not belong together; give "
            "(..., F) and (..., D) with the same leading axes"
        )
    if ridge <= 0:
        raise ValueError(f"fit_probe: ridge={ridge!r} is not allowed; give a number above 0")
    h, y = hidden.flatten(0, -2).double(), target.flatten(0, -2).double()
    centre, mean = h.mean(0), y.mean(0)
    c = h - centre
    gram = c.T @ c / len(h) + ridge * torch.eye(h.shape[1], dtype=h.dtype, device=h.device)
    weight = torch.linalg.solve(gram, c.T @ (y - mean) / len(h))
    return Probe(weight, mean - centre @ weight)


def r_squared(target: Tensor, reading: Tensor) -> Tensor:
    """1 - sum (y - reading)^2 / sum (y - mean y)^2 for each of D quantities, (..., D) -> (D,).

    1 is perfect, 0 no better than the mean; below 0 on data that the probe was not fitted to is possible. NaN for a
    quantity that does not vary.
    """
    if target.shape != reading.shape:
        raise ValueError(f"r_squared: target {tuple(target.shape)} and reading {tuple(reading.shape)} must be alike")
    y, x = target.flatten(0, -2).double(), reading.flatten(0, -2).double()
    spread = (y - y.mean(0)).square().sum(0)
    share = 1 - (y - x).square().sum(0) / spread
    return torch.where(spread > 0, share, torch.nan)
