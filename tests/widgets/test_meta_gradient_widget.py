"""The estimators' explorer of chapter 06, driven through its values."""

import time

import numpy as np

from metarl_lab.widgets.meta_gradient import EXPECTED, FINITE, estimator_explorer

NAMES, HORIZONS, SIZES, ALPHAS = ["one", "two"], [2, 3], [1, 2, 4], [0.5, 1.0, 1.5]


def explorer():
    rng = np.random.default_rng(0)
    shape = (2, 3, 3)
    grid = {
        "mean": rng.normal(size=(*shape, 2)).round(1),
        "spread": rng.random((*shape, 2)).round(1),
        "expected": np.full((2, 3), 0.5),
        "finite": np.full(shape, -0.5),
    }
    return estimator_explorer(NAMES, HORIZONS, SIZES, ALPHAS, grid, "06 test"), grid


def test_every_control_changes_the_picture_and_the_words():
    made, grid = explorer()
    seen, said = [made.picture], [made.alt_text]
    for key, value in (("size", 4), ("alpha", 0.5), ("horizon", 3), ("target", FINITE)):
        made.controls[key].value = value
        seen.append(made.picture)
        said.append(made.alt_text)
    assert len(set(seen)) == len(set(said)) == 5
    assert made._status.value == ""
    bias, spread = grid["mean"][1, 2, 0] + 0.5, grid["spread"][1, 2, 0]
    assert f"one {bias[0] + 0.0:+.2f}, {spread[0]:.2f}" in made.alt_text and "exact -0.50" in made.alt_text


def test_a_browsers_nearly_equal_step_size_is_found_and_the_start_is_in_the_middle():
    made, _ = explorer()
    assert made.values == {"size": 2, "alpha": 1.0, "horizon": 2, "target": EXPECTED}
    made.controls["alpha"].value = 1.0 + 1e-12
    assert made._status.value == ""


def test_it_draws_within_the_time_of_a_slider_move():
    made, _ = explorer()
    spent = []
    for horizon in (3, 2, 3):
        start = time.process_time()
        made.controls["horizon"].value = horizon
        made.controls["size"].value = 1 + 3 * (horizon == 3)
        spent.append((time.process_time() - start) / 2)
    assert min(spent) < 1.0, "a look-up and a drawing, no training"
