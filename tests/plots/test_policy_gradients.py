"""Figures of chapter 04: what is handed in is drawn, and nothing is computed."""

import numpy as np

from metarl_lab.plots.policy_gradients import error_by_lambda, gradient_cloud


def test_the_cloud_draws_dots_mean_and_exact_and_says_how_many_lie_outside():
    estimates = np.array([[0.0, 1.0], [-2.0, -3.0], [9.0, 0.0], [0.0, -7.0]])
    ax = gradient_cloud(
        estimates, np.array([0.5, 0.25]), np.array([-1.0, 2.0]), title="a title", labels=("x, points", "y, points")
    )
    drawn = {line.get_label(): line.get_xydata() for line in ax.lines}
    np.testing.assert_allclose(drawn["one batch (2 of 4 outside)"], estimates[:2])
    np.testing.assert_allclose(drawn["exact gradient"], [[-1.0, 2.0]])
    np.testing.assert_allclose(drawn["mean of the batches"], [[0.5, 0.25]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x, points", "y, points")
    assert ax.get_xlim() == ax.get_ylim() == (-6.0, 4.0), "the same for every setting: one sees the cloud shrink"


def test_no_text_of_the_cloud_is_cut_off():
    ax = gradient_cloud(
        np.zeros((600, 2)),
        np.zeros(2),
        np.ones(2),
        title="bias 100%, noise 1000% of the gradient's length\nuphill: 100% of batches",
        labels=("dJ/d theta(tilt 0), points", "dJ/d theta(tilt +1), points"),
    )
    figure = ax.get_figure()
    figure.draw_without_rendering()  # lays out
    page = figure.bbox
    for part in (ax.title, ax._left_title, ax.get_legend(), ax.xaxis.label, ax.yaxis.label):
        box = part.get_window_extent()
        assert box.x0 >= page.x0 and box.x1 <= page.x1 and box.y0 >= page.y0 and box.y1 <= page.y1, part


def test_error_by_lambda_draws_each_part_and_marks_the_best():
    parts = {"bias": np.array([80.0, 40.0, 0.0]), "noise": np.array([10.0, 20.0, 60.0])}
    ax = error_by_lambda([0.0, 0.5, 1.0], parts, best=(0.5, 44.7))
    drawn = {line.get_label(): line for line in ax.lines}
    for name, values in parts.items():
        np.testing.assert_allclose(drawn[name].get_ydata(), values)
    np.testing.assert_allclose(drawn["smallest error"].get_xydata(), [[0.5, 44.7]])
    assert "a zero gradient" in [text.get_text() for text in ax.texts]
    assert len({drawn[name].get_linestyle() for name in parts}) == 2, "told apart without colour"
    assert ax.get_xlabel() and "%" in ax.get_ylabel()
