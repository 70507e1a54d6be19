"""Key to door: its optimum, a walk by hand, the order of the two, the oracle by value iteration, the splits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from metarl_lab.catalog import make_family, make_reference
from metarl_lab.evaluate import evaluate
from metarl_lab.ops.grid import moves_between
from metarl_lab.rollout import begin, collect, seeded_generator
from metarl_lab.tasks.key_to_door import KeyDoorState, KeyDoorTasks, KeyToDoor

NONE, UP, RIGHT, DOWN, LEFT = range(5)
NO_NOISE = torch.zeros(1, 1, 0)


def every_pair(family: KeyToDoor) -> KeyDoorTasks:
    """One task for each ordered pair of cells, started as in training."""
    start = family.sample_tasks(1, "train", seeded_generator("cpu", 0)).start
    key, door = torch.cartesian_prod(*[torch.arange(family.size**2)] * 2).T
    apart = key != door
    return KeyDoorTasks(key[apart], door[apart], start.expand(int(apart.sum())))


def planned(family: KeyToDoor, tasks: KeyDoorTasks) -> Tensor:
    """Best return of every task from each cell, by value iteration over the family's own step: (T, cells)."""
    cells, n = family.size**2, len(tasks.key)
    # every (action, cell, held) as one copy of each task
    action, cell, held = torch.cartesian_prod(torch.arange(5), torch.arange(cells), torch.arange(2)).T.unsqueeze(1)
    state = KeyDoorState(cell.expand(n, -1), held.bool().expand(n, -1))
    after, reward, terminated = family.step(tasks, state, action.expand(n, -1), NO_NOISE)
    onward = after.cell * 2 + after.held
    value = torch.zeros(n, cells * 2)
    for _ in range(family.horizon):
        value = (reward + value.gather(1, onward) * ~terminated).view(n, 5, -1).amax(1)
    return value.view(n, cells, 2)[..., 0]


def test_published_optimum_for_every_task():
    for start in ("centre", "corner", "random"):
        family = KeyToDoor(start=start)
        assert (family.oracle(every_pair(family)) == 2.0).all()
    assert len(every_pair(KeyToDoor()).key) == 6480


@pytest.mark.parametrize("start", ["centre", "corner", "random"])
@pytest.mark.parametrize("horizon", [1, 2, 3, 5, 8])
def test_the_oracle_is_what_value_iteration_finds(start, horizon):
    family = KeyToDoor(size=4, start=start, horizon=horizon)  # horizons that some keys and doors are too far for
    tasks = every_pair(family)
    exact = planned(family, tasks)
    first = int(tasks.start[0])
    torch.testing.assert_close(family.oracle(tasks), exact.mean(1) if first < 0 else exact[:, first])


def test_a_walk_by_hand():
    family = KeyToDoor(size=3, start="corner")
    # 0 1 2    start 0, door 1, key 2: the way to the key crosses the door, which pays only on the way back
    # 3 4 5
    # 6 7 8
    tasks, out = KeyDoorTasks(torch.tensor([2]), torch.tensor([1]), torch.tensor([0])), []
    state = family.reset(tasks, NO_NOISE)
    for action in (UP, RIGHT, NONE, RIGHT, NONE, DOWN, UP, LEFT):
        state, reward, ended = family.step(tasks, state, torch.tensor([[action]]), NO_NOISE)
        out.append((state.cell.item(), reward.item(), ended.item()))
    cells, rewards, ends = zip(*out, strict=True)
    assert cells == (0, 1, 1, 2, 2, 5, 2, 1)
    assert rewards == (0, 0, 0, 1, 0, 0, 0, 1)
    assert ends == (False,) * 7 + (True,)


def test_the_episode_ends_at_the_door_and_the_next_one_has_no_key():
    family = KeyToDoor()
    tasks = family.sample_tasks(50, "test", seeded_generator("cpu", 4))
    agent = make_reference("oracle", family)
    episodes, _ = collect(agent, family, tasks, begin(agent, family, tasks), seeded_generator("cpu", 5), 2)
    assert (episodes.returns == 2).all() and not episodes.truncated.any()
    fetch = moves_between(tasks.start, tasks.key, family.size).clamp_min(1)
    lengths = fetch + moves_between(tasks.key, tasks.door, family.size)
    assert (episodes.mask.sum(-1)[:, 0] == lengths.unsqueeze(1)).all()


def test_the_key_is_hidden_unless_shown():
    tasks = KeyDoorTasks(torch.tensor([3]), torch.tensor([5]), torch.tensor([40]))
    states = [KeyDoorState(torch.tensor([[40]]), torch.tensor([[held]])) for held in (False, True)]
    hidden = [KeyToDoor().observe(tasks, s) for s in states]
    torch.testing.assert_close(hidden[0], hidden[1])
    torch.testing.assert_close(hidden[0][0, 0], torch.eye(81)[40])
    shown = [KeyToDoor(show_key=True).observe(tasks, s)[0, 0] for s in states]
    assert [x[-1].item() for x in shown] == [0, 1] and shown[0].shape == (82,)


@pytest.mark.parametrize("fields", [{}, {"start": "random"}, {"start": "random", "show_key": True, "horizon": 30}])
def test_best_action_plays_the_oracle(fields):
    family = KeyToDoor(**fields)
    tasks = family.sample_tasks(500, "test", seeded_generator("cpu", 4))
    played = torch.as_tensor(evaluate(make_reference("oracle", family), family, tasks=tasks).per_task[:, 0])
    if family.horizon == 50:
        assert (played == 2).all()
    else:  # one episode is one start: only the mean can agree
        error = played - family.oracle(tasks)
        assert abs(error.mean()) < 4 * error.std() / 500**0.5 + 1e-6


def test_best_action_says_when_it_is_not_known():
    family = KeyToDoor(start="random", horizon=31)
    tasks = family.sample_tasks(2, "train", seeded_generator("cpu", 4))
    assert family.best_action(tasks, torch.eye(81)[:2].unsqueeze(1), 0) is None


def test_with_the_key_shown_best_action_is_right_after_wandering():
    family = KeyToDoor(size=3, show_key=True)
    tasks = KeyDoorTasks(torch.tensor([0]), torch.tensor([8]), torch.tensor([4]))
    for held, wanted in ((False, LEFT), (True, RIGHT)):
        seen = family.observe(tasks, KeyDoorState(torch.tensor([[4]]), torch.tensor([[held]])))
        assert family.best_action(tasks, seen, 7).item() == wanted


def test_pairs_are_uniform_and_apart_and_ood_starts_elsewhere():
    family = KeyToDoor(size=3)
    for split, start in (("train", 4), ("test", 4), ("ood", 0)):
        tasks = family.sample_tasks(72_000, split, seeded_generator("cpu", 1))
        assert (tasks.start == start).all()
        share = torch.bincount(tasks.key * 9 + tasks.door, minlength=81).view(9, 9) / 1000
        torch.testing.assert_close(share, 1 - torch.eye(9), atol=0.15, rtol=0)


def test_configuration_is_checked():
    with pytest.raises(ValueError, match="start='middle' is not known"):
        make_family("key_to_door", start="middle")
    with pytest.raises(ValueError, match="no room for a key and a door"):
        make_family("key_to_door", size=1)
