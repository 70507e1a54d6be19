"""Figures of chapter 07 draw the numbers that they are given."""

import numpy as np
import pytest

from metarl_lab.plots import less_compute as plots


def test_resting_places_leave_a_gap_where_a_method_runs_away():
    sizes = np.array([0.1, 0.3, 0.5])
    ax = plots.resting_places(sizes, {"MAML": sizes, "first order": np.array([0.7, 0.3, np.nan])}, {"optimum": 1.0})
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["MAML"].get_ydata(), sizes)
    assert np.isnan(lines["first order"].get_ydata()[-1]) and [t.get_text() for t in ax.texts] == ["optimum"]


def test_cost_curves_have_one_panel_a_cost_and_an_interval_at_each_end():
    band = (np.array([-7.0, -4.0]), np.array([-8.0, -5.0]), np.array([-6.0, -3.0]))
    costs = {"env steps": {"MAML": (np.array([10.0, 100.0]), band)}, "GFLOPs": {"MAML": (np.array([1.0, 9.0]), band)}}
    figure = plots.cost_curves(costs, {"oracle": -1.0}, "return")
    left, right = figure.axes
    assert (left.get_xlabel(), right.get_xlabel()) == ("env steps", "GFLOPs") and left.get_xscale() == "log"
    np.testing.assert_allclose(left.lines[0].get_ydata(), band[0])
    np.testing.assert_allclose(left.lines[1].get_ydata(), [-5.0, -3.0])
    np.testing.assert_allclose(right.lines[1].get_xdata(), [9.0, 9.0])
    assert left.get_ylim() == right.get_ylim() and left.get_ylabel() == "return"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["MAML"]


def test_ranking_puts_the_best_on_top_and_keeps_colours():
    scores = {"a": (-5.0, -6.0, -4.0), "b": (-3.0, -3.5, -2.5), "c": (-4.0, -4.2, -3.8)}
    ax = plots.ranking(scores, {"oracle": -1.0}, "title", "return")
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["3. a", "2. c", "1. b"]
    points = {float(line.get_xdata()[0]): line for line in ax.lines if line.get_marker() not in ("None", None)}
    assert [points[m].get_ydata()[0] for m in (-5.0, -4.0, -3.0)] == [0, 1, 2]
    other = plots.ranking({"a": (-1.0, -2.0, 0.0), "b": scores["b"]}, {}, "", "")
    again = [line.get_color() for line in other.lines if float(line.get_xdata()[0]) == -1.0]
    assert again == [points[-5.0].get_color()]


@pytest.mark.parametrize("kinds", [1, 3])
def test_cost_curves_take_any_number_of_costs(kinds):
    band = (np.array([1.0]), np.array([0.0]), np.array([2.0]))
    costs = {f"cost {n}": {"x": (np.array([1.0]), band)} for n in range(kinds)}
    assert len(plots.cost_curves(costs, {"random": 0.0}, "return").axes) == kinds


def test_large_costs_are_written_short():
    assert [plots.short(v) for v in (0.3, 30, 3e5, 1e6)] == ["0.3", "30", "300k", "1M"]
