"""Chapter 05: its figures and its widget."""

import time

import numpy as np
import pytest

from metarl_lab.chapters.ch05_maml import figures
from metarl_lab.chapters.ch05_maml.widget import Start, step_explorer


def band(mean):
    mean = np.asarray(mean, dtype=float)
    return mean, mean - 1, mean + 1


def labelled(ax):
    return {line.get_label(): line for line in ax.lines}


def test_training_draws_both_returns_and_the_anchors():
    ax = figures.training(np.array([[-8.0, -7.0], [-8.1, -3.0]]), {"oracle": -0.5})
    np.testing.assert_allclose(labelled(ax)["before the inner step"].get_ydata(), [-8.0, -8.1])
    np.testing.assert_allclose(labelled(ax)["after it"].get_ydata(), [-7.0, -3.0])
    assert [t.get_text() for t in ax.texts] == ["oracle"]


def test_rate_scan_has_every_rate_on_a_log_axis_and_hides_what_lies_below_the_floor():
    ax = figures.rate_scan([0.1, 1.0], {"maml": band([-3, -50])}, {"oracle": -0.5}, floor=-20)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.1", "1"] and ax.get_xscale() == "log"
    assert ax.get_ylim()[0] == -20 and len(ax.collections) == 1
    np.testing.assert_allclose(labelled(ax)["maml"].get_ydata(), [-3, -50])


def draw(route):
    walks = {"before: -8.0": np.zeros((3, 4, 2)), "after 1 step: -3.0": np.ones((3, 4, 2))}
    values = np.arange(9.0).reshape(3, 3) - 9
    return figures.step_and_landscape(walks, (0.5, 0.2), np.linspace(-1, 1, 3), values, np.array(route), floor=-16)


def test_a_step_is_a_walk_and_a_route_on_the_map():
    left, right, bar = draw([[0.0, 0.0], [0.4, 0.2]]).axes
    assert len(left.lines) == 7, "three walks before, three after, the goal"
    # rows of a picture run upwards: the second axis of the landscape
    np.testing.assert_allclose(right.images[0].get_array(), (np.arange(9.0).reshape(3, 3) - 9).T)
    assert right.images[0].get_clim() == (-16, 0)
    np.testing.assert_allclose(right.lines[0].get_xydata(), [[0, 0], [0.4, 0.2]])
    assert "units" in left.get_xlabel() and "return" in bar.get_ylabel()


def test_a_step_that_leaves_the_map_ends_on_its_edge():
    right = draw([[0.0, 0.0], [7.0, -0.5]]).axes[1]
    np.testing.assert_allclose(right.lines[0].get_xydata()[-1], [1.0, -0.5])


def test_knobs_have_a_panel_each_and_need_an_anchor():
    panels = {"tasks": ((2, 40), {"after 1 step": band([-4, -3])}), "rate": ((0.1,), {"after 1 step": band([-7])})}
    figure = figures.knobs(panels, {"oracle": -0.5}, floor=-10)
    first, second = figure.axes
    assert [t.get_text() for t in first.get_xticklabels()] == ["2", "40"] and second.get_xlabel() == "rate"
    np.testing.assert_allclose(labelled(first)["after 1 step"].get_ydata(), [-4, -3])
    with pytest.raises(ValueError, match="no anchors"):
        figures.knobs(panels, {}, floor=-10)


ANGLES, RATES, SIDE = tuple(range(0, 360, 45)), tuple(np.arange(1, 11) / 10), np.linspace(-1.5, 1.5, 21)


def make(name):
    rng = np.random.default_rng(0)

    def start():
        path, returns = rng.normal(size=(10, 8, 4, 4, 20, 2)) / 5, -10 * rng.random((10, 8, 4))
        return Start(path, returns, rng.normal(size=(10, 8, 4, 2)) / 2, -16 * rng.random((8, 21, 21)))

    return step_explorer({"MAML": start(), "fine-tuning": start()}, ANGLES, 0.5, RATES, SIDE, -16, name=name)


def test_every_control_changes_the_picture_and_its_alt_text():
    explorer = make("test one step")
    for name, value in {"start": "fine-tuning", "angle": 180, "rate": 0.9, "steps": 3}.items():
        picture, alt = explorer.picture, explorer.alt_text
        begun = time.process_time()
        explorer.controls[name].value = value
        assert time.process_time() - begun < 1.0, "a redraw takes 0.15 s on an idle machine"
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""


def test_no_steps_and_a_rate_as_browsers_send_it_are_drawn():
    explorer = make("test no steps")
    explorer.controls["steps"].value = 0
    explorer.controls["rate"].value = 0.30000000000000004
    assert explorer._status.value == ""


def test_the_first_alt_text_holds_no_trained_number():
    assert make("test alt a").alt_text == make("test alt b").alt_text
    assert "return" in make("test alt c").alt_text
