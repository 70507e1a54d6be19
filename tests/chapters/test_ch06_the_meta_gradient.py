"""Chapter 06: its figures and its widget."""

import time

import numpy as np

from metarl_lab.chapters.ch06_the_meta_gradient.figures import estimate_bars, log_lines, promises
from metarl_lab.chapters.ch06_the_meta_gradient.widget import EXPECTED, FINITE, estimator_explorer

X = np.array([1.0, 2.0, 4.0])


def test_log_lines_draw_sizes_on_logarithmic_axes_and_one_look_per_name():
    panels = {"bias": {"a": -0.1 / X, "none": 0 * X, "b": 0.2 / X}, "spread": {"b": 0.3 / X, "none": 0.4 / X}}
    figure = log_lines(X, panels, "episodes", {"slope -1": -1.0})
    left, right = figure.axes
    assert {(ax.get_xscale(), ax.get_yscale()) for ax in (left, right)} == {("log", "log")}
    drawn = [{line.get_label(): line for line in ax.lines} for ax in (left, right)]
    np.testing.assert_allclose(drawn[0]["a"].get_ydata(), 0.1 / X)
    assert "none" not in drawn[0] and "none" in drawn[1], "zero has no place on a logarithmic axis"
    assert drawn[0]["b"].get_color() == drawn[1]["b"].get_color()
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["a", "none", "b"]
    guide = next(line for line in left.lines if line.get_label() not in panels["bias"]).get_ydata()
    np.testing.assert_allclose(guide[1:] / guide[:-1], 0.5)
    assert all(ax.get_xlabel() == "episodes" and ax.get_ylabel() for ax in (left, right))


def test_estimate_bars_run_from_the_truth_to_each_mean():
    mean, spread = np.array([0.1, -0.2]), np.array([0.05, 0.3])
    left, right = estimate_bars(["one", "two"], mean, spread, 0.06, (-0.3, 0.2, 0.4)).axes
    for bar, m in zip(left.patches, mean, strict=True):
        ends = {round(bar.get_x(), 9), round(bar.get_x() + bar.get_width(), 9)}
        assert ends == {0.06, round(m, 9)}
    np.testing.assert_allclose([bar.get_width() for bar in right.patches], spread)
    assert [t.get_text() for t in right.texts] == ["0.050  (bias +0.040)", "0.300  (bias -0.260)"]
    assert [t.get_text() for t in left.get_yticklabels()] == ["one", "two"]
    assert left.get_xlim() == (-0.3, 0.2) and "+0.060" in left.get_title()


def test_promises_stand_beside_the_truth():
    said, true = {"a": np.array([0, 0.1, 0.2])}, {"a": np.array([0, 0.02, -0.01])}
    figure = promises(said, true).get_figure()
    for ax, curves in zip(figure.axes, (said, true), strict=True):
        assert any(np.allclose(line.get_ydata(), curves["a"]) for line in ax.lines if len(line.get_ydata()) == 3)
        assert "steps" in ax.get_xlabel()
    assert "points" in figure.axes[0].get_ylabel()


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
