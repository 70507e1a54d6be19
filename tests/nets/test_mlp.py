"""The per-task policy: one batched matmul a layer, equal to the clear form."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch.func import functional_call, vmap

from metarl_lab.nets.mlp import MLPPolicy
from metarl_lab.types import Spec

OBSERVATION = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
SPECS = {
    "box": Spec(OBSERVATION, gym.spaces.Box(np.float32([-0.1, 1.0]), np.float32([0.1, 5.0]), dtype=np.float32), 5),
    "discrete": Spec(OBSERVATION, gym.spaces.Discrete(4), 5),
}


@pytest.mark.parametrize("hidden", [(), (8,), (8, 6)])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("kind", SPECS)
def test_per_task_equals_vmap_of_functional_call(kind, activation, hidden):
    torch.manual_seed(0)
    policy = MLPPolicy(SPECS[kind], hidden, activation).double()
    own = {k: p + torch.randn(5, *p.shape, dtype=torch.float64) for k, p in policy.named_parameters()}
    observation = torch.randn(5, 7, 3, dtype=torch.float64)
    batched = policy.per_task(own, observation)
    clear = vmap(lambda p, x: functional_call(policy, p, (x,)))(own, observation)
    for a, b in zip(batched, clear, strict=True):
        a, b = torch.broadcast_tensors(a, b.view(5, -1, b.shape[-1]))
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_network_output_spans_the_action_box():
    policy = MLPPolicy(SPECS["box"], (), log_std=-1.0)
    with torch.no_grad():
        policy.weight0.zero_()
        policy.bias0.copy_(torch.tensor([1.0, -1.0]))
        out = policy(torch.zeros(1, 3))
    torch.testing.assert_close(out.mean, torch.tensor([[0.1, 1.0]]))  # top of the first axis, bottom of the second
    torch.testing.assert_close(out.log_std.exp(), torch.tensor([0.1, 2.0]) * np.exp(-1))  # half widths 0.1 and 2


def test_an_unbounded_box_is_not_scaled():
    spec = Spec(OBSERVATION, gym.spaces.Box(-np.inf, np.inf, (2,), np.float32), 5)
    out = MLPPolicy(spec, ())(torch.zeros(1, 3))
    torch.testing.assert_close(out.log_std, torch.zeros(2))
    torch.testing.assert_close(out.mean, torch.zeros(1, 2))


def test_log_probability_is_that_of_the_whole_action_vector():
    policy = MLPPolicy(SPECS["box"], (8,))
    out, action = policy(torch.randn(6, 3)), torch.randn(6, 2)
    each = torch.distributions.Normal(out.mean, out.log_std.exp()).log_prob(action)  # (6, 2)
    torch.testing.assert_close(out.log_prob(action), each[:, 0] + each[:, 1])


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="activation 'gelu' is not known"):
        MLPPolicy(SPECS["box"], (8,), "gelu")
    with pytest.raises(ValueError, match="layer widths of 1 or more"):
        MLPPolicy(SPECS["box"], (8, 0))
    policy = MLPPolicy(SPECS["box"], (8,))
    with pytest.raises(ValueError, match=r"must be \(T, N, O\)"):
        policy.per_task(policy.parameters_by_name(), torch.zeros(2, 3))
