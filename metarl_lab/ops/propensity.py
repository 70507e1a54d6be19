"""How alike old data is to a new task's: logistic regression, the density ratio in its odds, what is left of the data.

Fakoor et al. 2020, Meta-Q-Learning, arXiv 1910.00125, sections 2.3 and 3.2; density ratios by classification: Sugiyama,
Suzuki & Kanamori 2012. All B tasks at once.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad

_SHRINKING = (1.0, 0.5, 0.25, 0.125, 0.0)  # shares of Newton's step that are tried; 0 stays


def logistic_regression(new: Tensor, mask: Tensor, old: Tensor, ridge: float, iterations: int = 8) -> Tensor:
    """argmin_w of 1/2 mean_new log(1 + e^{-f}) + 1/2 mean_old log(1 + e^{f}) + ridge/2 |w|^2, f(x) = w_0 + w . x.

    Both classes weigh the same, however many rows they have, so that f is log p_new(x) / p_old(x) where a linear
    function can say it, with no correction for numbers. Newton's method (iteratively re-weighted least squares), each
    task taking the best of a few shares of its own step: never uphill, even where a plane separates the classes.

    Parameters
    ----------
    new : Tensor (B, M, F)
        Features of each task's new data.
    mask : bool Tensor (B, M)
        Which of them count; at least one a task.
    old : Tensor (N, F)
        Features of the old data, the same for all tasks.
    ridge : float
        Above 0. The intercept is not held back.

    Returns
    -------
    Tensor (B, F + 1)
        (w, w_0).
    """
    if new.ndim != 3 or mask.shape != new.shape[:2] or old.ndim != 2 or old.shape[1] != new.shape[2]:
        raise ValueError(
            f"logistic_regression: new must be (B, M, F), mask (B, M), old (N, F); given "
            f"{tuple(new.shape)}, {tuple(mask.shape)}, {tuple(old.shape)}"
        )
    if not ridge > 0:
        raise ValueError(f"logistic_regression: ridge={ridge!r} is not allowed; classes may separate, give more than 0")
    live = mask.to(new.dtype)
    n_tasks, n_old = len(new), len(old)
    features = torch.cat((new, old.expand(n_tasks, -1, -1)), 1)
    features = pad(features, (0, 1), value=1.0)  # (B, M + N, F + 1): the last one is the intercept's
    label = torch.cat((torch.ones_like(live), live.new_full((n_tasks, n_old), -1.0)), 1)  # 1: new, -1: old
    # what each row counts in the loss: half for each class, shared out evenly within it
    share_new = live / live.sum(1, keepdim=True)
    share_old = live.new_full((n_tasks, n_old), 1 / n_old)
    share = torch.cat((share_new, share_old), 1) / 2  # (B, M + N)
    penalty = pad(new.new_full((new.shape[2],), ridge), (0, 1))  # (F + 1,), 0 for the intercept

    def loss(weights: Tensor) -> Tensor:
        margin = label * (features @ weights.unsqueeze(-1)).squeeze(-1)
        return (penalty * weights.square()).sum(-1) / 2 - (share * logsigmoid(margin)).sum(-1)

    weights = features.new_zeros(n_tasks, features.shape[-1])
    for _ in range(iterations):
        margin = label * (features @ weights.unsqueeze(-1)).squeeze(-1)
        right = margin.sigmoid()  # (B, M + N), probability of the right class
        gradient = penalty * weights - ((share * label * (1 - right)).unsqueeze(-1) * features).sum(1)
        hessian = (features * (share * right * (1 - right)).unsqueeze(-1)).mT @ features + (penalty + 1e-6).diag()
        newton_step = torch.linalg.solve(hessian, gradient)
        tried = torch.stack([weights - size * newton_step for size in _SHRINKING])  # (5, B, F + 1)
        best = torch.stack([loss(candidate) for candidate in tried]).argmin(0)  # (B,)
        weights = tried[best, torch.arange(n_tasks, device=new.device)]
    return weights


def density_ratio(weights: Tensor, x: Tensor, clip: float) -> Tensor:
    """beta(x) = p_new(x) / p_old(x) = exp f(x), at most ``clip``: weights (B, F + 1), x (N, F) -> (B, N)."""
    if weights.shape[-1] != x.shape[-1] + 1:
        raise ValueError(f"density_ratio: {x.shape[-1]} features need as many weights and one, not {weights.shape[-1]}")
    return (weights[:, :-1] @ x.mT + weights[:, -1:]).exp().clamp_max(clip)


def effective_sample_size(weights: Tensor) -> Tensor:
    """(sum w)^2 / (n sum w^2), the share of n samples that is left: weights (B, n) not below 0 -> (B,), 1/n to 1.

    1 where all weights are alike, 1/n where one has everything (Kong 1992); 0 where all are 0.
    """
    if weights.ndim != 2:
        raise ValueError(f"effective_sample_size: weights must be (B, n), not {tuple(weights.shape)}")
    tiny = torch.finfo(weights.dtype).tiny
    scaled = weights / weights.amax(1, keepdim=True).clamp_min(tiny)  # else the squares of small ones are 0
    return scaled.sum(1).square() / (weights.shape[1] * scaled.square().sum(1)).clamp_min(tiny)
