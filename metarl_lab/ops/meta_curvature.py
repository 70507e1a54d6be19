"""The curvature of the KL between adapted policies, as a function of the parameters before adaptation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from metarl_lab.ops.baseline import Samples
from metarl_lab.ops.inner_step import Parameters, PerTask, inner_step
from metarl_lab.ops.surrogates import Surrogate
from metarl_lab.ops.trust_region import Product, flatten, symmetric_product, unflatten


def mean_kl(old: Any, new: Any, mask: Tensor) -> Tensor:
    """KL(old || new), mean over each task's live steps, (T,). Distributions (T, M), mask (T, N, H)."""
    return (old.kl(new).view_as(mask) * mask).sum((1, 2)) / mask.sum((1, 2)).clamp_min(1)


def meta_curvature(
    policy: PerTask,
    stages: Sequence[Parameters],
    batches: Sequence[Samples],
    step_sizes: Sequence[float],
    surrogate: Surrogate,
    first_order: bool = False,
) -> Product:
    """v -> sum_i J_i' F_i J_i v: the exact Hessian at theta of sum_i KL(pi_{theta_i'(theta)} held || pi_{theta_i'}).

    The KL and its gradient vanish at theta, so nothing of theta_i'' is left in its Hessian: F_i is the Fisher matrix
    of task i's adapted policy on its post-adaptation states and J_i = d theta_i' / d theta the product of one factor
    1 + alpha hess S per inner step. Each factor is symmetric, so that one kept graph per step serves J and J'.
    Every conjugate-gradient iteration reuses the graphs.

    Parameters
    ----------
    stages : list of dict of Tensor (T, ...)
        theta_i before, between and after the inner steps: n + 1 of them.
    batches : list of Samples
        What each stage's policy acted, n + 1 of them; the last are the states of the KL.
    first_order : bool
        True: J = 1.
    """
    leaves = [{k: p.detach().requires_grad_() for k, p in stage.items()} for stage in stages]
    factors: list[tuple[list[Tensor], list[Tensor]]] = []
    if not first_order:
        for leaf, samples, size in zip(leaves, batches, step_sizes, strict=False):
            after = inner_step(policy, leaf, samples, size, surrogate, create_graph=True)
            factors.append((list(after.values()), list(leaf.values())))
    adapted = list(leaves[-1].values())
    new = policy(leaves[-1], batches[-1].observation)
    old = type(new)(*(x.detach() for x in new))
    kl = mean_kl(old, new, batches[-1].mask)
    slope = torch.autograd.grad(kl.sum(), adapted, create_graph=True)
    shapes = [p[0] for p in adapted]

    def product(vector: Tensor) -> Tensor:
        v = [x.expand_as(p) for x, p in zip(unflatten(vector, shapes), adapted, strict=True)]
        for after, before in factors:
            v = symmetric_product(after, before, v)
        v = symmetric_product(slope, adapted, v)
        for after, before in reversed(factors):
            v = symmetric_product(after, before, v)
        return flatten([x.sum(0) for x in v])

    return product
