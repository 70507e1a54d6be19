"""Soft actor-critic's formulas: against change of variables, integrals, numbers by hand and soft value iteration."""

import math

import gymnasium as gym
import numpy as np
import pytest
import torch

from metarl_lab.ops.distributions import Categorical
from metarl_lab.ops.soft import (
    SquashedGaussian,
    action_box,
    expected_soft_value,
    polyak,
    soft_target,
    soft_value,
    temperature_loss,
)
from metarl_lab.types import Spec


def test_squashed_log_prob_is_the_change_of_variables() -> None:
    """Against torch.distributions' own transform, summed over dimensions."""
    generator = torch.Generator().manual_seed(0)
    mean, log_std = torch.randn(50, 3, generator=generator).double(), torch.randn(50, 3, generator=generator).double()
    policy = SquashedGaussian(mean, log_std)
    action, log_prob = policy.sample_with_log_prob(torch.rand(50, 3, generator=generator).double() * 0.5 + 0.25)
    base = torch.distributions.Normal(mean, log_std.exp())
    squashed = torch.distributions.TransformedDistribution(base, torch.distributions.TanhTransform())
    expected = squashed.log_prob(action).sum(-1)
    inside = (action.abs() < 1 - 1e-5).all(-1)  # elsewhere the action alone no longer tells x
    assert inside.sum() > 20
    torch.testing.assert_close(log_prob[inside], expected[inside], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(policy.log_prob(action)[inside], expected[inside], rtol=1e-5, atol=1e-4)


def test_squashed_density_integrates_to_one_and_samples_follow_it() -> None:
    policy = SquashedGaussian(torch.tensor([0.4]).double(), torch.tensor([-0.7]).double())
    grid = torch.linspace(-1, 1, 20_001).double()[1:-1].unsqueeze(-1)
    density = policy.log_prob(grid).exp()
    step = 2 / 20_000
    assert float(density.sum() * step) == pytest.approx(1, abs=1e-3)
    noise = (torch.arange(10_000).double().unsqueeze(-1) + 0.5) / 10_000
    mean = float((density * grid.squeeze(-1)).sum() * step)
    assert float(policy.sample(noise).mean()) == pytest.approx(mean, abs=2e-3)


def test_squashed_log_prob_stays_exact_where_tanh_rounds_to_one() -> None:
    """At x = 12 tanh is 1 in float32: the log slope is 2 (log 2 - 12), to 1e-10; from u alone it would be -inf."""
    policy = SquashedGaussian(torch.tensor([12.0]), torch.tensor([-9.0]))
    _, log_prob = policy.sample_with_log_prob(torch.tensor([0.5]))
    normal = 9.0 - 0.5 * math.log(2 * math.pi)
    assert float(log_prob) == pytest.approx(normal - 2 * (math.log(2) - 12.0), rel=1e-5)


def test_action_box() -> None:
    box = gym.spaces.Box(np.float32([-1, 0, -np.inf]), np.float32([3, 0.5, 1]))
    centre, half = action_box(Spec(box, box, 1))
    assert centre.tolist() == [1, 0.25, 0] and half.tolist() == [2, 0.25, 1]
    with pytest.raises(ValueError, match="no box"):
        action_box(Spec(box, gym.spaces.Discrete(2), 1))


def test_targets_bootstrap_through_truncation_only() -> None:
    """Three steps by hand: one goes on, one is truncated (to the formula the same), one terminated."""
    reward, value = torch.tensor([1.0, 1.0, 1.0]), torch.tensor([10.0, 10.0, 10.0])
    target = soft_target(reward, value, torch.tensor([False, False, True]), 0.9)
    assert target.tolist() == pytest.approx([10, 10, 1])
    with pytest.raises(ValueError, match="one shape"):
        soft_target(reward.unsqueeze(-1), value, torch.zeros(3, dtype=torch.bool), 0.9)


def test_soft_values_by_hand() -> None:
    q = torch.tensor([1.0, 3.0])
    policy = Categorical(torch.tensor([0.0, math.log(3.0)]))  # 1/4, 3/4
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert float(expected_soft_value(q, policy, 0.5)) == pytest.approx(2.5 + 0.5 * entropy)
    each = soft_value(q, policy.logits.log_softmax(-1), 0.5)
    assert float((each * policy.logits.softmax(-1)).sum()) == pytest.approx(2.5 + 0.5 * entropy)


def test_descent_reaches_soft_value_iteration() -> None:
    """Critic and policy steps by these formulas on a random MDP reach V = temperature logsumexp(Q / temperature)."""
    generator = torch.Generator().manual_seed(3)
    states, actions, discount, temperature = 4, 3, 0.8, 0.3
    transition = torch.rand(states, actions, states, generator=generator).double()
    transition /= transition.sum(-1, keepdim=True)
    reward = torch.rand(states, actions, generator=generator).double()
    ends = torch.zeros(states, actions, dtype=torch.bool)
    ends[1, 2] = True
    exact = torch.zeros(states, actions).double()
    for _ in range(300):
        value = temperature * torch.logsumexp(exact / temperature, -1)
        exact = reward + discount * (transition @ value) * ~ends
    q = torch.zeros(states, actions, dtype=torch.float64, requires_grad=True)
    logits = torch.zeros(states, actions, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([q, logits], lr=1.0)
    for _ in range(4000):
        policy = Categorical(logits)
        with torch.no_grad():
            target = soft_target(reward, transition @ expected_soft_value(q, policy, temperature), ends, discount)
        loss = 0.25 * (q - target).square().sum() - expected_soft_value(q.detach(), policy, temperature).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(q.detach(), exact, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits.detach().softmax(-1), (exact / temperature).softmax(-1), rtol=1e-3, atol=1e-3)


def test_the_temperature_falls_while_entropy_is_above_its_target() -> None:
    for entropy in (2.0, 0.5):
        log_temperature = torch.tensor(math.log(0.2), requires_grad=True)
        temperature_loss(log_temperature, torch.full((7,), entropy, requires_grad=True), 1.0).backward()
        assert float(log_temperature.grad) == pytest.approx(0.2 * (entropy - 1.0))


def test_polyak_moves_targets_a_share_of_the_way_and_sources_not_at_all() -> None:
    target, source = [torch.zeros(2), torch.ones(3)], [torch.ones(2, requires_grad=True), torch.ones(3)]
    polyak(target, source, 0.25)
    polyak(target, source, 0.25)
    assert target[0].tolist() == [0.4375, 0.4375] and target[1].tolist() == [1, 1, 1]
    assert source[0].tolist() == [1, 1] and not target[0].requires_grad
