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


@pytest.mark.parametrize("name", ["maml", "rl2", "pearl", "varibad"])
def test_an_agent_of_other_sizes_is_refused(name: str) -> None:
    small, large = (ml.make_family("bernoulli_bandit", arms=arms) for arms in (3, 8))
    for made_for, played in ((small, large), (large, small)):
        with pytest.raises(ValueError, match=f"this {name} was made for .* make one for it with make_learner"):
            ml.evaluate(ml.make_learner(name, made_for), played, n_tasks=2)
    with pytest.raises(ValueError, match=r"this thompson was made for .* with make_reference\('thompson', family\)"):
        ml.evaluate(ml.make_reference("thompson", small), large, n_tasks=2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    family = ml.make_family("bernoulli_bandit")
    learner = ml.make_learner("rl2", family, hidden=8)
    name, weight = list(learner.named_parameters())[1]
    weight.data.flatten()[-1] = value
    with pytest.raises(ValueError, match=f"{name} of this rl2 is not finite"):
        ml.evaluate(learner, family, n_tasks=2)


def test_given_tasks_are_those_of_the_family_and_the_curve_says_given() -> None:
    family, other = ml.make_family("bernoulli_bandit"), ml.make_family("point_navigation")
    random = ml.make_reference("random", family)
    tasks = family.sample_tasks(3, "train", torch.Generator().manual_seed(0))
    curve = ml.evaluate(random, family, tasks=tasks)
    assert curve.split == "given" and "3 given tasks" in repr(curve)
    with pytest.raises(ValueError, match="tasks are .*, those of bernoulli_bandit are .*; give these"):
        ml.evaluate(random, family, tasks=other.sample_tasks(3, "train", torch.Generator().manual_seed(0)))
    with pytest.raises(ValueError, match="there are no tasks; give one at least"):
        ml.evaluate(random, family, tasks=type(tasks)(*(x[:0] for x in tasks)))
