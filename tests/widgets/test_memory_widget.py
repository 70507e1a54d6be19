"""The memory stepper: recorded trials are true, moments show what they say, and nothing crosses a trial."""

import time

import numpy as np
import pytest

import metarl_lab as ml
from metarl_lab.widgets.memory import LAST, memory_stepper, record_gradient, record_recurrent


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
