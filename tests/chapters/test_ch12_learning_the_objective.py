"""Chapter 12: its figures and its widget."""

import time

import numpy as np

from metarl_lab.chapters.ch12_learning_the_objective import figures
from metarl_lab.chapters.ch12_learning_the_objective.widget import Course, discount_explorer

BAND = (np.array([1.0, 2.0]), np.array([0.5, 1.5]), np.array([1.5, 2.5]))


def test_hand_set_has_a_panel_each_with_its_anchors():
    figure = figures.hand_set({"lure": ((0.0, 0.9), BAND, {"oracle": 3.0}), "mdp": ((0.0, 0.9), BAND, {"random": 0.1})})
    left, right = figure.axes
    np.testing.assert_allclose(left.lines[0].get_xydata(), [[0.0, 1.0], [0.9, 2.0]])
    assert [t.get_text() for t in left.texts] == ["oracle"] and [t.get_text() for t in right.texts] == ["random"]
    assert "discount" in left.get_xlabel() and "return" in left.get_ylabel()


def test_a_moment_of_a_course_is_marked_where_it_was():
    course, trial = np.array([0.2, 0.4, 0.8]), np.array([0.0, 0.5, 1.0])
    left, right = figures.course_and_trial(course, 0.63, 2, trial, {"oracle": 1.0}).axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), course)
    np.testing.assert_allclose(left.lines[1].get_xydata(), [[2, 0.8]])
    np.testing.assert_allclose(left.lines[2].get_ydata(), 0.63)
    np.testing.assert_allclose(right.lines[0].get_ydata(), trial)
    assert "iteration 2" in right.get_title()


def test_outcomes_tell_hand_set_from_learned():
    rows = {"discount 0": (1.0, 0.9, 1.1), "learned from 0.5": (2.0, 1.8, 2.3)}
    ax = figures.outcomes({"chain": (rows, {"random": 0.0, "oracle": 3.0})}).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == list(rows)
    points = [c.lines[0] for c in ax.containers]
    assert [float(p.get_xdata()[0]) for p in points] == [1.0, 2.0]
    assert points[0].get_color() != points[1].get_color()
    segments = ax.containers[1].lines[2][0].get_segments()[0]
    np.testing.assert_allclose(segments[:, 0], [1.8, 2.3])
    assert [t.get_text() for t in ax.texts] == ["random", "oracle"]


def test_rules_have_one_legend_and_a_panel_a_family():
    figure = figures.rules({f: ({"learned rule": BAND, "REINFORCE": BAND}, {"oracle": 3.0}) for f in "abcd"})
    assert [ax.get_title() for ax in figure.axes] == list("abcd") and len(figure.legends) == 1
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["learned rule", "REINFORCE"]


def test_readout_draws_every_share():
    ax = figures.readout((0.0, 0.9), {"y": (0.5, 0.1), "the policy": (0.0, -0.1)})
    assert [round(float(p.get_height()), 2) for p in ax.patches] == [0.5, 0.1, 0.0, -0.1]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "0.9"]


def test_echo_stands_beside_powers_of_discounts():
    ax = figures.echo({"ends": np.array([1.0, 0.8, 0.7])}, {"0.5": 0.5})
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1.0, 0.8, 0.7])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [1.0, 0.5, 0.25])


def make(name, seed=0):
    rng = np.random.default_rng(seed)
    runs = {(p, s): Course(rng.random(11), rng.random((10, 21))) for p in ("ours", "other") for s in (0.2, 0.5)}
    return discount_explorer(runs, 0.63, {"oracle": 1.0, "random play": 0.0}, name=name)


def test_every_control_changes_the_picture_and_its_alt_text():
    explorer = make("test discount")
    for name, value in {"program": "other", "start": 0.5, "iteration": 10}.items():
        picture, alt = explorer.picture, explorer.alt_text
        begun = time.process_time()
        explorer.controls[name].value = value
        assert time.process_time() - begun < 1.0, "a redraw takes 0.1 s on an idle machine"
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""


def test_the_slider_ends_where_the_runs_end():
    slider = make("test discount ends").controls["iteration"]
    assert (slider.min, slider.max) == (1, 10)


def test_the_first_alt_text_holds_no_trained_number():
    assert make("test alt a").alt_text == make("test alt b", seed=1).alt_text
    assert "return" in make("test alt c").alt_text
