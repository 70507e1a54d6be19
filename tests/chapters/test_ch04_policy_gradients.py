"""Chapter 04: its figures and its widget."""

import time

import numpy as np
import pytest

from metarl_lab.chapters.ch04_policy_gradients.figures import error_by_lambda, gradient_cloud
from metarl_lab.chapters.ch04_policy_gradients.widget import lambda_explorer, noise_explorer


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


EXACT = np.array([0.0, 0.0, 3.0, -4.0, 0.0])  # length 5
BASELINES = ("whole return", "to go")


def table():
    """Estimates exact * discount, +- a spread in one component that falls with the batch."""
    spread = np.zeros((400, 5))
    spread[::2, 2], spread[1::2, 2] = 10.0, -10.0
    return {
        (n, name, gamma): EXACT * gamma + spread / n * (1 if name == "to go" else 4)
        for n in (2, 16)
        for name in BASELINES
        for gamma in (0.5, 0.75, 1.0)
    }


def noise():
    return noise_explorer(table(), EXACT)


def test_noise_says_bias_noise_and_how_many_batches_point_uphill():
    explorer = noise()
    assert explorer.values == {"discount": 1.0, "baseline": "whole return", "batch": 16}
    assert "bias 0%, noise 50%" in explorer.alt_text and "100% of batches" in explorer.alt_text
    explorer.controls["discount"].value = 0.5
    assert "bias 50%" in explorer.alt_text
    explorer.controls["batch"].value = 2
    assert "noise 401%" in explorer.alt_text and "50% of batches" in explorer.alt_text


def test_noise_draws_another_picture_for_each_control():
    explorer = noise()
    seen = {explorer.picture}
    for key, value in (("discount", 0.75), ("baseline", "to go"), ("batch", 2)):
        explorer.controls[key].value = value
        seen.add(explorer.picture)
    assert len(seen) == 4 and explorer._status.value == ""


def test_noise_survives_a_slider_value_that_is_nearly_on_the_grid():
    explorer = noise()
    explorer.controls["discount"].value = 0.75 + 1e-12
    assert explorer._status.value == "" and "bias 25%" in explorer.alt_text


def test_lambda_weighs_bias_against_noise_by_the_batch():
    lams, bias, spread = [0.0, 0.5, 1.0], np.array([0.8, 0.3, 0.0]), np.array([0.5, 1.0, 5.0])
    explorer = lambda_explorer(lams, {"wrong": (bias, spread), "exact": (0 * bias, spread)})
    assert "is at lambda 0.5" in explorer.alt_text
    percent = 100 * (0.3**2 + 1.0 / 20) ** 0.5
    assert f"the smallest error, {percent:.0f}%" in explorer.alt_text
    before = explorer.picture
    explorer.controls["batch"].value = 200
    assert explorer.picture != before
    explorer.controls["critic"].value = "exact"
    assert "is at lambda 0;" in explorer.alt_text or explorer.alt_text.endswith("is at lambda 0")
    assert explorer._status.value == ""


@pytest.mark.parametrize("make", [noise, lambda: lambda_explorer([0.0, 1.0], {"a": (np.ones(2), np.ones(2))})])
def test_a_move_is_a_look_up_and_a_drawing(make):
    explorer, spent = make(), []
    key, values = ("discount", (0.5, 0.75, 1.0)) if "discount" in explorer.controls else ("batch", (5, 50, 100))
    for value in values:
        start = time.process_time()
        explorer.controls[key].value = value
        spent.append(time.process_time() - start)
    assert min(spent) < 1.0, "no training"
