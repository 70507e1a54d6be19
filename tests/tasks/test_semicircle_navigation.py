"""Semicircle navigation: the published figures that are exact, both rewards by hand, the oracle, the splits."""

from __future__ import annotations

from math import hypot, pi

import numpy as np
import pytest
import torch

from metarl_lab.catalog import make_family, make_reference
from metarl_lab.evaluate import evaluate
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.semicircle_navigation import SemicircleNavigation, SemicircleState, SemicircleTasks

FAMILY = SemicircleNavigation()


def arc(n: int, start: float = 0.0) -> SemicircleTasks:
    """Evenly spaced goals, at the middle of n equal pieces of a semicircle."""
    angles = start + pi * (torch.arange(n) + 0.5) / n
    return SemicircleTasks(torch.stack((angles.cos(), angles.sin()), 1))


def play(agent: str, tasks: SemicircleTasks, episodes: int = 1, copies: int = 1):
    acting = make_reference(agent, FAMILY)
    trial = begin(acting, FAMILY, tasks, copies)
    return collect(acting, FAMILY, tasks, trial, seeded_generator("cpu", 5), episodes)[0]


def test_published_returns_of_known_goals():
    angles = torch.linspace(0, pi, 100, dtype=torch.float64)  # PEARL's goals, in its precision
    tasks = SemicircleTasks(torch.stack((angles.cos(), angles.sin()), 1))
    state, sparse, dense = SemicircleState(torch.zeros(100, 1, 2, dtype=torch.float64)), 0.0, 0.0
    for h in range(FAMILY.horizon):
        action = FAMILY.best_action(tasks, FAMILY.observe(tasks, state), h)
        state, reward, _ = FAMILY.step(tasks, state, action, torch.zeros(100, 1, 0))
        sparse, dense = sparse + reward.mean().item(), dense - (state.position[:, 0] - tasks.goal).norm(dim=1).mean()
    assert sparse == pytest.approx(13.36, abs=0.005)
    assert dense.item() == pytest.approx(-3.85, abs=0.005)


def test_returns_of_known_goals_over_the_arc():
    tasks = arc(10_000)
    assert FAMILY.oracle(tasks).mean().item() == pytest.approx(13.38, abs=0.005)
    dense = FAMILY.training_reward(tasks, play("oracle", tasks)).sum(-1)
    assert dense.mean().item() == pytest.approx(-3.84, abs=0.005)


def test_a_walk_by_hand():
    tasks, state, out = SemicircleTasks(torch.tensor([[0.3, 0.1]])), FAMILY.reset(arc(1), torch.zeros(1, 1, 0)), []
    for move in ((0.1, 0.0), (0.5, -0.05), (0.1, 0.05), (0.0, 0.1)):
        state, reward, terminated = FAMILY.step(tasks, state, torch.tensor([[move]]), torch.zeros(1, 1, 0))
        assert not terminated.any()
        out.append((*state.position[0, 0].tolist(), reward.item()))
    # at (0.1, 0) the goal is hypot(0.2, 0.1) > 0.2 away; 0.5 is clipped to 0.1; the reward is 1 - d within 0.2
    worked = [(0.1, 0, 0), (0.2, -0.05, 1 - hypot(0.1, 0.15)), (0.3, 0, 0.9), (0.3, 0.1, 1)]
    np.testing.assert_allclose(out, worked, atol=1e-6)


def test_training_reward_is_minus_the_distance_after_each_move():
    tasks = FAMILY.sample_tasks(3, "train", seeded_generator("cpu", 2))
    episodes = play("random", tasks, episodes=2, copies=4)
    dense = FAMILY.training_reward(tasks, episodes)
    for k in range(2):
        position = torch.zeros(3, 4, 2)  # stepped by hand from the actions alone
        for h in range(FAMILY.horizon):
            position = position + episodes.action[:, :, k, h].clamp(-0.1, 0.1)
            expected = -(position - tasks.goal[:, None]).norm(dim=-1)
            torch.testing.assert_close(dense[:, :, k, h], expected)
    mask = episodes.mask.clone()
    mask[0, 1, 0, 7:] = False
    masked = FAMILY.training_reward(tasks, episodes._replace(mask=mask))
    torch.testing.assert_close(masked, dense * mask)


def test_agents_see_the_sparse_reward():
    tasks = arc(8)
    episodes = play("oracle", tasks)
    far = FAMILY.training_reward(tasks, episodes) < -0.2
    assert far.any() and (episodes.reward[far] == 0).all() and (episodes.reward[~far] >= 0.8 - 1e-6).all()


def test_the_oracle_is_what_perfect_play_returns_and_nothing_beats_it():
    tasks = FAMILY.sample_tasks(500, "train", seeded_generator("cpu", 3))
    best = FAMILY.oracle(tasks)
    played = play("oracle", tasks).returns[:, 0, 0]
    torch.testing.assert_close(played, best)
    lazy = evaluate(make_reference("random", FAMILY), FAMILY, tasks=tasks).per_task[:, 0]
    assert (lazy < played.numpy()).all()


def test_the_oracle_is_the_best_of_an_exhaustive_search():
    # all sequences of four moves out of 25, among them the two that end on the goal exactly
    family, tasks = SemicircleNavigation(horizon=4), SemicircleTasks(torch.tensor([[0.25, 0.12]]))
    axis = torch.tensor([-0.1, 0.0, 0.02, 0.05, 0.1])  # per axis
    moves = torch.cartesian_prod(axis, axis)  # (25, 2)
    plans = torch.cartesian_prod(*[torch.arange(25)] * 4)  # (25^4, H), one copy each
    state, total = SemicircleState(torch.zeros(1, len(plans), 2)), torch.zeros(1, len(plans))
    for h in range(4):
        state, reward, _ = family.step(tasks, state, moves[plans[:, h]].unsqueeze(0), torch.zeros(1, 1, 0))
        total = total + reward
    torch.testing.assert_close(total.max(), family.oracle(tasks)[0])


def test_best_action_moves_straight_on_each_axis():
    action = FAMILY.best_action(SemicircleTasks(torch.tensor([[0.8, -0.6]])), torch.tensor([[[0.0, -0.57]]]), 0)
    torch.testing.assert_close(action, torch.tensor([[[0.1, -0.03]]]))


def test_splits_are_apart_and_where_they_should_be():
    drawn = {s: FAMILY.sample_tasks(20_000, s, seeded_generator("cpu", 1)).goal for s in ("train", "test", "ood")}
    for split, goal in drawn.items():
        torch.testing.assert_close(goal.norm(dim=1), torch.ones(20_000))
        side = -1 if split == "ood" else 1
        angle = torch.atan2(side * goal[:, 1], goal[:, 0])  # uniform on (0, pi): every tenth holds a tenth
        assert (angle >= 0).all() and (side * goal[:, 1] > -1e-6).all()
        share = torch.histc(angle, 10, 0, pi) / 20_000
        torch.testing.assert_close(share, torch.full((10,), 0.1), atol=0.01, rtol=0)


def test_configuration_is_checked():
    with pytest.raises(ValueError, match="goal_radius=0 is not allowed"):
        make_family("semicircle_navigation", goal_radius=0)


def test_position_is_observed_and_the_goal_is_not():
    position = torch.rand(3, 4, 2)
    tasks = FAMILY.sample_tasks(3, "train", seeded_generator("cpu", 0))
    assert FAMILY.observe(tasks, SemicircleState(position)) is position
