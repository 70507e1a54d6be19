"""Chapter 01: its figures and its widget."""

import time

import numpy as np
import pytest

from metarl_lab.chapters.ch01_what_ordinary_rl_cannot_do import figures
from metarl_lab.chapters.ch01_what_ordinary_rl_cannot_do.widget import Walks, sample_counter, task_changer
from metarl_lab.ops.statistics import mean_interval


def band(mean):
    mean = np.asarray(mean, dtype=float)
    return mean, mean - 1, mean + 1


def labelled(ax):
    return {line.get_label(): line for line in ax.lines}


def test_gap_curves_have_env_steps_on_the_axis_and_both_anchors():
    ax = figures.gap_curves(np.array([0, 10, 20]), {"q": band([0, 50, 80]), "psrl": band([0, 90])}, mark=100)
    lines = labelled(ax)
    np.testing.assert_allclose(lines["q"].get_xdata(), [0, 100, 200])
    np.testing.assert_allclose(lines["psrl"].get_xdata(), [0, 100])
    assert {t.get_text() for t in ax.texts} == {"perfect play", "random play"}
    assert len(ax.collections) == 2 and "env steps" in ax.get_xlabel() and "%" in ax.get_ylabel()


def test_cost_by_task_counts_tasks_from_one():
    ax = figures.cost_by_task({"fresh": band([100, 110, 90])}, most=200)
    np.testing.assert_allclose(labelled(ax)["fresh"].get_xdata(), [1, 2, 3])
    assert ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > 200


def test_practice_curves_draw_intervals_and_anchors():
    ax = figures.practice_curves(np.array([0, 400]), {"scratch": band([-11, -9])}, {"oracle": -1.0})
    np.testing.assert_allclose(labelled(ax)["scratch"].get_ydata(), [-11, -9])
    assert [t.get_text() for t in ax.texts] == ["oracle"] and len(ax.collections) == 1


def test_walks_draw_every_episode_both_goals_and_name_returns_once():
    path = np.random.default_rng(0).normal(size=(3, 5, 2)) / 9
    ax = figures.walks({"specialist": path}, (0.0, 0.5), (0.5, 0.0), {"specialist": -12.34})
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["specialist: return -12.3", "old goal", "new goal"] and len(ax.lines) == 5
    assert ax.get_aspect() == 1 and "units" in ax.get_xlabel()


def test_share_of_best_rings_the_best():
    ax = figures.share_of_best((0.0, 0.1, 1.0), {"10 pulls": [99, 99.9, 80]})
    rings = [line for line in ax.lines if line.get_markersize() == 13]
    assert [(float(r.get_xdata()[0]), float(r.get_ydata()[0])) for r in rings] == [(0.1, 99.9)]


DISTANCES, ANGLES = (0.2, 0.35, 0.5), tuple(range(0, 360, 45))


def make_counter():
    rng = np.random.default_rng(0)
    closed = {"from nothing": rng.uniform(0, 100, (6, 4, 5)), "carried": rng.uniform(0, 100, (6, 4, 5))}
    return sample_counter(np.arange(0, 50, 10), closed, mean_interval, name="test counter")


def make_changer():
    rng = np.random.default_rng(1)
    count = len(DISTANCES) * len(ANGLES)

    def walk():
        return Walks(rng.normal(size=(count, 4, 21, 2)) / 9, rng.normal(size=count))

    return task_changer(
        DISTANCES, ANGLES, {"specialist": walk()}, {0: walk(), 400: walk()}, (0.5, 0.0), name="test changer"
    )


@pytest.mark.parametrize(
    ("make", "moves"),
    [
        (make_counter, {"before": 3, "practised": 400}),
        (make_changer, {"distance": 0.5, "angle": 180, "steps": 0}),
    ],
)
def test_every_control_changes_the_picture_and_its_alt_text_within_200_ms(make, moves):
    explorer = make()
    assert set(explorer.controls) == set(moves)
    for name, value in moves.items():
        picture, alt = explorer.picture, explorer.alt_text
        start = time.process_time()
        explorer.controls[name].value = value
        assert time.process_time() - start < 1.0, "a redraw takes 0.1 s on an idle machine"
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""


def test_every_stop_of_the_goal_sliders_is_a_goal():
    explorer = make_changer()
    for distance in (0.2, 0.35000000000000003, 0.5):  # as browsers send them
        for angle in ANGLES:
            explorer.controls["distance"].value, explorer.controls["angle"].value = distance, angle
            assert explorer._status.value == ""


def test_goals_that_no_slider_can_stop_at_are_refused():
    with pytest.raises(ValueError, match="evenly spaced"):
        task_changer((0.2, 0.3, 0.5), ANGLES, {}, {0: None}, (0.5, 0.0), name="test uneven")
