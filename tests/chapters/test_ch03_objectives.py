"""Chapter 03: its figures and its widget."""

import time

import numpy as np
import pandas as pd
import pytest
import torch

from metarl_lab.chapters.ch03_objectives.figures import landscapes, optimism_lines, trial_bars
from metarl_lab.chapters.ch03_objectives.widget import landscape_explorer, trial_explorer

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


GRID = np.linspace(-4, 4, 21)


def landscape():
    """Best at the left edge without steps; with steps, at the right edge if the spread is 1."""
    left, right = np.meshgrid(-GRID / 8, GRID / 4, indexing="ij")[0], np.meshgrid(GRID / 4, GRID, indexing="ij")[0]
    return {
        (spread, alpha, n): right if n and spread == 1.0 else left * (1 + spread)
        for spread in (0.0, 0.5, 1.0)
        for alpha in (1, 5, 9)
        for n in range(4)
    }


def test_landscape_moves_with_every_control_and_says_where_the_best_is():
    explorer = landscape_explorer(GRID, landscape(), lambda score: int(torch.as_tensor(score).argmax()))
    seen = [explorer.picture]
    assert "another place" in explorer.alt_text and "after 1 inner steps the best is 1.00" in explorer.alt_text
    for key, value in (("steps", 0), ("spread", 0.5), ("steps", 3)):
        explorer.controls[key].value = value
        seen.append(explorer.picture)
    assert "the same place" in explorer.alt_text
    explorer.controls["alpha"].value = 9
    assert len(set(seen)) == 4
    assert explorer._status.value == ""


def test_landscape_survives_a_slider_value_that_is_nearly_on_the_grid():
    explorer = landscape_explorer(GRID, landscape(), lambda score: int(torch.as_tensor(score).argmax()))
    explorer.controls["spread"].value = 0.5 + 1e-12
    assert explorer._status.value == ""


def test_trial_shows_what_the_chapters_own_planner_says():
    asked = []

    def plan(weights, credit, shock):
        asked.append((tuple(weights), credit, shock))
        return [0.5] * len(weights)

    explorer = trial_explorer(plan)
    explorer.controls["episodes"].value = 3
    explorer.controls["credit"].value = 0.5
    explorer.controls["shock"].value = 2
    assert {((1, 1, 1), 0.5, 2), ((0, 0, 1), 0.5, 2)} <= set(asked)
    assert "whole trial 1.5, final episode 1.5" in explorer.alt_text
    assert explorer._status.value == ""


def test_trial_draws_within_the_time_of_a_slider_move():
    explorer = trial_explorer(lambda weights, credit, shock: [0.5] * len(weights))
    spent = []
    for episodes in range(2, 8):
        start = time.process_time()
        explorer.controls["episodes"].value = episodes
        spent.append(time.process_time() - start)
    assert min(spent) < 1.0, "a look-up and a drawing, no training"
