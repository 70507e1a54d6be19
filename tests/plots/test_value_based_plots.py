"""Figures of chapter 11 draw the numbers that they are given."""

import numpy as np
import pytest

from metarl_lab.plots import value_based as plots


def test_a_value_map_shows_the_best_value_the_best_action_and_the_goal():
    q = np.zeros((9, 5))
    q[:, 0] = np.arange(9.0)  # staying is best, and worth the cell's number
    q[0, 3] = 0.5  # but from the corner one goes down
    figure = plots.value_maps({"here": q, "exact": q + 1}, 5, -1.0, 10.0)
    first, second, bar = figure.axes
    np.testing.assert_allclose(first.images[0].get_array(), [[0.5, 1, 2], [3, 4, 5], [6, 7, 8]])
    assert first.images[0].get_clim() == second.images[0].get_clim() == (-1, 10) and "return" in bar.get_ylabel()
    arrows = [t for t in first.texts if t.arrow_patch is not None]
    assert len(arrows) == 1 and arrows[0].xy[1] > arrows[0].xyann[1] and arrows[0].xy[0] == arrows[0].xyann[0] == 0
    stars = [line for line in first.lines if line.get_marker() == "*"]
    assert len(stars) == 1 and np.round(stars[0].get_xydata()[0]).tolist() == [2, 1]  # row 1, column 2
    assert [t.get_text() for t in first.texts if t.get_text()][:2] == ["0.5", "1.0"]
    with pytest.raises(ValueError, match="no tables"):
        plots.value_maps({}, 1, 0, 1)


def test_exploring_draws_every_curve_between_its_anchors():
    ax = plots.exploring([0.0, 1.0], {"before": np.array([1.0, -1.0])}, {"oracle": 12.0}, "share of random actions")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 1], [1, -1]])
    assert [t.get_text() for t in ax.texts] == ["oracle"] and ax.get_xlabel() == "share of random actions"
