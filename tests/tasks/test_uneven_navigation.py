"""Uneven navigation: its reward by hand, its rings, its oracle, and goals that nobody can reach."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from metarl_lab.catalog import make_family, make_reference
from metarl_lab.evaluate import evaluate
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.uneven_navigation import KINDS, UnevenNavigation, UnevenTasks

FAMILY = UnevenNavigation()


def goals(*distances: float) -> UnevenTasks:
    """Goals at these distances, each in another direction."""
    angle = torch.arange(len(distances)) * 1.1
    return UnevenTasks(torch.tensor(distances).unsqueeze(1) * torch.stack((angle.cos(), angle.sin()), 1))


def test_a_walk_by_hand():
    tasks = UnevenTasks(torch.tensor([[0.4, 0.3]]))
    state = FAMILY.reset(tasks, torch.zeros(1, 1, 0))
    seen = []
    for move in ((0.09, 0.12), (0.3, 0.4), (0.0, 0.0), (-0.06, 0.0)):
        state, reward, terminated = FAMILY.step(tasks, state, torch.tensor([[move]]), torch.zeros(1, 1, 0))
        seen.append((*state.position[0, 0].tolist(), reward.item()))
        assert not terminated.any()
    # the first move has length 0.15 exactly; the second, of length 0.5, is cut to 0.15 in its own direction
    want = [(0.09, 0.12), (0.18, 0.24), (0.18, 0.24), (0.12, 0.24)]
    pay = [1 - math.hypot(0.4 - x, 0.3 - y) for x, y in want]  # glow is 1
    np.testing.assert_allclose(seen, [(*p, r) for p, r in zip(want, pay, strict=True)], atol=1e-6)


def test_the_rings_meet_where_the_reward_says():
    tasks = goals(0.49, 0.51, 0.99, 1.01, 2.49, 2.51)
    assert FAMILY.reach == pytest.approx(2.5) and FAMILY.radius == pytest.approx(5.0)
    assert [KINDS[i] for i in FAMILY.kind(tasks)] == ["easy", "hard", "hard", "hard", "hard", "impossible"]
    _, staying, _ = FAMILY.step(tasks, FAMILY.reset(tasks, torch.zeros(6, 1, 0)), torch.zeros(6, 1, 2), torch.zeros(6))
    assert (staying[:, 0] > 0.5).tolist() == [True] + [False] * 5
    assert (staying[:, 0] > 0).tolist() == [True] * 3 + [False] * 3, "beyond its glow a goal is dark"
    best = FAMILY.oracle(tasks)
    # full speed leaves 2.49 - 1.5 at the end of a last step that is the only one to pay
    assert best[4].item() == pytest.approx(0.01, abs=1e-6) and best[5] == 0


def test_the_oracle_by_hand():
    # a goal at 0.4: after the steps 0.25, 0.1, 0 and then 0 seven times more
    assert FAMILY.oracle(goals(0.4)).item() == pytest.approx(0.75 + 0.9 + 8, abs=1e-5)


def test_the_oracle_is_what_perfect_play_returns_and_nothing_beats_it():
    tasks = FAMILY.sample_tasks(400, "ood", seeded_generator("cpu", 3))
    played = evaluate(make_reference("oracle", FAMILY), FAMILY, tasks=tasks).per_task[:, 0]
    np.testing.assert_allclose(played, FAMILY.oracle(tasks), atol=2e-5)
    chance = evaluate(make_reference("random", FAMILY), FAMILY, tasks=tasks).per_task[:, 0]
    assert (chance <= played + 1e-5).all()


@pytest.mark.parametrize("impossible", [0.0, 0.4, 0.75])
def test_the_prior_has_the_shares_it_states(impossible):
    family = UnevenNavigation(impossible=impossible)
    tasks = family.sample_tasks(20_000, "train", seeded_generator("cpu", 1))
    shares = torch.bincount(family.kind(tasks), minlength=3) / 20_000
    possible = 1 - impossible
    easy = possible * (family.glow / 2 / family.reach) ** 2  # areas of discs
    want = torch.tensor([easy, possible - easy, impossible])
    torch.testing.assert_close(shares, want, atol=0.012, rtol=0)
    assert (family.oracle(tasks)[family.kind(tasks) == 2] == 0).all()
    torch.testing.assert_close(tasks.goal.mean(0), torch.zeros(2), atol=0.08, rtol=0)


def test_out_of_distribution_goals_are_all_within_reach_and_more_often_easy():
    tasks = FAMILY.sample_tasks(20_000, "ood", seeded_generator("cpu", 1))
    shares = torch.bincount(FAMILY.kind(tasks), minlength=3) / 20_000
    torch.testing.assert_close(shares, torch.tensor([0.2, 0.8, 0.0]), atol=0.012, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"impossible": 1.0}, "impossible=1.0"), ({"impossible": -0.1}, "impossible"), ({"glow": 0.0}, "glow=0.0")],
)
def test_configuration_is_checked(options, message):
    with pytest.raises(ValueError, match=message):
        make_family("uneven_navigation", **options)
