"""Adaptation curves: anchors where theory puts them, the same tasks for every agent, honest intervals."""

import numpy as np
import pytest
import torch
from scipy import stats

import metarl_lab as ml
from metarl_lab.ops.statistics import mean_interval
from metarl_lab.rollout import draw_noise


def test_random_and_oracle_are_where_theory_puts_them() -> None:
    """Uniform arms pay 1/2 on average; the best of k pays k / (k + 1)."""
    family = ml.make_family("bernoulli_bandit", arms=4, horizon=10)
    for name, exact in (("random", 5.0), ("oracle", 10 * 4 / 5)):
        curve = ml.evaluate(ml.make_reference(name, family), family, n_tasks=20_000, batches=2)
        error = curve.per_task.std(0) / np.sqrt(20_000)
        assert (np.abs(curve.mean - exact) < 4 * error).all()
        assert (curve.low < curve.mean).all() and (curve.mean < curve.high).all()


def test_the_interval_is_students() -> None:
    x = np.array([[1.0], [2.0], [6.0]])
    mean, low, high = mean_interval(x)
    exact = stats.ttest_1samp(x[:, 0], 0).confidence_interval(0.95)
    np.testing.assert_allclose([mean[0], low[0], high[0]], [3.0, exact.low, exact.high])


def test_same_seed_same_tasks_and_numbers_for_everybody() -> None:
    family = ml.make_family("bernoulli_bandit", arms=3, horizon=5)
    oracle, random = (ml.make_reference(n, family) for n in ("oracle", "random"))
    first, second = (ml.evaluate(oracle, family, n_tasks=50, seed=3) for _ in range(2))
    assert (first.per_task == second.per_task).all()
    assert (first.per_task != ml.evaluate(oracle, family, n_tasks=50, seed=4).per_task).any()
    more = ml.evaluate(random, family, n_tasks=80, seed=3).per_task[:50]
    tasks = family.sample_tasks(5, "test", torch.Generator().manual_seed(0))
    given = ml.evaluate(random, family, tasks=tasks, seed=3)
    assert given.per_task.shape == (5, 1)
    assert more.shape == (50, 1)


def test_noise_of_a_task_does_not_depend_on_how_many_tasks_there_are() -> None:
    spec = ml.make_family("bernoulli_bandit").spec
    few, many = (draw_noise(spec, 2, (n, 2, 3), torch.Generator().manual_seed(1)) for n in (2, 40))
    assert torch.equal(few, many[:, :, :2])


def test_env_steps_count_what_was_seen_before_each_batch() -> None:
    family = ml.make_family("bernoulli_bandit", arms=3, horizon=5)
    curve = ml.evaluate(ml.make_reference("random", family), family, n_tasks=7, episodes=4, batches=3)
    assert curve.env_steps.tolist() == [0, 20, 40]


@pytest.mark.parametrize("bad", [{"n_tasks": 0}, {"episodes": -1}, {"batches": 0}, {"split": "validation"}])
def test_bad_input_is_named_before_any_work(bad: dict[str, object]) -> None:
    family = ml.make_family("bernoulli_bandit")
    word = str(next(iter(bad.values())))
    with pytest.raises(ValueError, match=word):
        ml.evaluate(ml.make_reference("random", family), family, **bad)  # type: ignore[arg-type]
