"""Many perceptrons at once equal each of them alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from metarl_lab.nets.batched_mlp import BatchedMLP


def test_each_member_is_the_perceptron_of_its_own_weights() -> None:
    torch.manual_seed(0)
    net, x = BatchedMLP((3, 5, 4, 2), members=4, activation="tanh"), torch.randn(4, 7, 3)
    for b, w in enumerate(zip(*net.weights().values(), strict=True)):
        layers: list[nn.Module] = []
        for weight, bias in zip(w[::2], w[1::2], strict=True):
            layer = nn.Linear(*weight.shape)
            layer.weight.data, layer.bias.data = weight.data.T, bias.data[0]
            layers += [layer, nn.Tanh()]
        torch.testing.assert_close(net(x)[b], nn.Sequential(*layers[:-1])(x[b]))


def test_the_gradient_of_a_row_reaches_its_own_weights_only() -> None:
    torch.manual_seed(1)
    net, x = BatchedMLP((3, 5, 1)), torch.randn(4, 7, 3)
    own = {k: w.detach().expand(4, -1, -1).clone().requires_grad_() for k, w in net.weights().items()}
    net(x, own)[2].sum().backward()
    assert all(w.grad is not None and (w.grad.flatten(1).norm(dim=1) > 0).tolist() == [False, False, True, False]
               for w in own.values())  # fmt: skip


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="relu, tanh, silu"):
        BatchedMLP((3, 1), activation="gelu")
    with pytest.raises(ValueError, match="B = 2 networks"):
        BatchedMLP((3, 1), members=2)(torch.zeros(3, 4, 3))
