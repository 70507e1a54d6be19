"""Planners: against known optima, by hand, and problem by problem."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from metarl_lab.ops.mpc import (
    Plan,
    Proposal,
    cross_entropy_method,
    first_proposal,
    fit,
    follow,
    imagined_return,
    plan_noise,
    random_shooting,
    shifted_points,
)
from metarl_lab.types import Spec

PLANE = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
BOX = Spec(PLANE, gym.spaces.Box(np.float32([-1, 0]), np.float32([1, 4]), dtype=np.float32), horizon=9)
DISCRETE = Spec(PLANE, gym.spaces.Discrete(3), horizon=9)
WANTED = torch.tensor([[0.3, 3.0], [-0.6, 0.5]])  # (B, A): what each of two problems wants at every step


def quadratic(state: Any, action: Tensor) -> tuple[Any, Tensor]:
    """Pays -|a - wanted|^2; the optimum is known."""
    return state, -(action - state).square().sum(-1)


def counting(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    """Pays 1 for action (problem + step) mod 3: the best plan differs from problem to problem and step to step."""
    return state + 1, (action == state.long() % 3).float()


def shift(problems: int, rounds: int, spec: Spec, horizon: int, seed: int = 0) -> Tensor:
    return torch.rand(problems, rounds, plan_noise(spec, horizon), generator=torch.Generator().manual_seed(seed))


def test_cem_reaches_the_optimum_of_a_quadratic() -> None:
    plan = cross_entropy_method(quadratic, WANTED.unsqueeze(1), shift(2, 12, BOX, 3), BOX, 64, 8)
    assert plan.action.shape == (2, 3, 2)
    assert (plan.action - WANTED.unsqueeze(1)).abs().max() < 0.1
    assert (plan.proposal.mean - WANTED.unsqueeze(1)).abs().max() < 0.1


def test_cem_finds_the_best_discrete_plan() -> None:
    start = torch.tensor([[0.0], [2.0]])
    plan = cross_entropy_method(counting, start, shift(2, 6, DISCRETE, 4), DISCRETE, 64, 8)
    assert plan.action.tolist() == [[0, 1, 2, 0], [2, 0, 1, 2]]
    assert plan.value.tolist() == [4, 4]


def test_one_round_of_cem_fits_the_elites_by_hand() -> None:
    noise = shift(2, 1, BOX, 3)
    plan = cross_entropy_method(quadratic, WANTED.unsqueeze(1), noise, BOX, 20, 5)
    first = first_proposal(BOX, noise)
    z = torch.distributions.Normal(0.0, 1.0).icdf(shifted_points(noise[:, 0], 20)).view(2, 20, 3, 2)
    tried = first.mean.unsqueeze(1) + first.std.unsqueeze(1) * z
    tried = torch.stack((tried[..., 0].clamp(-1, 1), tried[..., 1].clamp(0, 4)), -1)
    cost = (tried - WANTED.view(2, 1, 1, 2)).square().sum((-1, -2))
    for b in range(2):
        best = cost[b].argsort()[:5]
        torch.testing.assert_close(plan.proposal.mean[b], tried[b, best].mean(0), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(plan.proposal.std[b], tried[b, best].std(0, correction=0), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(plan.action[b], tried[b, best[0]], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(plan.value[b], -cost[b, best[0]], rtol=1e-4, atol=1e-4)


def test_a_discrete_proposal_is_the_elites_shares() -> None:
    elites = torch.tensor([[[0, 2], [0, 1], [1, 1], [0, 1]]])  # (1, 4, 2)
    shares = torch.tensor([[[0.75, 0.25, 0.0], [0.0, 0.75, 0.25]]])
    torch.testing.assert_close(fit(DISCRETE, elites).mean, 0.94 * shares + 0.02)


def test_random_shooting_returns_the_best_of_its_candidates() -> None:
    noise = shift(2, 1, BOX, 3)
    plan = random_shooting(quadratic, WANTED.unsqueeze(1), noise, BOX, 30)
    u = shifted_points(noise[:, 0], 30).view(2, 30, 3, 2)
    tried = torch.stack((2 * u[..., 0] - 1, 4 * u[..., 1]), -1)
    cost = (tried - WANTED.view(2, 1, 1, 2)).square().sum((-1, -2))
    for b in range(2):
        torch.testing.assert_close(plan.value[b], -cost[b].min())
        torch.testing.assert_close(plan.action[b], tried[b, cost[b].argmin()])


@pytest.mark.parametrize("spec", [BOX, DISCRETE])
def test_each_problem_of_a_batch_is_the_problem_alone(spec: Spec) -> None:
    state = torch.tensor([[[0.0]], [[1.0]], [[2.0]]]) if spec.discrete else torch.rand(3, 1, 2)
    model, noise = counting if spec.discrete else quadratic, shift(3, 4, spec, 3)
    if spec.discrete:
        state = state.squeeze(-1)
    whole = cross_entropy_method(model, state, noise, spec, 32, 4)
    shot = random_shooting(model, state, noise[:, :1], spec, 32)
    for b in range(3):
        alone = cross_entropy_method(model, state[b : b + 1], noise[b : b + 1], spec, 32, 4)
        assert torch.equal(whole.action[b], alone.action[0])
        assert torch.equal(
            shot.action[b], random_shooting(model, state[b : b + 1], noise[b : b + 1, :1], spec, 32).action[0]
        )


def test_actions_stay_in_the_box() -> None:
    seen = []

    def greedy(state: Any, action: Tensor) -> tuple[Any, Tensor]:
        seen.append(action)
        return state, action.sum(-1)

    for plan in (
        cross_entropy_method(greedy, torch.zeros(2, 1, 1), shift(2, 5, BOX, 3), BOX, 32, 4),
        random_shooting(greedy, torch.zeros(2, 1, 1), shift(2, 1, BOX, 3), BOX, 32),
    ):
        assert plan.action.shape == (2, 3, 2)
    tried = torch.cat([x.flatten(0, 1) for x in seen])
    assert (tried[:, 0].abs() <= 1).all() and (tried[:, 1] >= 0).all() and (tried[:, 1] <= 4).all()
    assert (tried[:, 0] == 1).any()  # the optimum is the corner: clipping reaches it, a squash would not


def test_every_shifted_point_is_uniform_and_they_cover_evenly() -> None:
    shifts = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0))
    points = shifted_points(shifts, 16)  # (4000, 16, 3)
    counts = (points * 10).long().clamp_max(9)
    for i in (0, 7, 15):
        for d in range(3):
            share = torch.bincount(counts[:, i, d], minlength=10) / 4000
            assert (share - 0.1).abs().max() < 0.025  # 5 standard errors
    # of 16 shifted Sobol' points each tenth holds one or two; of independent ones, it is empty in a fifth of all sets
    assert (points[..., 0].sort(1).values.diff(dim=1).max(1).values < 0.2).all()


def test_the_discount_and_the_model_run_step_by_step() -> None:
    def walk(state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        state = state + action
        return state, state.sum(-1)

    action = torch.tensor([[[[1.0], [2.0]], [[0.0], [5.0]]]])  # (1, 2, 2, 1)
    value = imagined_return(walk, torch.tensor([[[10.0]]]), action, discount=0.5)
    assert value.tolist() == [[11 + 0.5 * 13, 10 + 0.5 * 15]]


def test_the_next_plan_starts_one_step_on() -> None:
    action = torch.arange(6.0).view(1, 3, 2)
    later = follow(BOX, Plan(action, torch.zeros(1), Proposal(action, action)), widen=0.5)
    assert later.mean.tolist() == [[[2, 3], [4, 5], [4, 5]]]
    assert later.std[0, 0].tolist() == [0.5, 1.0]
    probs = torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]])
    later = follow(DISCRETE, Plan(torch.zeros(1, 2).long(), torch.zeros(1), Proposal(probs, probs[..., :0])), 0.3)
    torch.testing.assert_close(later.mean, torch.tensor([[[0.1, 0.8, 0.1], [0.1, 0.8, 0.1]]]))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to candidates=8"):
        cross_entropy_method(quadratic, WANTED.unsqueeze(1), shift(2, 1, BOX, 3), BOX, 8, 9)
    with pytest.raises(ValueError, match="no round"):
        cross_entropy_method(quadratic, WANTED.unsqueeze(1), shift(2, 0, BOX, 3), BOX, 8, 2)
    with pytest.raises(ValueError, match=r"\(B, D\)"):
        shifted_points(torch.zeros(3), 4)
