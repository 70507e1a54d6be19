"""Figures of chapter 10 draw the numbers that they are given."""

from types import SimpleNamespace

import numpy as np
import pytest

from metarl_lab.plots import in_context as plots
from metarl_lab.widgets.in_context import AttentionTrial

# 2 x 2 room, goal in the lower right: right, down, none, none | right, ...
TRIAL = AttentionTrial(
    2, 4, 3, np.array([0, 1, 3, 3, 0, 1]), np.array([2, 3, 0, 0, 2, 3]), np.array([0.0, 1, 1, 1, 0, 1]),
    np.zeros((1, 1, 6, 6)),
)  # fmt: skip


def curve(mean):
    mean = np.asarray(mean, dtype=float)
    return SimpleNamespace(mean=mean, low=mean - 1, high=mean + 1)


def test_attention_falls_on_the_cells_and_steps_that_it_is_given_for():
    weights = np.array([0.1, 0.2, 0.3, 0.15, 0.25])
    room, row, history = plots.attention_step(TRIAL, 4, weights, "Layer 1").axes
    np.testing.assert_allclose(room.images[0].get_array(), [[0.35, 0.2], [0.0, 0.45]])
    bars = {round(bar.get_x() + bar.get_width() / 2): bar for bar in row.patches}
    np.testing.assert_allclose([bars[i].get_height() for i in range(5)], weights)
    orange = {i for i, bar in bars.items() if bar.get_facecolor()[0] > 0.5}
    assert orange == {2, 3, 4}, "a step is orange when the step before it was paid"
    seen = [line for line in history.lines if len(line.get_xdata()) and line.get_linestyle() == "None"]
    points = {(int(x), int(y)) for line in seen for x, y in line.get_xydata()}
    assert points == {(1, 2), (2, 3), (3, 0), (4, 0)}, "the last action, at the step that saw it"


def test_calibration_has_a_diagonal_and_a_panel_each():
    figure = plots.calibration(
        {"early": (np.array([0.2, 0.8]), np.array([0.3, 0.7])), "late": (np.ones(1), np.ones(1))}
    )
    first = figure.axes[0]
    np.testing.assert_allclose(first.lines[0].get_xydata(), [[0.2, 0.3], [0.8, 0.7]])
    np.testing.assert_allclose(first.lines[1].get_xydata(), [[0, 0], [1, 1]])


def test_longer_trials_shades_what_is_longer_than_trained():
    ax = plots.longer_trials({"agent": curve([1, 2, 3, 4])}, {"random": 0.5}, trained=2)
    assert ax.patches[0].get_x() == 1.5 and "episode" in ax.get_xlabel()


def test_window_returns_draw_each_band_and_need_an_anchor():
    bands = {"episode 1": (np.array([1.0, 2.0]), np.array([0.5, 1.5]), np.array([1.5, 2.5]))}
    ax = plots.window_returns([2, 50], bands, {"random": 0.4}, 10)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1, 2])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["2", "50"]
    with pytest.raises(ValueError, match="no anchors"):
        plots.window_returns([2], bands, {}, 10)
