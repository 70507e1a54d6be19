"""Figures of chapter 03: every number that is handed in is drawn, and nothing is computed."""

import numpy as np
import pandas as pd
import pytest

from metarl_lab.plots.objectives import landscapes, optimism_lines, trial_bars

SIDE = np.linspace(-4, 4, 5)


def test_landscapes_share_one_colour_scale_and_mark_each_best_point():
    before = np.arange(25.0).reshape(5, 5) / 25
    figure = landscapes(SIDE, {"before": before, "after": before.T}, [(-4, 0), (4, 2)], top=1.0)
    left, right, bar = figure.axes
    np.testing.assert_allclose(left.images[0].get_array(), before.T)  # rows of a picture run upwards: the second axis
    np.testing.assert_allclose(right.images[0].get_array(), before)
    assert {ax.images[0].get_clim() for ax in (left, right)} == {(0.0, 1.0)}
    marks = [
        {(line.get_marker(), *map(float, line.get_xydata()[0])) for line in ax.lines if len(line.get_xydata())}
        for ax in (left, right)
    ]
    assert marks == [{("*", -4, 0), ("o", 4, 2)}, {("o", -4, 0), ("*", 4, 2)}]
    assert left.get_ylabel() and all(ax.get_xlabel() for ax in (left, right)) and "points" in bar.get_ylabel()


def test_landscapes_ask_for_a_star_per_panel():
    with pytest.raises(ValueError, match="1 stars for 2 panels"):
        landscapes(SIDE, {"a": np.zeros((5, 5)), "b": np.zeros((5, 5))}, [(0, 0)], top=1.0)


def test_optimism_lines_draw_each_method_and_need_an_anchor():
    columns = pd.MultiIndex.from_product([["none", "one step"], ["training tasks", "held out"]])
    table = pd.DataFrame(np.arange(8.0).reshape(2, 4) / 8, index=[1, 2], columns=columns)
    figure = optimism_lines(table, {"oracle": 1.0}).get_figure()
    drawn = [line.get_ydata() for ax in figure.axes for line in ax.lines if len(line.get_ydata()) == 2][:]
    for _, column in table.items():
        assert any(np.allclose(column, y) for y in drawn)
    assert all("oracle" in [t.get_text() for t in ax.texts] for ax in figure.axes)
    with pytest.raises(ValueError, match="no anchors"):
        optimism_lines(table, {})


def test_trial_bars_draw_each_episode_and_name_the_total():
    ax = trial_bars({"whole trial": [0.5, 0.5], "final episode": [-4.5, 1.0]}, floor=-5)
    assert sorted(bar.get_height() for bar in ax.patches) == [-4.5, 0.5, 0.5, 1.0]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "whole trial: total 1.0",
        "final episode: total -3.5",
    ]
    hatches = {bar.get_hatch() for bar in ax.patches}
    assert len(hatches) == 2, "told apart without colour"
