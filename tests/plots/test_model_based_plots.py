"""Figures of chapter 13 draw the numbers that they are given."""

import numpy as np

from metarl_lab.plots import model_based as plots


def band(mean):
    mean = np.asarray(mean, dtype=float)
    return mean, mean - 1, mean + 1


def labelled(ax):
    return {line.get_label(): line for line in ax.lines}


def test_error_growth_counts_imagined_steps_from_one():
    ax = plots.error_growth({"pooled": np.array([0.1, 0.4])}, "error (m)")
    np.testing.assert_allclose(labelled(ax)["pooled"].get_xydata(), [[1, 0.1], [2, 0.4]])
    assert ax.get_ylim()[0] == 0 and ax.get_ylabel() == "error (m)"


def test_around_failure_has_bands_for_learners_and_lines_for_anchors():
    steps = [-1, 0, 1]
    figure = plots.around_failure(
        steps, {"none": band([1, 2, 3])}, {"none": band([3, 2, 1])}, {"true model": np.array([3.0, 2.5, 2.5])}
    )
    left, right = figure.axes
    np.testing.assert_allclose(labelled(left)["none"].get_ydata(), [1, 2, 3])
    np.testing.assert_allclose(labelled(right)["none"].get_ydata(), [3, 2, 1])
    np.testing.assert_allclose(labelled(right)["true model"].get_ydata(), [3, 2.5, 2.5])
    assert [len(ax.collections) for ax in (left, right)] == [1, 1] and "true model" not in labelled(left)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["none", "true model"]


def test_paths_end_where_asked():
    true = np.stack([np.arange(5.0), np.zeros(5)], 1)
    figure = plots.path_and_error(true, {"imagined": true + 1}, {"mean": np.arange(4.0)}, ahead=2)
    left, right = figure.axes
    np.testing.assert_allclose(labelled(left)["walked"].get_xydata(), true[:3])
    np.testing.assert_allclose(labelled(left)["imagined"].get_xydata(), true[:3] + 1)
    assert right.lines[-1].get_xdata()[0] == 2 and len(labelled(right)["mean"].get_xdata()) == 4


def test_a_return_never_reached_is_an_open_mark_where_the_run_ended():
    rows = {"leg": {"a": ([100, np.inf], [500, 800]), "b": ([10, 20], [50, 50])}}
    (ax,) = plots.steps_needed(rows, {"leg": "return 3"}).axes
    reached, never = ax.lines[:2]
    assert reached.get_xdata().tolist() == [100] and never.get_xdata().tolist() == [800]
    assert never.get_markerfacecolor() == "white" and ax.get_title() == "return 3" and ax.get_xscale() == "log"


def test_learning_curves_have_anchors():
    ax = plots.learning({"grbal": (np.array([1000, 2000]), band([1, 2]))}, {"random": -200.0})
    np.testing.assert_allclose(labelled(ax)["grbal"].get_xydata(), [[1000, 1], [2000, 2]])
    assert [t.get_text() for t in ax.texts] == ["random"]
