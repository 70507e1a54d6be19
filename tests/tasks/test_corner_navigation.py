"""Corner navigation: the authors' reward to the letter, the leak in it, and an oracle that nothing beats."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import metarl_lab as ml
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.corner_navigation import CornerNavigation, CornerState, CornerTasks

FAMILY = CornerNavigation()
PUBLISHED = CornerNavigation(reward="published")
NOTHING = torch.zeros(1, 1, 0)
CORNERS = [np.array(c) for c in itertools.product((-2.0, 2.0), repeat=2)]


def published_reward(goal: np.ndarray, before: np.ndarray, after: np.ndarray) -> float:
    """What the authors' code computes, said with distances to all four corners."""
    if abs(after[0]) + abs(after[1]) < 0.5:
        return 0.0
    nearest = min(np.hypot(*(after - c)) for c in CORNERS)
    left = np.hypot(*(after - goal))
    return float(np.hypot(*(before - goal)) - left) if left == nearest else 0.0


def act_out(family: CornerNavigation, tasks: CornerTasks, start: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
    """Positions (T, E, H, 2) after each step, and rewards (T, E, H). actions (T, E, H, 2)."""
    state, positions, rewards = CornerState(start), [], []
    for h in range(actions.shape[2]):
        state, reward, terminated = family.step(tasks, state, actions[:, :, h], NOTHING)
        assert not terminated.any()
        positions.append(state.position)
        rewards.append(reward)
    return torch.stack(positions, 2), torch.stack(rewards, 2)


def wander(family: CornerNavigation, tasks: CornerTasks, steps: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Starts, positions and rewards of walks that drift, so that they reach every part of the plane."""
    chance = seeded_generator("cpu", seed)
    n, copies = len(tasks.goal), 60
    start = family.reset(tasks, torch.rand(n, copies, 2, generator=chance)).position
    drift = torch.randn(n, copies, 1, 2, generator=chance)
    actions = 0.15 * (torch.randn(n, copies, steps, 2, generator=chance) + 0.5 * drift)
    return start, *act_out(family, tasks, start, actions)


def test_the_published_reward_is_the_authors() -> None:
    tasks = PUBLISHED.published_tasks()
    start, after, reward = wander(PUBLISHED, tasks, 30)
    before = torch.cat((start.unsqueeze(2), after[:, :, :-1]), 2)
    paid = 0
    for t, e, h in itertools.product(range(4), range(60), range(30)):
        goal, *pair = (x.double().numpy() for x in (tasks.goal[t], before[t, e, h], after[t, e, h]))
        expected = published_reward(goal, *pair)
        assert reward[t, e, h].item() == pytest.approx(expected, abs=1e-6)
        paid += expected != 0
    assert 0.1 < paid / (4 * 60 * 30) < 0.5  # both kinds were met


def test_moves_are_clipped_per_axis_and_starts_fill_their_box() -> None:
    tasks = FAMILY.published_tasks()
    moves = torch.tensor([0.5, -0.1]).expand(4, 1, 1, 2)
    positions, _ = act_out(FAMILY, tasks, torch.zeros(4, 1, 2), moves)
    torch.testing.assert_close(positions[0, 0, 0], torch.tensor([0.2, -0.1]))
    ends = FAMILY.reset(tasks, torch.tensor([[[0.0, 1.0]]]).expand(4, 1, 2)).position
    torch.testing.assert_close(ends[0, 0], torch.tensor([-0.2, 0.2]))


def test_the_published_reward_leaks_and_the_potential_does_not() -> None:
    """In and out of the paying region: (0, 0) -> (0.2, 0.2) pays nothing, -> (0.4, 0.4) pays 0.283, back nothing."""
    tasks = PUBLISHED.published_tasks()
    diagonal = tasks.corner.sign().reshape(4, 1, 1, 2) * 0.2
    inward = (torch.arange(100) % 2).view(1, 1, -1, 1).float() * 2 - 1  # out, in, out, in, ...
    start = diagonal[:, :, 0]  # (4, 1, 2)
    farmed = {f.reward: act_out(f, tasks, start, -inward * diagonal)[1].sum(-1) for f in (PUBLISHED, FAMILY)}
    torch.testing.assert_close(farmed["published"], torch.full((4, 1), 50 * 0.2 * 2**0.5), atol=1e-3, rtol=0)
    torch.testing.assert_close(farmed["potential"], torch.zeros(4, 1), atol=1e-5, rtol=0)
    walked = act_out(PUBLISHED, tasks, start, diagonal.expand(4, 1, 100, 2) * (torch.arange(100) < 9).view(1, 1, -1, 1))
    assert walked[1].sum(-1).max() < 2.83
    assert PUBLISHED.oracle(tasks) is None and PUBLISHED.best_action(tasks, start, 0) is None
    with pytest.raises(ValueError, match="no known best_action"):
        ml.evaluate(ml.make_reference("oracle", PUBLISHED), PUBLISHED, n_tasks=2)


@pytest.mark.parametrize("split", ["train", "ood"])
def test_a_return_is_the_potential_of_the_last_position(split: str) -> None:
    """phi: the goal's distance from the origin minus that from the position, where it pays; else 0."""
    tasks = FAMILY.sample_tasks(50, split, seeded_generator("cpu", 2))
    _, after, reward = wander(FAMILY, tasks, 25)
    corners = tasks.corner.unsqueeze(1) @ torch.tensor(
        [[[1.0, 0], [0, 1]], [[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]]]
    ).reshape(4, 1, 2, 2)  # (4, T, 1, 2): the task's own first, then its quarter turns
    gaps = torch.stack([(after - c.unsqueeze(1)).norm(dim=-1) for c in corners])  # (4, T, E, H)
    pays = (gaps.argmin(0) == 0) & (after.abs().sum(-1) >= 0.5)
    goal = tasks.goal.view(-1, 1, 1, 2)
    phi = (goal.norm(dim=-1) - (after - goal).norm(dim=-1)) * pays
    torch.testing.assert_close(reward.cumsum(-1), phi, atol=2e-5, rtol=0)
    assert 0.1 < pays.float().mean() < 0.5


@pytest.mark.parametrize("split", ["train", "test", "ood"])
@pytest.mark.parametrize("horizon", [4, 9, 100])
def test_the_oracle_is_what_perfect_play_returns_on_average(split: str, horizon: int) -> None:
    family = CornerNavigation(horizon=horizon)
    tasks = family.sample_tasks(200, split, seeded_generator("cpu", 3))
    settings: dict[str, Any] = {"tasks": tasks, "episodes": 256}
    played = ml.evaluate(ml.make_reference("oracle", family), family, **settings).per_task[:, 0]
    error = played - family.oracle(tasks).numpy()
    assert abs(error.mean()) <= 4 * error.std() / 200**0.5 + 1e-5
    assert np.abs(error).max() < (1e-5 if horizon == 100 else 0.06)
    if horizon == 100:
        torch.testing.assert_close(family.oracle(tasks), tasks.goal.norm(dim=1))


@pytest.mark.parametrize("horizon", [4, 6, 11])
@pytest.mark.parametrize("jitter", [0.1, 0.25])
def test_nothing_in_reach_is_better_than_going_straight(horizon: int, jitter: float) -> None:
    """In H steps every point of a square around the start can be reached, and no other: search it."""
    family = CornerNavigation(horizon=horizon, jitter=jitter)
    grid = torch.linspace(-0.2 * horizon, 0.2 * horizon, 81)
    reach = torch.cartesian_prod(grid, grid)
    chance = seeded_generator("cpu", 4)
    for split in ("test", "ood"):
        tasks = family.sample_tasks(40, split, chance)
        start = family.reset(tasks, torch.rand(40, 1, 2, generator=chance)).position
        ends = start + reach  # (T, 81^2, 2)
        walks = (reach / horizon).reshape(1, -1, 1, 2).expand(40, -1, horizon, 2)
        returns = act_out(family, tasks, start.expand(40, len(reach), 2), walks)[1].sum(-1)
        state, straight = CornerState(start), torch.zeros(40, 1)
        for h in range(horizon):
            action = family.best_action(tasks, state.position, h)
            state, reward, _ = family.step(tasks, state, action, NOTHING)
            straight = straight + reward
        assert ends.shape == (40, 81**2, 2) and (returns <= straight + 1e-5).all()
        assert (straight > 0).all()


def test_tasks_are_where_the_docstring_says() -> None:
    for split in ("train", "test", "ood"):
        corner, goal = FAMILY.sample_tasks(4000, split, seeded_generator("cpu", 5))
        torch.testing.assert_close(corner.norm(dim=1), torch.full((4000,), 8**0.5))
        axis = corner.abs().min(1).values  # 2 at a corner, 0 on an axis
        torch.testing.assert_close(axis, torch.full((4000,), 0.0 if split == "ood" else 2.0), atol=1e-5, rtol=0)
        share = torch.unique(corner.round(decimals=2) + 0.0, dim=0, return_counts=True)[1] / 4000
        assert share.shape == (4,) and (share - 0.25).abs().max() < 0.03
        shift = goal - corner
        assert shift.abs().max() <= 0.1 + 1e-6
        torch.testing.assert_close(shift.std(0), torch.full((2,), 0.1 / 3**0.5), atol=2e-3, rtol=0)


def test_random_play_is_far_from_the_oracle() -> None:
    tasks = FAMILY.sample_tasks(2000, "test", seeded_generator("cpu", 6))
    random = ml.evaluate(ml.make_reference("random", FAMILY), FAMILY, tasks=tasks).mean[0]
    assert 0.1 < random < 0.5 and FAMILY.oracle(tasks).mean() > 2.8


@pytest.mark.parametrize("wrong", [{"reward": "dense"}, {"jitter": 0.3}, {"jitter": 0.0}, {"horizon": 3}])
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        ml.make_family("corner_navigation", **wrong)
