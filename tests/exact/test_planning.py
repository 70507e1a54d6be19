"""Finite-horizon planning: against every policy of a tiny MDP, by hand, and against itself."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from metarl_lab.exact.planning import policy_evaluation, value_iteration


def random_model(n: int, states: int, actions: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weight = -torch.rand(n, states, actions, states, generator=generator, dtype=torch.float64).log()
    reward = torch.randn(n, states, actions, generator=generator, dtype=torch.float64)
    return weight / weight.sum(-1, keepdim=True), reward


def return_of(transition: Tensor, reward: Tensor, rules: tuple[tuple[int, ...], ...], state: int, h: int) -> float:
    """Expected return of one deterministic policy in one MDP, by walking the tree of successors."""
    if h == len(rules):
        return 0.0
    a = rules[h][state]
    later = (
        transition[state, a, s].item() * return_of(transition, reward, rules, s, h + 1) for s in range(len(transition))
    )
    return reward[state, a].item() + sum(later)


def test_value_iteration_is_the_best_of_all_policies() -> None:
    transition, reward = random_model(3, 2, 2)
    horizon = 3
    _, v = value_iteration(transition, reward, horizon)
    rules = list(itertools.product(range(2), repeat=2))  # an action for each of two states
    policies = list(itertools.product(rules, repeat=horizon))  # 64: a rule for each step
    for t in range(3):
        for s in range(2):
            best = max(return_of(transition[t], reward[t], policy, s, 0) for policy in policies)
            assert v[0, t, s].item() == pytest.approx(best, abs=1e-12)


def test_policy_evaluation_of_one_policy() -> None:
    transition, reward = random_model(2, 2, 2, seed=1)
    rules = ((0, 1), (1, 1), (1, 0))
    policy = torch.nn.functional.one_hot(torch.tensor(rules), 2).double().unsqueeze(1).expand(3, 2, 2, 2)
    _, v = policy_evaluation(transition, reward, policy)
    for t in range(2):
        assert v[0, t, 1].item() == pytest.approx(return_of(transition[t], reward[t], rules, 1, 0), abs=1e-12)


def test_by_hand() -> None:
    """Two states. In 0: stay and get 1, or move to 1 and get 0. In 1 every action pays 5 and stays.

    With 2 steps: move, 0 + 5. With 1 step: stay, 1. With discount 0.1 and 2 steps: stay twice, 1 + 0.1 = 1.1 > 0.5.
    """
    transition = torch.zeros(1, 2, 2, 2)
    transition[0, 0, 0, 0] = transition[0, 0, 1, 1] = transition[0, 1, :, 1] = 1
    reward = torch.tensor([[[1.0, 0.0], [5.0, 5.0]]])
    q, v = value_iteration(transition, reward, 2)
    assert q[0, 0, 0].tolist() == [2.0, 5.0] and v[0, 0].tolist() == [5.0, 10.0]
    assert q[1, 0, 0].tolist() == [1.0, 0.0]
    _, discounted = value_iteration(transition, reward, 2, discount=0.1)
    assert discounted[0, 0, 0].item() == pytest.approx(1.1)


def test_the_greedy_policy_of_q_star_has_value_v_star() -> None:
    transition, reward = random_model(4, 5, 3, seed=2)
    q, v = value_iteration(transition, reward, 6, discount=0.9)
    greedy = torch.nn.functional.one_hot(q.argmax(-1), 3).double()
    q_again, v_again = policy_evaluation(transition, reward, greedy, discount=0.9)
    torch.testing.assert_close(v_again, v)
    torch.testing.assert_close(q_again, q)


def test_shapes_that_do_not_fit_are_refused() -> None:
    transition, reward = random_model(1, 2, 2)
    with pytest.raises(ValueError, match="do not fit together"):
        value_iteration(transition, reward[0], 2)
    with pytest.raises(ValueError, match="horizon=0"):
        value_iteration(transition, reward, 0)
    with pytest.raises(ValueError, match="policy has shape"):
        policy_evaluation(transition, reward, torch.ones(2, 1, 2, 3))
