"""Replay: rows are whole, the oldest goes first, and a resume finds everything where it was."""

import pytest
import torch

from metarl_lab.replay import Replay


def rows(*tasks: int) -> dict[str, torch.Tensor]:
    """A task's number, in every place of every tensor of its row."""
    number = torch.tensor(tasks)
    return {"reward": number.float().view(-1, 1).expand(-1, 3).clone(), "action": number.view(-1, 1, 1).repeat(1, 3, 2)}


def held(replay: Replay) -> list[int]:
    """The tasks in the buffer, in the order of its rows; a row of mixed tasks fails."""
    state = replay.state()
    reward, action = state["row.reward"], state["row.action"]
    assert (reward == reward[:, :1]).all() and (action.flatten(1) == reward[:, :1]).all()
    return reward[:, 0].int().tolist()


def test_a_new_task_takes_the_place_of_the_oldest_whole() -> None:
    replay = Replay(4)
    replay.add(rows(1, 2, 3))
    assert held(replay) == [1, 2, 3] and replay.size == 3
    replay.add(rows(4, 5))
    assert held(replay) == [5, 2, 3, 4] and replay.size == 4
    replay.add(rows(6, 7, 8, 9))
    assert sorted(held(replay)) == [6, 7, 8, 9]


def test_what_was_added_is_a_copy() -> None:
    replay, given = Replay(2), rows(1, 2)
    replay.add(given)
    given["reward"].fill_(9)
    assert held(replay) == [1, 2]
    drawn = replay.sample(2, torch.Generator().manual_seed(0))
    drawn["reward"].fill_(9)
    assert held(replay) == [1, 2]


def test_samples_are_different_tasks_while_there_are_enough_and_only_those_there() -> None:
    replay, generator = Replay(50), torch.Generator().manual_seed(0)
    replay.add(rows(*range(10, 16)))
    for n in (1, 6):
        for _ in range(20):
            drawn = replay.sample(n, generator)["reward"][:, 0].tolist()
            assert len(set(drawn)) == n and set(drawn) <= set(range(10, 16))
    many = replay.sample(600, generator)
    assert set(many["reward"][:, 0].tolist()) == set(range(10, 16))  # never an empty row
    assert (many["action"].flatten(1) == many["reward"][:, :1]).all()
    assert torch.bincount(many["reward"][:, 0].long())[10:].min() > 60  # each a sixth of the draws


def test_a_stored_buffer_goes_on_as_the_one_it_came_from() -> None:
    first, second = Replay(4), Replay(4)
    first.add(rows(1, 2, 3))
    first.add(rows(4, 5))
    stored = {key: x.clone() for key, x in first.state().items()}
    second.load_state(stored, torch.device("cpu"))
    for replay in (first, second):
        replay.add(rows(6))
    assert held(first) == held(second) == [5, 6, 3, 4]
    a, b = (r.sample(3, torch.Generator().manual_seed(1)) for r in (first, second))
    assert all(torch.equal(a[k], b[k]) for k in a)
    # the stored tensors are not the buffer's own
    assert stored["row.reward"][:, 0].tolist() == [5, 2, 3, 4]


def test_a_stored_buffer_that_was_not_full_has_room_left() -> None:
    first, second = Replay(4), Replay(4)
    first.add(rows(1, 2))
    second.load_state(first.state(), torch.device("cpu"))
    second.add(rows(3, 4))
    assert held(second) == [1, 2, 3, 4]
    empty = Replay(4)
    empty.load_state(Replay(4).state(), torch.device("cpu"))
    assert empty.size == 0


def test_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match="capacity=0"):
        Replay(0)
    replay = Replay(2)
    with pytest.raises(ValueError, match="empty"):
        replay.sample(1, torch.Generator())
    with pytest.raises(ValueError, match="enlarge"):
        replay.add(rows(1, 2, 3))
    with pytest.raises(ValueError, match="leading task axis"):
        replay.add({**rows(1, 2), "reward": torch.zeros(1, 3)})
    replay.add(rows(1))
    with pytest.raises(ValueError, match="rows are reward, action"):
        replay.add({"reward": torch.zeros(1, 3)})
