"""Soft actor-critic's networks: two Q-functions that do not touch, targets that follow, gradients where they belong."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from metarl_lab.nets.soft_actor_critic import SoftActorCritic
from metarl_lab.ops.distributions import Categorical
from metarl_lab.ops.soft import SquashedGaussian
from metarl_lab.types import Spec

SEEN = gym.spaces.Box(-1, 1, (2,), np.float32)
MOVES = gym.spaces.Box(np.float32([-0.1, 0]), np.float32([0.1, 4]))


def net(discrete: bool) -> SoftActorCritic:
    torch.manual_seed(0)
    return SoftActorCritic(Spec(SEEN, gym.spaces.Discrete(3) if discrete else MOVES, 5), 4, (16, 16))


def test_the_two_q_functions_are_plain_networks() -> None:
    for discrete in (True, False):
        made, x, action = net(discrete), torch.randn(3, 5, 4), torch.rand(3, 5, 2) * 2 - 1
        inputs = x if discrete else torch.cat((x, action), -1)
        q = made.q(x, None if discrete else action)
        for member in range(2):
            y = inputs
            for n in range(3):
                y = y @ made.get_parameter(f"weight{n}")[member] + made.get_parameter(f"bias{n}")[member]
                y = y.relu() if n < 2 else y
            torch.testing.assert_close(q[member], y if discrete else y.squeeze(-1))
        assert not torch.allclose(q[0], q[1])


def test_q_of_picks_the_action_taken() -> None:
    made, x, action = net(True), torch.randn(3, 5, 4), torch.randint(3, (3, 5))
    q, picked = made.q(x), made.q_of(x, action)
    assert picked.shape == (2, 3, 5)
    for t in range(3):
        for b in range(5):
            assert torch.equal(picked[:, t, b], q[:, t, b, action[t, b]])


def test_frozen_weights_pass_the_gradient_to_the_action_only() -> None:
    made, x = net(False), torch.randn(5, 4)
    value, _ = made.value(x, torch.rand(5, 2), torch.tensor(0.1), "frozen")
    value.sum().backward()
    assert all(made.get_parameter(name).grad is None for name in made.names)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.actor.parameters())


def test_targets_start_equal_are_no_parameters_and_follow() -> None:
    made, x = net(True), torch.randn(5, 4)
    assert torch.equal(made.q(x), made.q(x, None, "target"))
    assert not any("target" in name for name, _ in made.named_parameters())
    with torch.no_grad():
        made.bias2 += 1.0
    before = made.q(x, None, "target").clone()
    made.follow(0.25)
    torch.testing.assert_close(made.q(x, None, "target"), before + 0.25)
    with pytest.raises(ValueError, match="target"):
        made.q(x, None, "slow")


def test_the_value_takes_the_smaller_q_and_the_exact_expectation() -> None:
    made, x, temperature = net(True), torch.randn(5, 4), torch.tensor(0.3)
    value, entropy = made.value(x, torch.rand(5, 1), temperature, "target")
    policy = made.policy(x)
    assert isinstance(policy, Categorical)
    p = policy.logits.softmax(-1)
    expected = (p * made.q(x).min(0).values).sum(-1) + temperature * entropy
    torch.testing.assert_close(value, expected)


def test_actions_span_the_box() -> None:
    made = net(False)
    ends = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    torch.testing.assert_close(made.box.from_unit(ends), torch.tensor([[-0.1, 0.0], [0.1, 4.0]]))
    torch.testing.assert_close(made.box.to_unit(made.box.from_unit(ends)), ends)
    assert isinstance(made.policy(torch.randn(5, 4)), SquashedGaussian)
