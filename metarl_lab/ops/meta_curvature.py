"""The curvature of the KL between adapted policies, as a function of the meta-parameters before adaptation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarl_lab.ops.baseline import Samples
from metarl_lab.ops.inner_step import RATE, Adaptation, Parameters, slope
from metarl_lab.ops.trust_region import Product, flatten, symmetric_product, unflatten


def mean_kl(old: Any, new: Any, mask: Tensor) -> Tensor:
    """KL(old || new), mean over each task's live steps, (T,). Distributions (T, M), mask (T, N, H)."""
    return (old.kl(new).view_as(mask) * mask).sum((1, 2)) / mask.sum((1, 2)).clamp_min(1)


def meta_curvature(
    how: Adaptation, meta: Parameters, stages: Sequence[Parameters], batches: Sequence[Samples]
) -> Product:
    """v -> sum_i J_i' F_i J_i v: the exact Hessian at the meta-parameters m of sum_i KL(pi_{theta_i'} held ||
    pi_{theta_i'(m)}).

    The KL and its gradient vanish at m, so nothing of theta_i'' is left in its Hessian: F_i is the Fisher matrix of
    task i's adapted policy on its post-adaptation states, and J_i = d theta_i' / d m. An inner step theta' = theta +
    D g(theta), D the diagonal of step sizes (0 for what does not move), gives d theta' = d theta + D H d theta + g dD
    with H = dg / d theta, a Hessian: symmetric, so that one kept graph per step serves J and J'. Every
    conjugate-gradient iteration reuses the graphs.

    Parameters
    ----------
    stages : list of dict of Tensor (T, ...)
        theta_i before, between and after the inner steps: n + 1 of them.
    batches : list of Samples
        What each stage's policy acted, n + 1 of them; the last are the states of the KL.
    """
    leaves = [{k: p.detach().requires_grad_() for k, p in stage.items()} for stage in stages]
    steps = [
        _step(how, meta, leaf, samples, size)
        for leaf, samples, size in zip(leaves, batches, how.step_sizes, strict=False)
    ]
    new = how.policy(leaves[-1], batches[-1].observation)
    old = type(new)(*(x.detach() for x in new))
    kl, last = mean_kl(old, new, batches[-1].mask), leaves[-1]
    fisher = torch.autograd.grad(kl.sum(), list(last.values()), create_graph=True, materialize_grads=True)

    def product(vector: Tensor) -> Tensor:
        m = dict(zip(meta, unflatten(vector, list(meta.values())), strict=True))
        v = {k: m[k].expand_as(p) if k in m else torch.zeros_like(p) for k, p in last.items()}
        for step in steps:
            v = step.forward(v, m)
        v = dict(zip(last, symmetric_product(fisher, list(last.values()), list(v.values())), strict=True))
        out = {k: torch.zeros_like(x) for k, x in m.items()}
        for step in reversed(steps):
            v = step.backward(v, out)
        return flatten([out[k] if k.startswith(RATE) else v[k].sum(0) for k in m])

    return product


class _Step(NamedTuple):
    """The derivative of one inner step theta' = theta + D g(theta), D = size * rates."""

    before: Parameters  # theta, leaves
    gradient: Parameters  # g by all parameters, with its graph, so that rows and columns of H are both read
    rates: Parameters  # of what moves
    size: float
    first_order: bool

    def hessian(self, v: Parameters) -> Parameters:
        """H v; 0 where the inner gradient is a constant."""
        if self.first_order:
            return {k: torch.zeros_like(x) for k, x in v.items()}
        found = symmetric_product(list(self.gradient.values()), list(self.before.values()), list(v.values()))
        return dict(zip(v, found, strict=True))

    def forward(self, v: Parameters, m: Parameters) -> Parameters:
        """v + D H v, and size * g * dr for a learned rate r."""
        curved = self.hessian(v)
        moved = {k: v[k] + self.size * r * curved[k] for k, r in self.rates.items()}
        learned = {
            k: x + self.size * self.gradient[k].detach() * m[RATE + k] for k, x in moved.items() if RATE + k in m
        }
        return v | moved | learned

    def backward(self, u: Parameters, out: Parameters) -> Parameters:
        """u + H D u; what falls to a learned rate is added to ``out``."""
        for k in self.rates:
            if RATE + k in out:
                out[RATE + k] += (self.size * self.gradient[k].detach() * u[k]).sum_to_size(out[RATE + k].shape)
        scaled = {k: self.size * self.rates[k] * x if k in self.rates else torch.zeros_like(x) for k, x in u.items()}
        curved = self.hessian(scaled)
        return {k: x + curved[k] for k, x in u.items()}


def _step(how: Adaptation, meta: Parameters, leaf: Parameters, samples: Samples, size: float) -> _Step:
    rates = {k: r.detach() for k, r in how.rates(meta, leaf).items()}
    return _Step(leaf, slope(how, leaf, samples, leaf, not how.first_order), rates, size, how.first_order)
