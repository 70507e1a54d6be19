"""Dark room: the published figures that are exact, a walk by hand, the oracle by value iteration, the splits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from metarl_lab.catalog import make_family, make_reference
from metarl_lab.evaluate import evaluate
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.dark_room import DarkRoom, DarkRoomState, DarkRoomTasks

NONE, UP, RIGHT, DOWN, LEFT = range(5)
NO_NOISE = torch.zeros(1, 1, 0)


def every_goal(family: DarkRoom) -> DarkRoomTasks:
    """One task for each cell, started as in training."""
    start = family.sample_tasks(1, "train", seeded_generator("cpu", 0)).start
    goal = torch.arange(family.size**2)
    return DarkRoomTasks(goal, start.expand_as(goal))


def planned(family: DarkRoom, goal: int) -> Tensor:
    """Best return from each cell, by value iteration over the family's own step: (cells,)."""
    cells = family.size**2
    tasks = DarkRoomTasks(torch.tensor([goal]), torch.tensor([0]))
    # every (action, cell, paid) as one copy of the task
    action, cell, paid = torch.cartesian_prod(torch.arange(5), torch.arange(cells), torch.arange(2)).T
    after, reward, _ = family.step(tasks, DarkRoomState(cell[None], paid[None].bool()), action[None], NO_NOISE)
    onward = (after.cell * 2 + after.paid)[0]
    value = torch.zeros(cells * 2)
    for _ in range(family.horizon):
        value = (reward[0] + value[onward]).view(5, -1).max(0).values
    return value.view(cells, 2)[:, 0]


@pytest.mark.parametrize(
    ("fields", "published"),
    [
        ({}, 16.54),
        ({"start": "random"}, 15.06),
        ({"size": 10, "start": "corner", "horizon": 100}, 91.99),
        ({"size": 17, "once": True}, 1.0),
    ],
)
def test_published_returns_of_known_goals(fields, published):
    family = DarkRoom(**fields)
    assert family.oracle(every_goal(family)).mean().item() == pytest.approx(published, abs=0.005)
    exact = torch.stack([planned(family, goal) for goal in range(family.size**2)])  # (goal, start)
    start = every_goal(family).start[0]
    exact = exact.mean(1) if start < 0 else exact[:, start]
    torch.testing.assert_close(family.oracle(every_goal(family)), exact)


def test_a_goal_out_of_reach_is_worth_nothing():
    family = DarkRoom(horizon=3)
    exact = torch.stack([planned(family, goal)[40] for goal in range(81)])
    torch.testing.assert_close(family.oracle(every_goal(family)), exact)
    assert (exact == 0).sum() == 81 - 25  # 1 + 4 + 8 + 12 cells are within three moves


@pytest.mark.parametrize(("once", "rewards"), [(False, [0, 0, 1, 1, 0, 0, 1]), (True, [0, 0, 1, 0, 0, 0, 0])])
def test_a_walk_by_hand(once, rewards):
    family = DarkRoom(size=3, once=once)
    tasks = DarkRoomTasks(torch.tensor([2]), torch.tensor([4]))  # goal in the top right corner, from the centre
    state, cells, paid = family.reset(tasks, NO_NOISE), [], []
    for action in (LEFT, RIGHT, None, NONE, DOWN, LEFT, None):
        if action is None:  # put next to the goal, and walk in
            state = state._replace(cell=torch.tensor([[1]]))
            action = RIGHT
        state, reward, terminated = family.step(tasks, state, torch.tensor([[action]]), NO_NOISE)
        assert not terminated.any()
        cells.append(state.cell.item())
        paid.append(reward.item())
    assert cells == [3, 4, 2, 2, 5, 4, 2] and paid == rewards


def test_moves_and_walls():
    family = DarkRoom(size=3)
    # none, up, right, down, left from the top left, the centre and the bottom right
    assert family.successor[[0, 4, 8]].tolist() == [[0, 0, 1, 3, 0], [4, 1, 5, 7, 3], [8, 5, 8, 8, 7]]


def test_the_goal_is_not_observed_and_the_cell_is():
    family, tasks = DarkRoom(), DarkRoomTasks(torch.tensor([0, 80]), torch.tensor([40, 40]))
    seen = family.observe(tasks, family.reset(tasks, torch.zeros(2, 1, 0)))
    torch.testing.assert_close(seen, torch.eye(81)[[40, 40]].unsqueeze(1))


@pytest.mark.parametrize("fields", [{}, {"start": "random"}, {"once": True, "size": 17}])
def test_best_action_plays_the_oracle(fields):
    family = DarkRoom(**fields)
    tasks = every_goal(family)
    played = torch.as_tensor(evaluate(make_reference("oracle", family), family, tasks=tasks).per_task[:, 0])
    exact = family.oracle(tasks).double()
    if family.start == "random":  # one episode is one start: only the mean can agree
        assert abs((played - exact).mean()) < 4 * (played - exact).std() / 9
    else:
        torch.testing.assert_close(played.double(), exact)


def test_random_starts_are_uniform_and_new_in_every_episode():
    family = DarkRoom(start="random", size=3)
    tasks = family.sample_tasks(3, "train", seeded_generator("cpu", 0))
    cell = family.reset(tasks, torch.rand(3, 9000, 1, generator=seeded_generator("cpu", 1))).cell
    torch.testing.assert_close(cell.flatten().bincount() / 27_000, torch.full((9,), 1 / 9), atol=0.01, rtol=0)
    last = family.reset(tasks, torch.full((3, 1, 1), 1 - 2**-24)).cell
    assert (last == 8).all()


def test_goals_are_uniform_and_ood_starts_elsewhere():
    family = DarkRoom()
    for split, start in (("train", 40), ("test", 40), ("ood", 0)):
        tasks = family.sample_tasks(81_000, split, seeded_generator("cpu", 1))
        assert (tasks.start == start).all()
        torch.testing.assert_close(tasks.goal.bincount(minlength=81) / 81_000, family.prior, atol=0.0025, rtol=0)
    assert (DarkRoom(start="corner").sample_tasks(5, "ood", seeded_generator("cpu", 1)).start == 40).all()
    assert (DarkRoom(start="random").sample_tasks(5, "train", seeded_generator("cpu", 1)).start == -1).all()


def test_configuration_is_checked():
    with pytest.raises(ValueError, match="start='middle' is not known"):
        make_family("dark_room", start="middle")
    with pytest.raises(ValueError, match="size=1 leaves nowhere"):
        make_family("dark_room", size=1)
