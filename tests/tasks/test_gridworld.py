"""The gridworld: its published protocol, its moves and its rewards on paths worked out by hand."""

from __future__ import annotations

import pytest
import torch

import metarl_lab as ml
from metarl_lab.tasks.gridworld import GridState, GridTasks, GridWorld

NONE, UP, RIGHT, DOWN, LEFT = range(5)


def walk(family: GridWorld, goal: int, actions: list[int]) -> tuple[list[int], list[float]]:
    """Cells and rewards after each action."""
    tasks = GridTasks(torch.tensor([goal]))
    state = family.reset(tasks, torch.rand(1, 1, 0))
    cells, rewards = [], []
    for action in actions:
        state, reward, terminated = family.step(tasks, state, torch.tensor([[action]]), torch.rand(1, 1, 0))
        assert not terminated.any()
        cells.append(int(state.cell))
        rewards.append(round(float(reward), 6))
    return cells, rewards


def test_the_published_protocol_is_the_default() -> None:
    spec = ml.make_family("gridworld").spec
    assert (spec.observation_size, spec.action_size, spec.horizon, spec.episodes) == (25, 5, 15, 4)
    assert (spec.reset_noise, spec.step_noise, spec.terminates) == (0, 0, False)


def test_moves_and_walls() -> None:
    """Around the grid, against all four walls."""
    actions = [UP, LEFT, NONE, RIGHT, DOWN, DOWN, LEFT, LEFT, UP, DOWN, DOWN, DOWN, DOWN, *[RIGHT] * 5, UP]
    cells, _ = walk(GridWorld(), 22, actions)
    assert cells == [0, 0, 0, 1, 6, 11, 10, 10, 5, 10, 15, 20, 20, 21, 22, 23, 24, 24, 19]


def test_reward_is_paid_for_the_cell_after_the_move() -> None:
    """Goal (0, 2): the second step right pays, staying pays, leaving does not, coming back does."""
    _, rewards = walk(GridWorld(), 2, [RIGHT, RIGHT, NONE, UP, DOWN, UP, RIGHT])
    assert rewards == [-0.1, 1, 1, 1, -0.1, 1, -0.1]


@pytest.mark.parametrize("split", ["train", "test", "ood"])
def test_goals_are_uniform_over_the_published_cells(split: str) -> None:
    n = 42_000
    goals = GridWorld().sample_tasks(n, split, torch.Generator().manual_seed(0)).goal
    count = torch.bincount(goals, minlength=25)
    cells = {1, 5, 6} if split == "ood" else set(range(25)) - {0, 1, 5, 6}
    assert set(count.nonzero().flatten().tolist()) == cells
    p = 1 / len(cells)
    assert ((count[list(cells)] / n - p).abs() < 4.5 * (p * (1 - p) / n) ** 0.5).all()


def test_the_prior_is_what_tasks_are_drawn_from() -> None:
    family = GridWorld(size=4)
    assert family.prior.sum().item() == pytest.approx(1)
    assert family.prior.nonzero().flatten().tolist() == family.goals("train") == family.goals("test")
    assert len(family.goals("train")) == 12 and family.goals("ood") == [1, 4, 5]


def test_the_oracle_is_the_exact_figure() -> None:
    """Distances 2 to 8 occur 2, 4, 5, 4, 3, 2, 1 times; distance d earns 16 - d - 0.1 (d - 1)."""
    family = GridWorld()
    each = family.oracle(GridTasks(torch.tensor(family.goals("test"))))
    by_hand = sum(n * (16 - d - 0.1 * (d - 1)) for d, n in zip(range(2, 9), (2, 4, 5, 4, 3, 2, 1), strict=True)) / 21
    assert each.mean().item() == pytest.approx(by_hand, abs=1e-5) == pytest.approx(11.0714, abs=1e-4)
    far = GridWorld(horizon=6).oracle(GridTasks(torch.tensor([23, 24, 14, 19])))  # 7, 8, 6 and 7 steps away
    torch.testing.assert_close(far, torch.tensor([-0.6, -0.6, 0.5, -0.6]))


def test_the_best_action_goes_straight_to_the_goal_from_everywhere() -> None:
    """From every cell to every goal in as many steps as rows and columns lie between, and then it stays."""
    family = GridWorld()
    tasks = GridTasks(torch.arange(25))
    state = GridState(torch.arange(25).expand(25, 25))
    rows = [(x // 5, x % 5) for x in range(25)]
    distance = torch.tensor([[abs(a - c) + abs(b - d) for a, b in rows] for c, d in rows])
    for step in range(10):
        away = [[abs(a - c) + abs(b - d) for a, b in (rows[i] for i in line)] for line, (c, d) in
                zip(state.cell.tolist(), rows, strict=True)]  # fmt: skip
        assert torch.equal(torch.tensor(away), (distance - step).clamp_min(0))
        state, _, _ = family.step(
            tasks, state, family.best_action(tasks, family.observe(tasks, state), step), torch.rand(25, 25, 0)
        )


def test_the_observation_is_the_cell_and_shows_nothing_of_the_goal() -> None:
    family = GridWorld()
    state = GridState(torch.arange(25).expand(2, 25))
    seen = family.observe(GridTasks(torch.tensor([7, 24])), state)
    assert torch.equal(seen[0], torch.eye(25)) and torch.equal(seen[0], seen[1])


def test_fields_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="size=2 leaves no cell for a goal"):
        GridWorld(size=2)
    with pytest.raises(ValueError, match="horizon=0"):
        GridWorld(horizon=0)
    with pytest.raises(ValueError, match="'valid' is not known"):
        GridWorld().goals("valid")
