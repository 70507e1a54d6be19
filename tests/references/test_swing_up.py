"""The classical swing-up, beside dynamic programming on a grid."""

from __future__ import annotations

import pytest
from pendulum_grid import expected_return

import metarl_lab as ml
from metarl_lab.rollout import seeded_generator
from metarl_lab.tasks.pendulum import Pendulum

FAMILY = Pendulum()


def test_the_grid_has_converged_and_the_controller_is_near_it() -> None:
    coarse, middle, fine = (expected_return(FAMILY.standard_tasks(), n, n + 1).item() for n in (32, 64, 128))
    assert 0 < fine - middle < 0.5 * (middle - coarse)
    best = fine + (fine - middle) / 2  # where it goes when each halving of the spacing leaves a third of the error
    assert best == pytest.approx(-138.4, abs=1)
    curve = ml.evaluate(ml.make_reference("swing_up", FAMILY), FAMILY, tasks=FAMILY.standard_tasks(40), episodes=60)
    assert best * 1.15 < curve.mean[0] < best


@pytest.mark.parametrize("split", ["test", "ood"])
def test_it_swings_up_all_physics(split: str) -> None:
    tasks = FAMILY.sample_tasks(15, split, seeded_generator("cpu", 1))
    curve = ml.evaluate(ml.make_reference("swing_up", FAMILY), FAMILY, tasks=tasks, episodes=100)
    best = expected_return(tasks, 48, 49).mean().item()
    assert curve.mean[0] == pytest.approx(best, rel=0.15)
    assert curve.per_task.min() > -700


def test_other_families_are_refused() -> None:
    with pytest.raises(ValueError, match="give a family 'pendulum'"):
        ml.make_reference("swing_up", ml.make_family("cartpole"))
