"""Point navigation: the published figures that are exact, its oracle, its splits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metarl_lab.catalog import make_family, make_reference
from metarl_lab.evaluate import evaluate
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.point_navigation import NavigationState, NavigationTasks, PointNavigation

FAMILY = PointNavigation()


def act_out(family: PointNavigation, goal: tuple[float, float], moves: list[tuple[float, float]]):
    tasks = NavigationTasks(torch.tensor([goal]))
    state, out = family.reset(tasks, torch.zeros(1, 1, 0)), []
    for move in moves:
        state, reward, terminated = family.step(tasks, state, torch.tensor([[move]]), torch.zeros(1, 1, 0))
        out.append((state.position[0, 0].tolist(), reward.item(), terminated.item()))
    return out


def test_published_tasks_and_exact_returns():
    goals = FAMILY.published_tasks()
    np.testing.assert_allclose(goals.goal[0], [-0.082978, 0.220324], atol=1e-6)  # what NumPy draws from seed 1
    assert goals.goal.shape == (40, 2)
    staying = FAMILY.horizon * goals.goal.norm(dim=1).mean()
    assert -staying.item() == pytest.approx(-40.08, abs=0.005)
    assert FAMILY.oracle(goals).mean().item() == pytest.approx(-0.54, abs=0.005)


def test_a_walk_by_hand():
    walk = act_out(FAMILY, (0.3, 0.05), [(0.1, 0.0), (0.5, 0.05), (0.095, -0.005)])
    positions, rewards, ends = zip(*walk, strict=True)
    np.testing.assert_allclose(positions, [(0.1, 0), (0.2, 0.05), (0.295, 0.045)], atol=1e-6)  # 0.5 is clipped to 0.1
    # minus the distance after the move, not squared: at (0.1, 0) that is hypot(0.2, 0.05)
    np.testing.assert_allclose(rewards, [-np.hypot(0.2, 0.05), -0.1, -np.hypot(0.005, 0.005)], atol=1e-6)
    assert ends == (False, False, True)


def test_terminates_only_within_tolerance_on_both_axes():
    ends = [act_out(FAMILY, (0.1, 0.1), [move])[0][2] for move in ((0.092, 0.1), (0.089, 0.1), (0.1, 0.08))]
    assert ends == [True, False, False]


@pytest.mark.parametrize("split", ["train", "ood"])
def test_the_oracle_is_what_perfect_play_returns_and_nothing_beats_it(split):
    tasks = FAMILY.sample_tasks(500, split, seeded_generator("cpu", 3))
    played = evaluate(make_reference("oracle", FAMILY), FAMILY, tasks=tasks).per_task[:, 0]
    np.testing.assert_allclose(played, FAMILY.oracle(tasks), atol=2e-5)
    lazy = evaluate(make_reference("random", FAMILY), FAMILY, tasks=tasks).per_task[:, 0]
    assert (lazy < played).all()


def test_best_action_moves_straight_on_each_axis():
    tasks = NavigationTasks(torch.tensor([[0.25, -0.03]]))
    action = FAMILY.best_action(tasks, torch.zeros(1, 1, 2), 0)
    torch.testing.assert_close(action, torch.tensor([[[0.1, -0.03]]]))


def test_splits_are_apart_and_where_they_should_be():
    drawn = {s: FAMILY.sample_tasks(20_000, s, seeded_generator("cpu", 1)).goal for s in ("train", "test", "ood")}
    rows = {s: set(map(tuple, x.tolist())) for s, x in drawn.items()}
    assert not rows["train"] & rows["test"] and not rows["train"] & rows["ood"] and not rows["test"] & rows["ood"]
    for split in ("train", "test"):
        assert drawn[split].abs().max() < 0.5
        torch.testing.assert_close(drawn[split].mean(0), torch.zeros(2), atol=0.01, rtol=0)
        torch.testing.assert_close(drawn[split].var(0), torch.full((2,), 1 / 12), atol=2e-3, rtol=0)
    frame = drawn["ood"]
    outside = frame.abs().max(1).values
    assert outside.min() >= 0.5 and outside.max() <= 1
    # uniform on the frame: a corner square has 1/12 of its area, whichever corner
    for x in (-1, 1):
        for y in (-1, 1):
            share = ((x * frame[:, 0] > 0.5) & (y * frame[:, 1] > 0.5)).float().mean().item()
            assert share == pytest.approx(1 / 12, abs=0.008)


def test_configuration_is_checked():
    with pytest.raises(ValueError, match="horizon=0 is not allowed"):
        make_family("point_navigation", horizon=0)


def test_state_is_observed_and_the_goal_is_not():
    position = torch.rand(3, 4, 2)
    tasks = FAMILY.sample_tasks(3, "train", seeded_generator("cpu", 0))
    assert FAMILY.observe(tasks, NavigationState(position)) is position
