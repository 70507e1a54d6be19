"""Chapter 14: its figures and its widget."""

import time

import numpy as np
import pytest

from metarl_lab.chapters.ch14_choosing_tasks import figures
from metarl_lab.chapters.ch14_choosing_tasks.widget import Course, selection_explorer

SIDE = np.linspace(-3, 3, 7)


def test_the_task_space_counts_each_kind():
    goals = np.array([[0.1, 0.0], [1.0, 1.0], [4.0, 0.0], [0.0, 4.5]])
    ax = figures.task_space(goals, np.array([0, 1, 2, 2]), ("easy", "hard", "impossible"), {"reach": 2.5})
    labels = [t.get_text() for t in ax.get_figure().legends[0].get_texts()]
    assert labels == ["easy (1 of 4)", "hard (1 of 4)", "impossible (2 of 4)"]
    np.testing.assert_allclose(ax.collections[2].get_offsets(), goals[2:])
    assert [p.radius for p in ax.patches] == [2.5]


def test_maps_run_upwards_share_one_scale_and_count_the_tasks_outside():
    predicted = np.arange(49.0).reshape(7, 7)
    figure = figures.gain_maps(SIDE, predicted, predicted - 5, np.array([[0.0, 1.0], [9.0, 0.0]]), {"reach": 2.5}, 4.0)
    left, right, bar = figure.axes
    # imshow's rows are the vertical axis: the second index of the map
    np.testing.assert_allclose(left.images[0].get_array(), predicted.T)
    assert left.images[0].get_clim() == right.images[0].get_clim() == (-4, 4)
    assert left.images[0].get_extent() == [-3.5, 3.5, -3.5, 3.5], "cells are centred on their goals"
    assert "1 of 2 tasks" in left.get_title() and "after minus before" in bar.get_ylabel()
    np.testing.assert_allclose(left.lines[0].get_xydata(), [[0, 1]])


def test_calibration_tells_inside_from_outside():
    gain, std = np.array([0.0, 1.0, 2.0]), np.array([0.1, 1.0, 0.5])
    ax = figures.calibration(gain, std, np.array([0.1, 3.0, 2.2]), width=1.645)
    found = {line.get_label(): line.get_xydata() for line in ax.lines}
    np.testing.assert_allclose(found["inside (2)"], [[0, 0.1], [2, 2.2]])
    np.testing.assert_allclose(found["outside (1)"], [[1, 3]])


def test_returns_have_one_look_a_sampler_and_need_anchors():
    band = (np.array([0.0, 1.0]), np.array([-1.0, 0.0]), np.array([1.0, 2.0]))
    steps = np.array([0.0, 2000.0])
    panels = {
        "a": ({"uniform": (steps, band), "chosen": (steps, band)}, {"oracle": 3.0}),
        "b": ({"chosen": (steps, band)}, {"oracle": 2.0}),
    }
    first, second = figures.returns(panels).axes
    colours = {line.get_label(): line.get_color() for line in first.lines[:2]}
    assert second.lines[0].get_color() == colours["chosen"] != colours["uniform"]
    np.testing.assert_allclose(first.lines[0].get_xdata(), [0, 2])
    with pytest.raises(ValueError, match="without anchors"):
        figures.returns({"a": ({}, {})})


GRID, ITERATIONS = np.linspace(-3, 3, 15), range(10, 81, 10)


def make(name, iterations=ITERATIONS):
    rng = np.random.default_rng(0)

    def course():
        return Course(rng.normal(size=(8, 15, 15)), rng.normal(size=(8, 15, 15)), rng.normal(size=(8, 120, 2)))

    return selection_explorer({"gain": course(), "chance": course()}, iterations, GRID, {"reach": 2.5}, 5.0, name)


def test_every_control_changes_the_picture_and_its_alt_text():
    explorer = make("test choosing")
    for name, value in {"sampler": "chance", "iteration": 80}.items():
        picture, alt = explorer.picture, explorer.alt_text
        begun = time.process_time()
        explorer.controls[name].value = value
        assert time.process_time() - begun < 1.0, "a redraw takes 0.15 s on an idle machine"
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""


def test_the_first_alt_text_holds_no_trained_number():
    assert make("test choosing a").alt_text == make("test choosing b").alt_text


def test_iterations_must_suit_a_slider():
    with pytest.raises(ValueError, match="evenly spaced"):
        make("test choosing c", iterations=[1, 2, 4])
