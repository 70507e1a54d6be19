"""The hand-written GRU gradient is that of torch's GRU."""

import pytest
import torch

from metarl_lab.ops.gru import gru_unroll


@pytest.mark.parametrize("length", [1, 6])
def test_states_and_all_gradients_equal_torch(length: int) -> None:
    torch.manual_seed(0)
    gru = torch.nn.GRU(5, 7).double()
    x = torch.randn(length, 3, 5, dtype=torch.float64, requires_grad=True)
    hidden = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(length, 3, 7, dtype=torch.float64)  # every state matters, each differently
    inputs = [x, hidden, *gru.parameters()]
    expected, states = gru(x, hidden[None])[0], gru_unroll(x, hidden, gru)
    torch.testing.assert_close(states, expected, rtol=1e-12, atol=1e-12)
    wanted = torch.autograd.grad((expected * weight).sum(), inputs)
    got = torch.autograd.grad((states * weight).sum(), inputs)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
