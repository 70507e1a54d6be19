"""Figures of chapter 08 draw the numbers that they are given."""

import numpy as np
import pytest

from metarl_lab.plots import rl2 as plots
from metarl_lab.widgets.rl2 import View


def test_training_draws_the_curve_between_anchors() -> None:
    ax = plots.training({"RL2": (np.array([10, 20]), np.array([5.0, 5.9]))}, {"random": 5.0, "Bayes": 6.02})
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[10, 5.0], [20, 5.9]])
    assert [t.get_text() for t in ax.texts] == ["random", "Bayes"]
    with pytest.raises(ValueError, match="no anchors"):
        plots.training({}, {})


def test_probe_bars_have_one_for_each_source_and_quantity() -> None:
    ax = plots.probe_bars({"trained": [0.9, 0.8], "untrained": [0.5, 0.4]}, ["mean", "pulls"])
    assert [bar.get_height() for bar in ax.patches] == [0.9, 0.8, 0.5, 0.4]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["mean", "pulls"]


def test_stay_bars_put_the_rewarded_choices_first_and_rare_to_the_right() -> None:
    figure = plots.stay_bars({"RL2": np.array([[0.1, 0.2], [0.3, 0.4]]), "other": np.zeros((2, 2))})
    height = {round(bar.get_x() + bar.get_width() / 2, 1): bar.get_height() for bar in figure.axes[0].patches}
    assert height == {-0.2: 0.4, 0.2: 0.3, 0.8: 0.2, 1.2: 0.1}  # rewarded common, rare; unrewarded common, rare
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["rewarded", "unrewarded"]


def test_a_played_trial_marks_the_reading_and_divides_the_bars() -> None:
    hidden = np.full((4, 10), np.nan)
    hidden[:, 0] = 0.5
    view = View(np.ones((2, 81)), np.array([0.5, 0.5]), np.array([0.4, 1.7]), hidden, {"RL2": 0.9, "tie": 0.5})
    left, middle, right = plots.played_trial(view).axes
    markers = [line.get_xdata()[0] for line in left.lines if line.get_marker() in ("o", "v")]
    assert markers == [0.4, 1.0], "a reading outside the axis is drawn at its edge"
    assert np.isnan(middle.images[0].get_array().filled(np.nan)[:, 1:]).all()
    assert [bar.get_width() for bar in right.patches[:2]] == pytest.approx([0.9, 0.1])
    assert [t.get_text() for t in right.texts] == ["A 0.90", "either"]
