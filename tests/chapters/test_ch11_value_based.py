"""Chapter 11: its figures and its widget."""

import time

import numpy as np
import pytest

from metarl_lab.chapters.ch11_value_based import figures
from metarl_lab.chapters.ch11_value_based.widget import value_explorer


def test_a_value_map_shows_the_best_value_the_best_action_and_the_goal():
    q = np.zeros((9, 5))
    q[:, 0] = np.arange(9.0)  # staying is best, and worth the cell's number
    q[0, 3] = 0.5  # but from the corner one goes down
    figure = figures.value_maps({"here": q, "exact": q + 1}, 5, -1.0, 10.0)
    first, second, bar = figure.axes
    np.testing.assert_allclose(first.images[0].get_array(), [[0.5, 1, 2], [3, 4, 5], [6, 7, 8]])
    assert first.images[0].get_clim() == second.images[0].get_clim() == (-1, 10) and "return" in bar.get_ylabel()
    arrows = [t for t in first.texts if t.arrow_patch is not None]
    assert len(arrows) == 1 and arrows[0].xy[1] > arrows[0].xyann[1] and arrows[0].xy[0] == arrows[0].xyann[0] == 0
    stars = [line for line in first.lines if line.get_marker() == "*"]
    assert len(stars) == 1 and np.round(stars[0].get_xydata()[0]).tolist() == [2, 1]  # row 1, column 2
    assert [t.get_text() for t in first.texts if t.get_text()][:2] == ["0.5", "1.0"]
    with pytest.raises(ValueError, match="no tables"):
        figures.value_maps({}, 1, 0, 1)


def test_exploring_draws_every_curve_between_its_anchors():
    ax = figures.exploring([0.0, 1.0], {"before": np.array([1.0, -1.0])}, {"oracle": 12.0}, "share of random actions")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 1], [1, -1]])
    assert [t.get_text() for t in ax.texts] == ["oracle"] and ax.get_xlabel() == "share of random actions"


GOALS = (2, 7, 15)


def make(name, seed=0):
    rng = np.random.default_rng(seed)
    starts = {start: 10 * rng.random((3, 9, 16, 5)) for start in ("a table", "meta-learned")}
    returns = {start: 10 * rng.random((3, 9)) for start in starts}
    return value_explorer(starts, returns, 10 * rng.random((3, 16, 5)), GOALS, 10.0, name=name)


def test_every_control_changes_the_picture_and_its_alt_text():
    explorer = make("test value maps")
    for name, value in {"start": "meta-learned", "task": 0, "count": 8}.items():
        picture, alt = explorer.picture, explorer.alt_text
        begun = time.process_time()
        explorer.controls[name].value = value
        assert time.process_time() - begun < 1.0, "a redraw takes 0.15 s on an idle machine"
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""


def test_goals_are_told_by_row_and_column_and_the_alt_text_holds_no_trained_number():
    assert make("test maps a").alt_text == make("test maps b", seed=1).alt_text
    assert "row 3, column 3" in make("test maps c").alt_text
