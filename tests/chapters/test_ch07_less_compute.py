"""Chapter 07: its figures and its widget."""

import time

import numpy as np
import pytest

from metarl_lab.chapters.ch07_less_compute import figures
from metarl_lab.chapters.ch07_less_compute.widget import budget_explorer
from metarl_lab.ops.statistics import mean_interval


def test_resting_places_leave_a_gap_where_a_method_runs_away():
    sizes = np.array([0.1, 0.3, 0.5])
    ax = figures.resting_places(sizes, {"MAML": sizes, "first order": np.array([0.7, 0.3, np.nan])}, {"optimum": 1.0})
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["MAML"].get_ydata(), sizes)
    assert np.isnan(lines["first order"].get_ydata()[-1]) and [t.get_text() for t in ax.texts] == ["optimum"]


def test_cost_curves_have_one_panel_a_cost_and_an_interval_at_each_end():
    band = (np.array([-7.0, -4.0]), np.array([-8.0, -5.0]), np.array([-6.0, -3.0]))
    costs = {"env steps": {"MAML": (np.array([10.0, 100.0]), band)}, "GFLOPs": {"MAML": (np.array([1.0, 9.0]), band)}}
    figure = figures.cost_curves(costs, {"oracle": -1.0}, "return")
    left, right = figure.axes
    assert (left.get_xlabel(), right.get_xlabel()) == ("env steps", "GFLOPs") and left.get_xscale() == "log"
    np.testing.assert_allclose(left.lines[0].get_ydata(), band[0])
    np.testing.assert_allclose(left.lines[1].get_ydata(), [-5.0, -3.0])
    np.testing.assert_allclose(right.lines[1].get_xdata(), [9.0, 9.0])
    assert left.get_ylim() == right.get_ylim() and left.get_ylabel() == "return"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["MAML"]


def test_ranking_puts_the_best_on_top_and_keeps_colours():
    scores = {"a": (-5.0, -6.0, -4.0), "b": (-3.0, -3.5, -2.5), "c": (-4.0, -4.2, -3.8)}
    ax = figures.ranking(scores, {"oracle": -1.0}, "title", "return")
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["3. a", "2. c", "1. b"]
    points = {float(line.get_xdata()[0]): line for line in ax.lines if line.get_marker() not in ("None", None)}
    assert [points[m].get_ydata()[0] for m in (-5.0, -4.0, -3.0)] == [0, 1, 2]
    other = figures.ranking({"a": (-1.0, -2.0, 0.0), "b": scores["b"]}, {}, "", "")
    again = [line.get_color() for line in other.lines if float(line.get_xdata()[0]) == -1.0]
    assert again == [points[-5.0].get_color()]


@pytest.mark.parametrize("kinds", [1, 3])
def test_cost_curves_take_any_number_of_costs(kinds):
    band = (np.array([1.0]), np.array([0.0]), np.array([2.0]))
    costs = {f"cost {n}": {"x": (np.array([1.0]), band)} for n in range(kinds)}
    assert len(figures.cost_curves(costs, {"random": 0.0}, "return").axes) == kinds


def test_large_costs_are_written_short():
    assert [figures.short(v) for v in (0.3, 30, 3e5, 1e6)] == ["0.3", "30", "300k", "1M"]


MOST = {"navigation": {"env steps": 1000.0, "GFLOPs": 10.0}, "mdp": {"env steps": 500.0, "GFLOPs": 5.0}}
ANCHORS = {"navigation": {"random": -9.0, "oracle": -1.0}, "mdp": {"random": 9.0, "oracle": 18.0}}
asked = []


def at_budget(family, cost, amount):
    asked.append((family, cost, amount))
    return {"MAML": np.array([-4.0, -3.0, -5.0]) + amount / 1000, "Reptile": np.array([-4.2, -3.3, -5.0])}


def test_every_control_changes_the_picture_and_its_alt_text_within_200_ms():
    explorer = budget_explorer(at_budget, MOST, ANCHORS, mean_interval, name="test budget")
    for name, value in {"percent": 75, "cost": "GFLOPs", "family": "mdp"}.items():
        picture, alt = explorer.picture, explorer.alt_text
        start = time.process_time()
        explorer.controls[name].value = value
        assert time.process_time() - start < 1.0, "a redraw takes 0.1 s on an idle machine"
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""
    assert asked[-1] == ("mdp", "GFLOPs", 3.75)


def test_the_alt_text_holds_no_trained_number():
    explorer = budget_explorer(at_budget, MOST, ANCHORS, mean_interval, name="test budget alt")
    assert "-4" not in explorer.alt_text and "25 percent of the env steps" in explorer.alt_text
