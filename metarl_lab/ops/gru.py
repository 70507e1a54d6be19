"""A GRU unrolled over whole sequences with its gradient written out, for processors.

h_t = (1 - z) n + z h_{t-1}, with r, z = sigma(x W + h U), n = tanh(x W_n + r (h U_n + b_n)): torch.nn.GRU's equations
(Cho et al. 2014, with the reset gate after the product). Autograd through torch's own CPU unroll costs some fifty
small operations a step; here the forward pass takes six, and the backward pass three, because everything that does
not depend on the running gradient is computed for all steps at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def gru_unroll(x: Tensor, hidden: Tensor, gru: torch.nn.GRU) -> Tensor:
    """Hidden states (L, B, hidden) of a one-layer ``gru`` for x (L, B, I) from the state (B, hidden) before.

    The same function as ``gru(x, hidden[None])[0]``; on CUDA it is that call, which is fused there.
    """
    if x.is_cuda:
        return gru(x, hidden.unsqueeze(0))[0]
    size = hidden.shape[-1]
    # bias_hh of r and z only ever appears in a sum with bias_ih; that of n stands inside the reset product
    weight_ih, weight_hh, bias_ih, bias_hh = gru.all_weights[0]
    bias = torch.cat((bias_ih[: 2 * size] + bias_hh[: 2 * size], bias_ih[2 * size :]))
    projected = torch.nn.functional.linear(x, weight_ih, bias)  # (L, B, 3 hidden), all steps in one product
    out: Tensor = _Unroll.apply(projected, hidden, weight_hh, bias_hh[2 * size :])
    return out


class _Unroll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: Tensor, hidden: Tensor, weight: Tensor, bias_n: Tensor) -> Tensor:
        length, n, width = projected.shape
        size = width // 3
        states = projected.new_empty(length + 1, n, size)
        states[0] = hidden
        gates = projected.detach()  # becomes r, z, n in place: nothing else reads the projection
        inner = projected.new_empty(length, n, size)  # h U_n + b_n
        across = weight.t().contiguous()
        product = projected.new_empty(n, width)
        product_rz, product_n = product[:, : 2 * size], product[:, 2 * size :]
        rz, n_gate = gates.split((2 * size, size), -1)
        steps = zip(
            rz.unbind(0), rz[..., :size].unbind(0), rz[..., size:].unbind(0), n_gate.unbind(0),
            inner.unbind(0), states[:-1].unbind(0), states[1:].unbind(0), strict=True,
        )  # fmt: skip
        for r_and_z, r, z, candidate, inside, before, after in steps:
            torch.mm(before, across, out=product)
            r_and_z.add_(product_rz).sigmoid_()
            torch.add(product_n, bias_n, out=inside)
            candidate.addcmul_(r, inside).tanh_()
            torch.lerp(candidate, before, z, out=after)
        ctx.save_for_backward(gates, inner, states, weight)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        gates, inner, states, weight = ctx.saved_tensors
        length, n, width = gates.shape
        size = width // 3
        r, z, candidate = gates.split(size, -1)
        # d(pre-activation) / d(h_t), for all steps; the last third is with respect to h U_n, not x W_n
        to_n = (1 - z) * (1 - candidate.square())
        slope = torch.empty_like(gates)
        torch.mul(to_n * inner, r * (1 - r), out=slope[..., :size])
        torch.mul(states[:-1] - candidate, z * (1 - z), out=slope[..., size : 2 * size])
        torch.mul(to_n, r, out=slope[..., 2 * size :])
        flows = torch.empty_like(inner)  # dL/dh_t, everything later included
        running = torch.zeros_like(inner[0])
        product = slope.view(length, n, 3, size)  # becomes dL/d(pre-activation), in place
        for t in reversed(range(length)):
            flow = torch.add(grad[t], running, out=flows[t])
            product[t].mul_(flow.unsqueeze(1))
            torch.addmm(z[t] * flow, slope[t], weight, out=running)
        by_gate = slope.flatten(0, 1)
        to_weight = by_gate.t() @ states[:-1].flatten(0, 1)
        to_bias = by_gate[:, 2 * size :].sum(0)
        slope[..., 2 * size :] = to_n * flows  # now with respect to x W_n
        return slope, running, to_weight, to_bias
