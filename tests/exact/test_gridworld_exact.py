"""The exact search against every plan there is, acted out in the family itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metarl_lab.exact.gridworld import Search, distances, plan_returns, search_plan
from metarl_lab.exact.gridworld_psrl import posterior_sampling_returns
from metarl_lab.tasks.gridworld import GridState, GridTasks, GridWorld


def search(family: GridWorld) -> Search:
    return Search(family.successor.numpy(), family.goals("train"), 0, family.horizon, family.episodes)


def best_of_all_plans(size: int, horizon: int, episodes: int) -> float:
    """Every sequence of K H actions as a copy, every goal as a task; once met, the goal is known."""
    family = GridWorld(size=size, horizon=horizon, episodes=episodes)
    tasks = GridTasks(torch.tensor(family.goals("train")))
    n, plans = len(tasks.goal), 5 ** (horizon * episodes)
    number = torch.arange(plans).expand(n, plans)
    oracle = family.oracle(tasks).unsqueeze(1)
    met, total, none = torch.zeros(n, plans, dtype=torch.bool), torch.zeros(n, plans), torch.zeros(n, plans, 0)
    for k in range(episodes):
        state: GridState = family.reset(tasks, none)
        knew, here = met, torch.zeros(n, plans)
        for h in range(horizon):
            action = number // 5 ** (k * horizon + h) % 5
            state, reward, _ = family.step(tasks, state, torch.where(met, 0, action), none)
            met = met | (reward > 0)
            here = here + reward
        total = total + torch.where(knew, oracle, here)
    return total.mean(0).max().item()


@pytest.mark.parametrize("size, horizon, episodes", [(3, 4, 2), (3, 2, 3), (3, 3, 2), (4, 7, 1)])
def test_no_plan_is_better(size: int, horizon: int, episodes: int) -> None:
    plan = search_plan(search(GridWorld(size=size, horizon=horizon, episodes=episodes)))
    assert plan.value == pytest.approx(best_of_all_plans(size, horizon, episodes), abs=1e-4)


@pytest.mark.parametrize("horizon, episodes", [(8, 2), (7, 3), (10, 1), (5, 4)])
def test_the_bound_never_hides_a_better_plan(horizon: int, episodes: int) -> None:
    """Against dynamic programming over all states with no bound, on 4 x 4."""
    family = GridWorld(size=4, horizon=horizon, episodes=episodes)
    goals = family.goals("train")
    after = [sorted(set(row)) for row in family.successor.tolist()]
    oracle = dict(zip(goals, family.oracle(GridTasks(torch.tensor(goals))).tolist(), strict=True))
    layer = {(0, frozenset(goals)): 0.0}  # best sum, over the goals met so far, of the whole trial's reward
    for time in range(horizon * episodes):
        k, h = divmod(time, horizon)
        following: dict[tuple[int, frozenset[int]], float] = {}
        for (cell, left), value in layer.items():
            for c in after[cell]:
                gain = -0.1 * time + (horizon - h) + (episodes - 1 - k) * oracle[c] if c in left else 0.0
                key = (0 if h + 1 == horizon else c, left - {c})
                following[key] = max(following.get(key, -1e9), value + gain)
        layer = following
    best = max(v - 0.1 * horizon * episodes * len(left) for (_, left), v in layer.items()) / len(goals)
    assert search_plan(search(family)).value == pytest.approx(best, abs=1e-4)


def test_the_value_is_the_mean_of_what_the_plan_earns() -> None:
    family = GridWorld(size=4, horizon=8, episodes=3)
    plan = search_plan(search(family))
    earned = plan_returns(search(family), plan.actions)
    assert earned.sum(1).mean() == pytest.approx(plan.value)
    nowhere = plan_returns(search(family), np.zeros((3, 8), dtype=int))
    assert nowhere == pytest.approx(-0.8)


def test_distances_are_rows_and_columns() -> None:
    table = distances(GridWorld(size=4).successor.numpy())
    assert table[0, 15] == 6 and table[5, 5] == 0 and table[3, 12] == 6 and np.array_equal(table, table.T)


def test_posterior_sampling_on_paper() -> None:
    """3 x 3, three steps, one episode; goals 2, 5, 6, 7, 8 at 2, 3, 2, 3, 4 steps.

    A goal at step 2 earns 1.9, at step 3 0.8, else -0.3. Drawn 2: the way 1, 2 meets 2. Drawn 6: 3, 6. Drawn 5: right
    first (1/2): 1, then 2 or 4 (1/2 each), then 5; down first: 3, 4, 5. So 5 is met, and 2 with 1/4. Drawn 7: the
    same turned. Drawn 8, cut off after three steps: first two steps 1, 2 (1/4), 3, 6 (1/4) or 4 (1/2); then 5, 7, or
    one of the two.
    """
    drawn = [1.9 + 4 * -0.3, 1.9 + 4 * -0.3]
    drawn += [0.8 + 0.25 * 1.9 + (4 - 0.25) * -0.3] * 2
    drawn += [0.5 * 1.9 + 1 * 0.8 + (5 - 1.5) * -0.3]
    family = GridWorld(size=3, horizon=3, episodes=1)
    assert posterior_sampling_returns(search(family)) == pytest.approx([sum(drawn) / 25])


def test_what_cannot_be_searched_is_refused() -> None:
    one = search(GridWorld())
    with pytest.raises(ValueError, match="goal 0 is the start itself"):
        search_plan(one._replace(goals=[0, 3]))
    with pytest.raises(ValueError, match="0 goals are not allowed"):
        posterior_sampling_returns(one._replace(goals=[]))
    with pytest.raises(ValueError, match="more than max_states=20 states"):
        search_plan(one, max_states=20)
