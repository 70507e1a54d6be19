"""Chapter 02: its figures and its widget."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

import metarl_lab as ml
from metarl_lab.chapters.ch02_learning_to_learn.figures import side_by_side
from metarl_lab.chapters.ch02_learning_to_learn.widget import LAST, memory_stepper, record_gradient, record_recurrent

MOMENTS = 12


def trials():
    rng = np.random.default_rng(0)
    moved = np.where(np.isin(np.arange(MOMENTS), (3, 6, 9)), 0.5, 0.0)
    captions = [f"moment {m}" for m in range(MOMENTS)]
    gradient = SimpleNamespace(
        goal=np.array([0.3, 0.2]),
        reach=1.0,
        paths=[rng.normal(0, 0.1, (5, 4, 2)) for _ in range(MOMENTS)],
        strip=rng.normal(0, 0.1, (40, MOMENTS)),
        limit=0.3,
        moved=moved,
        captions=captions,
    )
    recurrent = SimpleNamespace(
        truth=np.array([0.1, 0.9, 0.4]),
        probability=rng.dirichlet(np.ones(3), MOMENTS),
        posterior=np.tile([0.5, 0.05, 0.95], (MOMENTS, 3, 1)),
        strip=rng.uniform(-1, 1, (32, MOMENTS)),
        moved=rng.uniform(0.5, 1, MOMENTS),
        captions=captions,
    )
    return gradient, recurrent


def test_each_panel_draws_the_recorded_numbers_of_its_moment():
    gradient, recurrent = trials()
    axes = side_by_side(gradient, recurrent, 4).axes
    np.testing.assert_allclose(axes[0].lines[0].get_xydata(), gradient.paths[4][0])
    heights = [bar.get_height() for bar in axes[2].patches]
    np.testing.assert_allclose(heights, gradient.moved[:5])
    np.testing.assert_allclose([bar.get_height() for bar in axes[3].patches], recurrent.probability[4])
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in axes)


def test_moments_to_come_are_blank():
    gradient, recurrent = trials()
    image = np.ma.filled(side_by_side(gradient, recurrent, 4).axes[4].images[0].get_array(), np.nan)
    assert np.isnan(image[:, 5:]).all()
    np.testing.assert_allclose(image[:, :5], recurrent.strip[:, :5])


@pytest.fixture(scope="module")
def recorded():
    nav = ml.make_family("point_navigation", horizon=20)
    bandit = ml.make_family("bernoulli_bandit")
    maml, rl2 = ml.make_learner("maml", nav, hidden=(8,)), ml.make_learner("rl2", bandit, hidden=16)
    return record_gradient(maml, nav, 2), record_recurrent(rl2, bandit, 2)


def test_maml_moves_only_at_absorb_and_rl2_at_every_pull(recorded):
    gradient, recurrent = recorded
    for trial in gradient:
        assert set(np.flatnonzero(trial.moved)) == {3, 6, 9}
        assert all(("absorb" in trial.captions[m]) == (m in (3, 6, 9)) for m in range(LAST + 1))
    for trial in recurrent:
        assert set(np.flatnonzero(trial.moved)) == set(range(1, LAST))


def test_the_next_trial_begins_like_the_first(recorded):
    for trial in (*recorded[0], *recorded[1]):
        np.testing.assert_array_equal(trial.strip[:, 0], 0)
        np.testing.assert_array_equal(trial.strip[:, LAST], 0)
        assert len(trial.captions) == LAST + 1


def test_posterior_knows_the_pulls_before_the_moment_and_no_later_one(recorded):
    trial = recorded[1][0]
    np.testing.assert_allclose(trial.posterior[:2, :, 0], 0.5)  # nothing seen before pull 1
    np.testing.assert_allclose(trial.posterior[LAST, :, 0], 0.5)
    arm, paid = int(trial.captions[1].split("arm ")[1][0]), "which pays" in trial.captions[1]
    expected = np.full(5, 0.5)
    expected[arm] = 2 / 3 if paid else 1 / 3
    np.testing.assert_allclose(trial.posterior[2, :, 0], expected)


def test_paths_start_at_the_origin_and_grow(recorded):
    trial = recorded[0][0]
    assert [p.shape[1] for p in trial.paths] == [1, 11, 21, 21, 11, 21, 21, 11, 21, 21, 11, 1]
    assert all((p[:, 0] == 0).all() for p in trial.paths)


def test_the_slider_steps_through_the_trial(recorded):
    explorer = memory_stepper(*recorded)
    seen = {explorer.picture}
    for moment in (0, 1, 3, LAST):
        explorer.controls["moment"].value = moment
        seen.add(explorer.picture)
    explorer.controls["task"].value = 2
    assert len(seen | {explorer.picture}) == 6
    explorer.controls["task"].value, explorer.controls["moment"].value = 1, 3
    start = time.perf_counter()
    explorer.controls["moment"].value = 1  # drawn before: kept
    assert explorer.picture in seen and time.perf_counter() - start < 0.2
