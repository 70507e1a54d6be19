"""The bandit with one arm that tells: its pay-offs by hand."""

from __future__ import annotations

import pytest
import torch

import metarl_lab as ml
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.informative_bandit import InformativeBandit

FAMILY = InformativeBandit()


def pays(tasks: object, arm: int, n: int) -> list[float]:
    """What one arm pays in each of n tasks."""
    state = FAMILY.reset(tasks, torch.zeros(n, 1, 0))  # type: ignore[arg-type]
    _, reward, _ = FAMILY.step(tasks, state, torch.full((n, 1), arm), torch.zeros(n, 1, 0))  # type: ignore[arg-type]
    return reward[:, 0].tolist()


def test_every_pay_off_of_the_ten_tasks() -> None:
    tasks = FAMILY.all_tasks()
    assert pays(tasks, 10, 10) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    for arm in range(10):
        assert pays(tasks, arm, 10) == [5.0 if target == arm else 1.0 for target in range(10)]


@pytest.mark.parametrize("split, ahead", [("train", 0), ("test", 0), ("ood", 1)])
def test_arm_eleven_tells_the_target_and_out_of_distribution_the_next(split: str, ahead: int) -> None:
    tasks = FAMILY.sample_tasks(2000, split, seeded_generator("cpu", 0))
    assert tasks.target.unique().tolist() == list(range(10))
    named = (10 * tasks.told).round().long() - 1
    assert torch.equal(named, (tasks.target + ahead) % 10)


def test_anchors() -> None:
    tasks = FAMILY.all_tasks()
    best = ml.evaluate(ml.make_reference("oracle", FAMILY), FAMILY, tasks=tasks).per_task
    assert (best == 25).all() and (FAMILY.oracle(tasks) == 25).all()
    wild = ml.evaluate(ml.make_reference("random", FAMILY), FAMILY, n_tasks=4000).per_task[:, 0]
    assert wild.mean() == pytest.approx(5 * (9 + 5 + 0.55) / 11, abs=3 * wild.std() / 4000**0.5)


def test_too_few_arms_are_refused() -> None:
    with pytest.raises(ValueError, match="arms=2 is not allowed; give at least 3"):
        InformativeBandit(arms=2)
