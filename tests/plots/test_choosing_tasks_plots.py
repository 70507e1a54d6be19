"""Figures of chapter 14 draw the numbers that they are given."""

import numpy as np
import pytest

from metarl_lab.plots import choosing_tasks as plots

SIDE = np.linspace(-3, 3, 7)


def test_the_task_space_counts_each_kind():
    goals = np.array([[0.1, 0.0], [1.0, 1.0], [4.0, 0.0], [0.0, 4.5]])
    ax = plots.task_space(goals, np.array([0, 1, 2, 2]), ("easy", "hard", "impossible"), {"reach": 2.5})
    labels = [t.get_text() for t in ax.get_figure().legends[0].get_texts()]
    assert labels == ["easy (1 of 4)", "hard (1 of 4)", "impossible (2 of 4)"]
    np.testing.assert_allclose(ax.collections[2].get_offsets(), goals[2:])
    assert [p.radius for p in ax.patches] == [2.5]


def test_maps_run_upwards_share_one_scale_and_count_the_tasks_outside():
    predicted = np.arange(49.0).reshape(7, 7)
    figure = plots.gain_maps(SIDE, predicted, predicted - 5, np.array([[0.0, 1.0], [9.0, 0.0]]), {"reach": 2.5}, 4.0)
    left, right, bar = figure.axes
    # imshow's rows are the vertical axis: the second index of the map
    np.testing.assert_allclose(left.images[0].get_array(), predicted.T)
    assert left.images[0].get_clim() == right.images[0].get_clim() == (-4, 4)
    assert left.images[0].get_extent() == [-3.5, 3.5, -3.5, 3.5], "cells are centred on their goals"
    assert "1 of 2 tasks" in left.get_title() and "after minus before" in bar.get_ylabel()
    np.testing.assert_allclose(left.lines[0].get_xydata(), [[0, 1]])


def test_calibration_tells_inside_from_outside():
    gain, std = np.array([0.0, 1.0, 2.0]), np.array([0.1, 1.0, 0.5])
    ax = plots.calibration(gain, std, np.array([0.1, 3.0, 2.2]), width=1.645)
    found = {line.get_label(): line.get_xydata() for line in ax.lines}
    np.testing.assert_allclose(found["inside (2)"], [[0, 0.1], [2, 2.2]])
    np.testing.assert_allclose(found["outside (1)"], [[1, 3]])


def test_returns_have_one_look_a_sampler_and_need_anchors():
    band = (np.array([0.0, 1.0]), np.array([-1.0, 0.0]), np.array([1.0, 2.0]))
    steps = np.array([0.0, 2000.0])
    panels = {
        "a": ({"uniform": (steps, band), "chosen": (steps, band)}, {"oracle": 3.0}),
        "b": ({"chosen": (steps, band)}, {"oracle": 2.0}),
    }
    first, second = plots.returns(panels).axes
    colours = {line.get_label(): line.get_color() for line in first.lines[:2]}
    assert second.lines[0].get_color() == colours["chosen"] != colours["uniform"]
    np.testing.assert_allclose(first.lines[0].get_xdata(), [0, 2])
    with pytest.raises(ValueError, match="without anchors"):
        plots.returns({"a": ({}, {})})
