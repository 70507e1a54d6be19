"""Figures of chapter 01 draw the numbers that they are given."""

import numpy as np

from metarl_lab.plots import ordinary_rl as plots


def band(mean):
    mean = np.asarray(mean, dtype=float)
    return mean, mean - 1, mean + 1


def labelled(ax):
    return {line.get_label(): line for line in ax.lines}


def test_gap_curves_have_env_steps_on_the_axis_and_both_anchors():
    ax = plots.gap_curves(np.array([0, 10, 20]), {"q": band([0, 50, 80]), "psrl": band([0, 90])}, mark=100)
    lines = labelled(ax)
    np.testing.assert_allclose(lines["q"].get_xdata(), [0, 100, 200])
    np.testing.assert_allclose(lines["psrl"].get_xdata(), [0, 100])
    assert {t.get_text() for t in ax.texts} == {"perfect play", "random play"}
    assert len(ax.collections) == 2 and "env steps" in ax.get_xlabel() and "%" in ax.get_ylabel()


def test_cost_by_task_counts_tasks_from_one():
    ax = plots.cost_by_task({"fresh": band([100, 110, 90])}, most=200)
    np.testing.assert_allclose(labelled(ax)["fresh"].get_xdata(), [1, 2, 3])
    assert ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > 200


def test_practice_curves_draw_intervals_and_anchors():
    ax = plots.practice_curves(np.array([0, 400]), {"scratch": band([-11, -9])}, {"oracle": -1.0})
    np.testing.assert_allclose(labelled(ax)["scratch"].get_ydata(), [-11, -9])
    assert [t.get_text() for t in ax.texts] == ["oracle"] and len(ax.collections) == 1


def test_walks_draw_every_episode_both_goals_and_name_returns_once():
    path = np.random.default_rng(0).normal(size=(3, 5, 2)) / 9
    ax = plots.walks({"specialist": path}, (0.0, 0.5), (0.5, 0.0), {"specialist": -12.34})
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["specialist: return -12.3", "old goal", "new goal"] and len(ax.lines) == 5
    assert ax.get_aspect() == 1 and "units" in ax.get_xlabel()


def test_share_of_best_rings_the_best():
    ax = plots.share_of_best((0.0, 0.1, 1.0), {"10 pulls": [99, 99.9, 80]})
    rings = [line for line in ax.lines if line.get_markersize() == 13]
    assert [(float(r.get_xdata()[0]), float(r.get_ydata()[0])) for r in rings] == [(0.1, 99.9)]
