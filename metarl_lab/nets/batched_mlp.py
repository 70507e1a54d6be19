"""Many perceptrons of one shape at once: an ensemble, or a network for every task, as one batched product a layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]  # weight{n} (B, in, out), bias{n} (B, 1, out)

_ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "silu": nn.functional.silu}


class BatchedMLP(nn.Module):
    """B perceptrons with their own weights; ``members`` of them are this module's parameters.

    The same forward pass serves an ensemble (B members), task networks that gradient steps made out of one (B tasks,
    ``weights`` given), and both at once with the axes flattened.

    Parameters
    ----------
    sizes : tuple of int
        (inputs, units of each hidden layer ..., outputs).
    members : int
        B, how many networks this module holds.
    activation : str
        "relu", "tanh" or "silu", after every layer but the last.
    output_gain : float
        Scale of the initial output weights: small for outputs that should start near 0.
    """

    def __init__(
        self, sizes: tuple[int, ...], members: int = 1, activation: str = "relu", output_gain: float = 1.0
    ) -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation={activation!r} is not known; choose one of {', '.join(_ACTIVATIONS)}")
        if len(sizes) < 2 or members < 1:
            raise ValueError(f"sizes={sizes}, members={members} is not allowed; give inputs and outputs, and 1 or more")
        self.activation = _ACTIVATIONS[activation]
        self.layers = len(sizes) - 1
        for n, (i, o) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            bound = 1 / math.sqrt(i)  # as nn.Linear's
            gain = output_gain if n + 1 == self.layers else 1.0
            self.register_parameter(
                f"weight{n}", nn.Parameter(gain * torch.empty(members, i, o).uniform_(-bound, bound))
            )
            self.register_parameter(f"bias{n}", nn.Parameter(gain * torch.empty(members, 1, o).uniform_(-bound, bound)))

    def weights(self) -> Weights:
        """The module's own parameters by name, each with its leading axis B."""
        return dict(self.named_parameters())

    def forward(self, x: Tensor, weights: Weights | None = None) -> Tensor:
        """x (B, N, inputs) -> (B, N, outputs), row b by network b; ``weights`` instead of the module's own."""
        own = self.weights() if weights is None else weights
        if x.ndim != 3 or len(x) != len(own["weight0"]):
            raise ValueError(
                f"x must be (B, N, inputs) with B = {len(own['weight0'])} networks; given {tuple(x.shape)}"
            )
        for n in range(self.layers):
            x = torch.baddbmm(own[f"bias{n}"], x, own[f"weight{n}"])  # (B, N, units)
            x = self.activation(x) if n + 1 < self.layers else x
        return x
