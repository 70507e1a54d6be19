"""MAML's meta-gradient against the exact one: the mean over every data set that adaptation can meet.

The gradient of that mean is taken by finite differences of a NumPy program (``tiny_mdp``). ``test_surrogate_bias`` has
the other exact objective, a step on the expected return itself.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_mdp import THETA, H, TinyFamily, differences, exact_objective, expected_gradient, learner_with

from metarl_lab.ops.trust_region import flatten
from metarl_lab.rollout import seeded_generator


@pytest.mark.parametrize(
    ("sizes", "baseline"), [([1, 1], "none"), ([2, 1], "none"), ([2, 2], "leave_one_out"), ([1, 1, 1], "none")]
)
def test_with_the_sampling_term_the_meta_gradient_is_exact(sizes, baseline):
    learner = learner_with(sampling_term=True, inner_steps=len(sizes) - 1, baseline=baseline)
    exact = differences(exact_objective(learner, sizes), THETA)
    assert np.abs(exact).max() > 0.05
    np.testing.assert_allclose(expected_gradient(learner, sizes), exact, atol=1e-8)


def test_wrong_versions_are_far_from_exact():
    exact = differences(exact_objective(learner_with(), [2, 1]), THETA)
    for wrong in ({}, {"first_order": True, "sampling_term": True}, {"surrogate": "dice", "sampling_term": True}):
        # no sampling term: the published estimator; dice with the term counts the sampling twice
        assert np.abs(expected_gradient(learner_with(**wrong), [2, 1]) - exact).max() > 0.03 * np.abs(exact).max(), (
            wrong
        )


def test_a_baseline_fitted_on_the_batch_that_it_scores_is_biased():
    learner = learner_with(sampling_term=True, baseline="same_batch")
    exact = differences(exact_objective(learner, [1, 2]), THETA)
    assert np.abs(expected_gradient(learner, [1, 2]) - exact).max() > 0.03 * np.abs(exact).max()


def test_first_order_gap_shrinks_in_proportion_to_the_inner_step():
    def gap(alpha: float) -> float:
        full, first = (expected_gradient(learner_with(inner_step=alpha, first_order=f), [1, 1]) for f in (False, True))
        return float(np.abs(full - first).max())

    gaps = [gap(alpha) for alpha in (0.1, 0.05, 0.025)]
    assert gaps[0] > 0.005
    np.testing.assert_allclose([gaps[1] / gaps[0], gaps[2] / gaps[1]], 0.5, atol=0.03)


def test_update_moves_along_the_exact_meta_gradient_on_average():
    """All of ``update``, acting too, in float32: the mean over draws is within its standard error."""
    learner = learner_with(sampling_term=True, outer="plain", episodes=2).float()
    learner.optimizer = torch.optim.SGD(learner.parameters(), lr=1.0)
    start = {k: p.detach().clone() for k, p in learner.state_dict().items()}
    draws = []
    for i in range(60):
        learner.load_state_dict(start)
        generator = seeded_generator("cpu", 5, i)
        learner.update(TinyFamily(), TinyFamily().sample_tasks(2000, "train", generator), generator)
        draws.append(
            H
            * flatten([learner.state_dict()[k] - start[k] for k in ("network.weight0", "network.bias0")])
            .double()
            .numpy()
        )
    mean, error = np.mean(draws, 0), np.std(draws, 0) / np.sqrt(len(draws))
    exact = differences(exact_objective(learner_with(), [2, 2]), THETA)
    assert error.max() < 0.03 * np.abs(exact).max()
    assert (np.abs(mean - exact) < 4 * error).all(), (mean, exact, error)
