"""Trust-region steps: conjugate gradients on a product with the curvature, and a line search on the real thing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]


def conjugate_gradient(product: Product, b: Tensor, iterations: int = 10) -> tuple[Tensor, Tensor]:
    """x with A x = b, A symmetric positive definite (Hestenes & Stiefel 1952), after at most ``iterations`` steps.

    Parameters
    ----------
    product : callable
        v -> A v.
    b : Tensor (..., P)
        Leading axes are separate systems, solved side by side. A system whose residual has vanished stays where it is.

    Nothing is read back from the device inside the loop.

    Returns
    -------
    x, residual
        ``residual`` is b - A x.
    """
    x, r, p = torch.zeros_like(b), b.clone(), b.clone()
    rr = (r * r).sum(-1, keepdim=True)
    enough = rr * torch.finfo(b.dtype).eps ** 2
    for _ in range(iterations):
        ap = product(p)
        curvature = (p * ap).sum(-1, keepdim=True)
        go = (rr > enough) & (curvature > 0)
        step = torch.where(go, rr / torch.where(go, curvature, 1), 0)
        x = x + step * p
        r = r - step * ap
        new = (r * r).sum(-1, keepdim=True)
        p = torch.where(go, r + new / torch.where(go, rr, 1) * p, p)
        rr = torch.where(go, new, rr)
    return x, r


def trust_region_step(product: Product, gradient: Tensor, bound: float, iterations: int = 10) -> Tensor:
    """argmax g's with s' A s / 2 <= bound: s = sqrt(2 bound / g' A^-1 g) A^-1 g (Schulman et al. 2015, app. C)."""
    direction, residual = conjugate_gradient(product, gradient, iterations)
    length = (direction * (gradient - residual)).sum(-1, keepdim=True).clamp_min(torch.finfo(gradient.dtype).tiny)
    return direction * (2 * bound / length).sqrt()


def line_search(
    evaluate: Callable[[float], tuple[Tensor, Tensor]], start: Tensor, bound: float, shrink: float, tries: int
) -> tuple[float, float, float]:
    """The first fraction 1, shrink, shrink^2, ... of a step that gains and stays inside the trust region.

    Parameters
    ----------
    evaluate : callable
        fraction -> (objective, KL), two scalars.
    start : Tensor
        The objective at fraction 0.
    bound : float
        Largest KL allowed, nats.

    Returns
    -------
    fraction, objective, kl
        (0, start, 0) when none of ``tries`` passes.
    """
    base = float(start)
    for k in range(tries):
        objective, kl = torch.stack(evaluate(shrink**k)).tolist()
        if objective > base and kl <= bound:
            return shrink**k, objective, kl
    return 0.0, base, 0.0


def symmetric_product(outputs: Sequence[Tensor], inputs: Sequence[Tensor], vector: Sequence[Tensor]) -> list[Tensor]:
    """vector' d outputs / d inputs from a kept graph; where that Jacobian is symmetric (a Hessian, or 1 + alpha a
    Hessian) also Jacobian times vector."""
    return list(torch.autograd.grad(outputs, inputs, vector, retain_graph=True, materialize_grads=True))


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """One vector (P,) of all entries."""
    return torch.cat([x.reshape(-1) for x in tensors])


def unflatten(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Inverse of ``flatten``: views into ``vector`` shaped as ``like``."""
    pieces = vector.split([x.numel() for x in like])
    return [piece.view(x.shape) for piece, x in zip(pieces, like, strict=True)]
