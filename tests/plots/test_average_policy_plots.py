"""Figures of chapter 15 draw the numbers that they are given."""

import numpy as np
import pytest

from metarl_lab.plots import average_policy as plots


def test_averages_draw_every_bar_and_mark_the_candidate_and_the_minima():
    policies = {"A": np.array([0.7, 0.3]), "B": np.array([0.2, 0.8]), "candidate": np.array([0.45, 0.55])}
    place = np.array([0.0, 0.5, 1.0])
    curves = {"forward": np.array([3.0, 2.0, 1.0]), "reverse": np.array([1.0, 2.0, 3.0])}
    left, right = plots.averages(["left", "right"], policies, place, curves, 1).axes
    assert sorted(bar.get_height() for bar in left.patches) == [0.2, 0.3, 0.45, 0.55, 0.7, 0.8]
    stars = [(*line.get_xdata(), *line.get_ydata()) for line in right.lines if line.get_marker() == "*"]
    assert stars == [(1.0, 1.0), (0.0, 1.0)]
    here = [line.get_xdata()[0] for line in right.lines if line.get_marker() == "o" and line.get_color() == "black"]
    assert here == [0.5, 0.5]
    assert [t.get_text() for t in left.get_legend().get_texts()] == list(policies)


def test_policy_maps_write_each_probability_where_it_belongs():
    policy = np.array([[0.1, 0.9], [0.75, 0.25], [0.5, 0.5]])
    figure = plots.policy_maps({"a": policy, "b": 1 - policy}, ["x", "y", "z"], ["up", "down"])
    shown = {t.get_position(): t.get_text() for t in figure.axes[0].texts}
    assert shown[(1, 0)] == "0.90" and shown[(0, 1)] == "0.75"
    assert [ax.get_title() for ax in figure.axes[:2]] == ["a", "b"]
    np.testing.assert_allclose(figure.axes[1].images[0].get_array(), 1 - policy)


def test_panels_have_their_own_anchors_and_one_legend():
    band = (np.array([1.0, 2.0]), np.array([0.5, 1.5]), np.array([1.5, 2.5]))
    curves = {"one": {"a": (np.arange(2), band)}, "two": {"a": (np.arange(2), band), "b": (np.arange(2), band)}}
    figure = plots.panels(curves, {"one": {"random": 0.0}, "two": {"oracle": 3.0}}, "steps", ["return"])
    left, right = figure.axes
    assert [t.get_text() for t in left.texts] == ["random"] and [t.get_text() for t in right.texts] == ["oracle"]
    np.testing.assert_allclose(left.lines[0].get_ydata(), band[0])
    assert (left.get_ylabel(), right.get_ylabel()) == ("return", "")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["a", "b"]
    with pytest.raises(ValueError, match="anchors"):
        plots.panels(curves, {"one": {"random": 0.0}}, "steps", ["return"])
