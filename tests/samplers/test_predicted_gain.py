"""Predicted gain: the choice by hand, and that it finds the tasks that pay, those that move, and no stale ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import metarl_lab as ml
from metarl_lab.nets.gain_model import Prediction
from metarl_lab.rollout import seeded_generator
from metarl_lab.samplers.predicted_gain import PredictedGain
from metarl_lab.tasks.uneven_navigation import UnevenTasks

FAMILY = ml.make_family("uneven_navigation")


def made(**options: Any) -> PredictedGain:
    return ml.make_sampler("predicted_gain", **options)  # type: ignore[return-value]


def school(sampler: PredictedGain, scores: Any, iterations: int = 30, n: int = 16) -> list[UnevenTasks]:
    """Draw and tell, ``scores(goal, iteration)`` (T, B); what was drawn."""
    drawn = []
    for i in range(iterations):
        drawn.append(sampler.sample(FAMILY, n, seeded_generator("cpu", 2, i, 1)))
        sampler.observe(drawn[-1], scores(drawn[-1].goal, i))
    return drawn


def right(tasks: list[UnevenTasks]) -> float:
    """Share of goals in the right half of the plane."""
    return torch.cat([t.goal[:, 0] > 0 for t in tasks]).float().mean().item()


def test_the_choice_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = made(bonus=2.0, temperature=0.5, explore=0.3)
    before, after = torch.tensor([1.0, 1.0, 1.0]), torch.tensor([1.0, 3.0, 0.0])
    doubt = torch.tensor([0.5, 0.0, 1.0])
    monkeypatch.setattr(sampler, "predict", lambda _: Prediction(before, after, doubt, doubt))
    q = sampler.probabilities(UnevenTasks(torch.zeros(3, 2)))
    wanted = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)  # gain 0, 2, -1, plus twice the doubt
    weight = (wanted / (0.5 * wanted.std(correction=0))).exp()
    torch.testing.assert_close(q, 0.7 * weight / weight.sum() + 0.1, rtol=1e-5, atol=1e-7)


def test_it_finds_the_tasks_with_a_gain() -> None:
    def scores(goal: torch.Tensor, i: int) -> torch.Tensor:
        # high and low returns everywhere, a gain in the right half only
        return torch.stack((3 * goal[:, 1], 3 * goal[:, 1] + 2.0 * (goal[:, 0] > 0)), 1)

    drawn = school(made(explore=0.2), scores)
    assert right(drawn[-15:]) > 0.8  # exploration alone gives the left half a tenth
    assert right(school(made(explore=1.0), scores)[-15:]) == pytest.approx(0.5, abs=0.1)


def test_what_it_says_is_what_there_is() -> None:
    sampler = made(explore=1.0)
    school(sampler, lambda goal, i: torch.stack((goal[:, 1], goal[:, 1] + goal[:, 0]), 1), 40)
    tasks = FAMILY.sample_tasks(200, "test", seeded_generator("cpu", 9))
    now = sampler.predict(tasks)
    assert (now.before - tasks.goal[:, 1]).abs().mean() < 0.4
    assert (now.after - tasks.goal.sum(1)).abs().mean() < 0.6


def test_it_says_what_is_not_what_was() -> None:
    """Every task's return rises by 0.2 an iteration: 6 at the last, 3 in the mean of what was heard."""
    sampler = made(explore=1.0)
    school(sampler, lambda goal, i: torch.stack((0.2 * i + 0 * goal[:, 0], 0.2 * i + goal[:, 1]), 1), 31)
    now = sampler.predict(FAMILY.sample_tasks(200, "test", seeded_generator("cpu", 9)))
    assert now.before.mean().item() == pytest.approx(6, abs=0.8)


def test_progress_finds_what_moves_up_or_down_from_one_score_a_task() -> None:
    def scores(goal: torch.Tensor, i: int) -> torch.Tensor:
        # above: rising, to the lower right: falling, to the lower left: as it was
        rate = torch.where(goal[:, 1] > 0, 0.1, torch.where(goal[:, 0] > 0, -0.1, 0.0))
        return (rate * i).unsqueeze(1)

    drawn = school(made(signal="progress", bonus=0.0, explore=0.1), scores, 40)
    goals = torch.cat([t.goal for t in drawn[-15:]])
    still = ((goals[:, 1] < 0) & (goals[:, 0] < 0)).float().mean().item()
    falling = ((goals[:, 1] < 0) & (goals[:, 0] > 0)).float().mean().item()
    assert still < 0.06 and falling > 0.08, (still, falling)  # uniform: a quarter each


def test_the_window_forgets() -> None:
    """The gain moves from the left half to the right one: the choice follows."""
    sampler = made(window=160, explore=0.3)
    drawn = school(
        sampler, lambda goal, i: torch.stack((0 * goal[:, 0], (goal[:, 0] * (1 if i >= 25 else -1) > 0) * 2.0), 1), 50
    )
    assert len(sampler.state()["x"]) == 160
    assert right(drawn[15:25]) < 0.3 and right(drawn[-10:]) > 0.7


def test_until_the_start_it_is_uniform() -> None:
    sampler = made(start=33, pool=64)
    drawn = school(sampler, lambda goal, i: goal, 3)
    for i, tasks in enumerate(drawn):
        pool = FAMILY.sample_tasks(64, "train", seeded_generator("cpu", 2, i, 1))
        assert torch.equal(tasks.goal, pool.goal[:16])
    later = sampler.sample(FAMILY, 16, seeded_generator("cpu", 2, 3, 1))
    assert not torch.equal(later.goal, FAMILY.sample_tasks(64, "train", seeded_generator("cpu", 2, 3, 1)).goal[:16])


def test_before_it_has_heard_it_says_so() -> None:
    with pytest.raises(ValueError, match="has heard of no task yet"):
        made().predict(FAMILY.sample_tasks(2, "train", seeded_generator("cpu", 0)))
    with pytest.raises(ValueError, match="observe was called before sample"):
        made().observe(FAMILY.sample_tasks(2, "train", seeded_generator("cpu", 0)), torch.zeros(2, 2))
    sampler = made()
    tasks = sampler.sample(FAMILY, 2, seeded_generator("cpu", 0))
    with pytest.raises(ValueError, match=r"must be \(T, B\)"):
        sampler.observe(tasks, torch.zeros(2))


@pytest.mark.parametrize("options", [{"explore": 1.5}, {"temperature": 0.0}, {"signal": "luck"}, {"members": 0}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="predicted_gain: " + next(iter(options))):
        made(**options)
