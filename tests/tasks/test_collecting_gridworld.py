"""Collecting gridworld: a walk by hand, planning against a table built from the family's own step, splits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from metarl_lab.catalog import make_family, make_reference
from metarl_lab.evaluate import evaluate
from metarl_lab.exact.planning import value_iteration
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.collecting_gridworld import KINDS, CollectingGridWorld, CollectingState, CollectingTasks

NONE, UP, RIGHT, DOWN, LEFT = range(5)
SURE, NEVER = 0.0, 1.0  # noise below, and above, every probability


def by_hand(end: float = 0.5, respawn: float = 0.1) -> CollectingTasks:
    """Start in the corner of a 5 x 5 grid, the first object to the right of it, the second below."""
    place = torch.tensor([[1, 5]])
    return CollectingTasks(
        torch.tensor([0]), place, torch.tensor([[1.0, -1.0]]), torch.tensor([[0.0, end]]), torch.full((1, 2), respawn)
    )


def test_a_walk_by_hand():
    family, tasks = CollectingGridWorld("small_sparse"), by_hand()
    state, out = family.reset(tasks, torch.zeros(1, 1, 0)), []
    #       step, noise of (ending, first back, second back)
    plan = [(RIGHT, (SURE, SURE, NEVER)), (NONE, (SURE, SURE, NEVER)), (NONE, (SURE, NEVER, NEVER)),
            (LEFT, (NEVER, NEVER, SURE)), (DOWN, (NEVER, NEVER, NEVER)), (UP, (SURE, NEVER, SURE)),
            (DOWN, (SURE, NEVER, NEVER))]  # fmt: skip
    for action, noise in plan:
        state, reward, ended = family.step(tasks, state, torch.tensor([[action]]), torch.tensor([[noise]]))
        out.append((reward.item(), ended.item(), family.observe(tasks, state).argmax().item()))
    rewards, ends, seen = zip(*out, strict=True)
    # collected although it would be back; back under the agent, it is collected by the next step; and so on
    assert rewards == (1, 0, 1, 0, -1, 0, -1)
    assert ends == (False,) * 6 + (True,)
    first, second = 25, 50  # what a present object adds to the cell
    assert seen == (1 + second, 1 + first + second, 1 + second, second, 5, 0 + second, 5)


def whole_table(family: CollectingGridWorld, tasks: CollectingTasks) -> tuple[Tensor, Tensor]:
    """P(s' | s, a) and R(s, a) (T, S, A, S), S one state more (ended), from the family's own step, draw by draw."""
    n, objects, states = len(tasks.start), tasks.place.shape[1], family.states
    action, index = torch.cartesian_prod(torch.arange(5), torch.arange(states)).T
    cell, bits = index % family.cells, index // family.cells
    present = (bits.unsqueeze(-1) >> torch.arange(objects) & 1).bool()
    state = CollectingState(cell.expand(n, -1), present.expand(n, -1, -1))
    table = torch.zeros(n, 5 * states, states + 1, dtype=torch.float64)
    mean = torch.zeros(n, 5 * states, dtype=torch.float64)
    for draw in torch.cartesian_prod(*[torch.arange(2)] * (objects + 1)):  # 1: it happens
        noise = torch.where(draw == 1, SURE, NEVER).expand(n, 5 * states, -1)
        after, reward, ended = family.step(tasks, state, action.expand(n, -1), noise)
        collected = state.present & (after.cell.unsqueeze(-1) == tasks.place.unsqueeze(1))
        ending = (collected * tasks.end.unsqueeze(1)).sum(-1)
        back = tasks.respawn.unsqueeze(1)
        chances = torch.cat((ending.unsqueeze(-1), back.expand(-1, 5 * states, -1)), -1).double()
        weight = torch.where(draw == 1, chances, 1 - chances).prod(-1)
        ends = ended & (draw[0] == 1)
        to = torch.where(ends, states, family.observe(tasks, after).argmax(-1))
        table.scatter_add_(2, to.unsqueeze(-1), weight.unsqueeze(-1))
        mean += weight * reward
    table = table.view(n, 5, states, -1).transpose(1, 2)
    stays = torch.zeros(n, 1, 5, states + 1, dtype=torch.float64)
    stays[..., -1] = 1
    reward = mean.view(n, 5, states).transpose(1, 2)
    return torch.cat((table, stays), 1), torch.cat((reward, torch.zeros(n, 1, 5)), 1)


@pytest.mark.parametrize(("kind", "horizon"), [("small_sparse", 1), ("small_sparse", 6), ("small", 9)])
def test_the_oracle_is_what_value_iteration_finds_on_the_whole_table(kind, horizon):
    family = CollectingGridWorld(kind, horizon=horizon)
    tasks = family.sample_tasks(3, "test", seeded_generator("cpu", 5))
    q, v = value_iteration(*whole_table(family, tasks), horizon)
    everything = family.states - family.cells
    exact = v[0].gather(1, everything + tasks.start.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(family.oracle(tasks).double(), exact, atol=1e-5, rtol=0)
    one_hot = torch.eye(family.states).expand(3, -1, -1)
    best = q[0, :, :-1].gather(2, family.best_action(tasks, one_hot, 0).unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(best, v[0, :, :-1], atol=1e-5, rtol=0)


def test_perfect_play_earns_the_oracle():
    family = CollectingGridWorld()
    tasks = family.sample_tasks(300, "test", seeded_generator("cpu", 4))
    played = torch.as_tensor(evaluate(make_reference("oracle", family), family, tasks=tasks).per_task[:, 0])
    error = played - family.oracle(tasks)
    assert abs(error.mean()) < 4 * error.std() / 300**0.5


@pytest.mark.parametrize("kind", KINDS)
def test_placements_are_uniform_apart_and_divided(kind):
    family = CollectingGridWorld(kind)
    digits = []
    for split in ("train", "test", "ood"):
        tasks = family.sample_tasks(20_000, split, seeded_generator("cpu", 1))
        cells = torch.cat((tasks.start.unsqueeze(1), tasks.place), 1)
        assert (cells.sort(1).values.diff(dim=1) > 0).all() and cells.min() >= 0 and cells.max() < family.cells
        share = torch.stack([torch.bincount(c, minlength=family.cells) for c in cells.T]) * family.cells / 20_000
        assert (share - 1).abs().max() < (0.25 if family.cells == 25 else 0.5)
        torch.testing.assert_close(tasks.reward[0].abs(), torch.full_like(tasks.reward[0], 1.0 + (split == "ood")))
        digits.append({tuple(row) for row in cells.tolist()})
    assert not digits[0] & digits[1]


def test_published_settings():
    assert KINDS["dense"][:2] == (11, 500) and KINDS["sparse"][:2] == (13, 50) and KINDS["long"][:2] == (11, 1000)
    assert KINDS["dense"].objects == ((1, 0, 0.05), (1, 0, 0.05), (-1, 0.5, 0.1), (-1, 0, 0.5))
    assert KINDS["sparse"].objects == ((1, 1, 0), (-1, 1, 0))
    assert KINDS["long"].objects == ((1, 0, 0.01), (1, 0, 0.01), (-1, 0.5, 1), (-1, 0.5, 1))
    assert CollectingGridWorld("dense").states == 121 * 16 and CollectingGridWorld().states == 200


def test_configuration_is_checked():
    with pytest.raises(ValueError, match="kind='huge' is not known"):
        make_family("collecting_gridworld", kind="huge")
