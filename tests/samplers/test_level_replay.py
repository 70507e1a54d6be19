"""Level replay: its distribution by hand, what it keeps, and stored scores that nothing outside can touch."""

from __future__ import annotations

import pytest
import torch

import metarl_lab as ml
from metarl_lab.rollout import seeded_generator
from metarl_lab.samplers.level_replay import LevelReplay, LevelReplayConfig, replay_probabilities
from metarl_lab.tasks.uneven_navigation import UnevenTasks

FAMILY = ml.make_family("uneven_navigation")


def numbered(*numbers: float) -> UnevenTasks:
    """Tasks that can be told apart: goal (number, 0)."""
    return UnevenTasks(torch.stack((torch.tensor(numbers), torch.zeros(len(numbers))), 1))


def told(sampler: LevelReplay, tasks: UnevenTasks, before: list[float], after: list[float]) -> None:
    sampler.observe(tasks, torch.tensor([before, after]).T)


def test_the_distribution_by_hand():
    priority, waited = torch.tensor([0.3, 2.0, -1.0, 1.0]), torch.tensor([0, 1, 3, 0])
    p = replay_probabilities(priority, waited, temperature=0.5, staleness=0.2)
    # ranks 3, 1, 4, 2; beta = 1/2 makes the weights 1 / rank^2: 1/9, 1, 1/16, 1/4, in all 205/144
    by_rank = torch.tensor([16.0, 144.0, 9.0, 36.0], dtype=torch.float64) / 205
    by_age = torch.tensor([0.0, 0.25, 0.75, 0.0], dtype=torch.float64)
    torch.testing.assert_close(p, 0.8 * by_rank + 0.2 * by_age)
    # only ranks count, not by how much
    torch.testing.assert_close(p, replay_probabilities(priority.exp() * 100, waited, 0.5, 0.2))


def test_equal_priorities_are_equal_and_where_none_has_waited_age_says_nothing():
    p = replay_probabilities(torch.tensor([1.0, 5.0, 1.0]), torch.zeros(3), temperature=1.0, staleness=0.5)
    # ranks 2, 1, 2: weights 1/2, 1, 1/2
    want = 0.5 * torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64) + 0.5 / 3
    torch.testing.assert_close(p, want)


def test_what_was_never_replayed_can_still_be_when_all_others_are_drawn():
    """rank^(-1 / 0.001) underflows to 0; drawing all of the buffer must not fail for it."""
    sampler = LevelReplay(LevelReplayConfig(temperature=0.001, staleness=0.0, replay=1.0, start=1))
    sampler.sample(FAMILY, 4, seeded_generator("cpu", 0))
    told(sampler, numbered(1, 2, 3, 4), [0.0] * 4, [4.0, 3.0, 2.0, 1.0])
    drawn = sampler.sample(FAMILY, 4, seeded_generator("cpu", 1))
    assert sorted(drawn.goal[:, 0].tolist()) == [1, 2, 3, 4]


def test_replayed_tasks_come_as_often_as_the_distribution_says():
    options = LevelReplayConfig(temperature=0.5, staleness=0.2, replay=1.0, start=1)
    count, n = torch.zeros(5), 4000
    sampler = LevelReplay(options)
    sampler.sample(FAMILY, 4, seeded_generator("cpu", 0))
    told(sampler, numbered(1, 2, 3, 4), [0.0] * 4, [0.3, 2.0, -1.0, 1.0])
    for i in range(n):  # nothing is observed in between: always the same distribution
        count[int(sampler.sample(FAMILY, 1, seeded_generator("cpu", 5, i, 1)).goal[0, 0])] += 1
    # kept in the order of priority: tasks 2, 4, 1, 3
    p = sampler.probabilities().float()
    torch.testing.assert_close(p, 0.8 * torch.tensor([144.0, 36.0, 16.0, 9.0]) / 205 + 0.2 / 4)
    torch.testing.assert_close(count[[2, 4, 1, 3]] / n, p, atol=0.03, rtol=0)


def test_the_share_of_replays_and_no_task_twice():
    sampler = LevelReplay(LevelReplayConfig(replay=0.3, start=8))
    fresh = sampler.sample(FAMILY, 50, seeded_generator("cpu", 0))
    told(sampler, fresh, [0.0] * 50, torch.arange(50.0).tolist())
    known, replayed = {tuple(g) for g in fresh.goal.tolist()}, []
    for i in range(100):
        goals = [tuple(g) for g in sampler.sample(FAMILY, 20, seeded_generator("cpu", 7, i, 1)).goal.tolist()]
        assert len(set(goals)) == 20
        replayed.append(sum(g in known for g in goals) / 20)
    assert sum(replayed) / 100 == pytest.approx(0.3, abs=0.03)


def test_no_replay_before_the_start():
    sampler = LevelReplay(LevelReplayConfig(replay=1.0, start=9))
    sampler.sample(FAMILY, 8, seeded_generator("cpu", 0))
    told(sampler, numbered(*range(1, 9)), [0.0] * 8, [1.0] * 8)
    assert sampler.sample(FAMILY, 4, seeded_generator("cpu", 1)).goal[:, 1].ne(0).all()


def test_a_replayed_task_is_scored_anew_and_not_kept_twice():
    sampler = LevelReplay(LevelReplayConfig(replay=1.0, start=1, staleness=0.0, temperature=0.05))
    sampler.sample(FAMILY, 3, seeded_generator("cpu", 0))
    told(sampler, numbered(1, 2, 3), [0.0, 0.0, 0.0], [1.0, 9.0, 5.0])
    drawn = sampler.sample(FAMILY, 1, seeded_generator("cpu", 1))
    assert drawn.goal[0, 0] == 2
    told(sampler, drawn, [4.0], [4.5])
    state = sampler.state()
    assert sampler.size == 3 and state["task.0"][:, 0].tolist() == [3, 1, 2]
    assert state["priority"].tolist() == [5, 1, 0.5] and state["played"].tolist() == [1, 1, 2]


def test_regret_is_the_best_ever_seen_less_the_last():
    sampler = LevelReplay(LevelReplayConfig(priority="regret", replay=1.0, start=1, staleness=0.0, temperature=0.05))
    sampler.sample(FAMILY, 2, seeded_generator("cpu", 0))
    told(sampler, numbered(1, 2), [7.0, 0.0], [4.0, 2.0])
    assert sampler.state()["priority"].tolist() == [3, 0]
    drawn = sampler.sample(FAMILY, 1, seeded_generator("cpu", 1))
    told(sampler, drawn, [1.0], [2.0])  # task 1 again: its best is still the 7 of the first time
    state = sampler.state()
    assert state["task.0"][0, 0] == 1 and state["priority"].tolist() == [5, 0] and state["best"].tolist() == [7, 2]


def test_the_lowest_priority_makes_room_and_news_go_before_equals():
    sampler = LevelReplay(LevelReplayConfig(capacity=3, replay=0.0))
    for numbers, after in (((1, 2, 3), [1.0, 5.0, 3.0]), ((4, 5), [4.0, 3.0])):
        sampler.sample(FAMILY, len(numbers), seeded_generator("cpu", 0))
        told(sampler, numbered(*numbers), [0.0] * len(numbers), after)
    assert sampler.state()["task.0"][:, 0].tolist() == [2, 4, 5]


def test_stored_scores_cannot_be_written_through_what_is_handed_out():
    """A peer masks scores with -inf through a view of the stored array, and never replays those tasks again."""
    sampler = LevelReplay(LevelReplayConfig(start=1, replay=1.0))
    tasks = sampler.sample(FAMILY, 4, seeded_generator("cpu", 0))
    scores = torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [0.0, 4.0]])
    sampler.observe(tasks, scores)
    before = {key: x.clone() for key, x in sampler.state().items()}
    scores.fill_(-torch.inf)
    tasks.goal.fill_(torch.nan)
    sampler.probabilities().fill_(-torch.inf)
    sampler.sample(FAMILY, 2, seeded_generator("cpu", 1)).goal.fill_(-torch.inf)
    after = sampler.state()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert (sampler.probabilities() > 0).all()


@pytest.mark.parametrize(
    "options", [{"replay": 1.5}, {"staleness": -0.1}, {"temperature": 0.0}, {"priority": "luck"}, {"capacity": 0}]
)
def test_options_are_checked(options):
    with pytest.raises(ValueError, match="level_replay: " + next(iter(options))):
        ml.make_sampler("level_replay", **options)
