"""Chapter 13: its figures and its widget."""

import time

import numpy as np

from metarl_lab.chapters.ch13_model_based import figures
from metarl_lab.chapters.ch13_model_based.widget import Imagination, imagination_explorer


def band(mean):
    mean = np.asarray(mean, dtype=float)
    return mean, mean - 1, mean + 1


def labelled(ax):
    return {line.get_label(): line for line in ax.lines}


def test_error_growth_counts_imagined_steps_from_one():
    ax = figures.error_growth({"pooled": np.array([0.1, 0.4])}, "error (m)")
    np.testing.assert_allclose(labelled(ax)["pooled"].get_xydata(), [[1, 0.1], [2, 0.4]])
    assert ax.get_ylim()[0] == 0 and ax.get_ylabel() == "error (m)"


def test_around_failure_has_bands_for_learners_and_lines_for_anchors():
    steps = [-1, 0, 1]
    figure = figures.around_failure(
        steps, {"none": band([1, 2, 3])}, {"none": band([3, 2, 1])}, {"true model": np.array([3.0, 2.5, 2.5])}
    )
    left, right = figure.axes
    np.testing.assert_allclose(labelled(left)["none"].get_ydata(), [1, 2, 3])
    np.testing.assert_allclose(labelled(right)["none"].get_ydata(), [3, 2, 1])
    np.testing.assert_allclose(labelled(right)["true model"].get_ydata(), [3, 2.5, 2.5])
    assert [len(ax.collections) for ax in (left, right)] == [1, 1] and "true model" not in labelled(left)
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["none", "true model"]


def test_paths_end_where_asked():
    true = np.stack([np.arange(5.0), np.zeros(5)], 1)
    figure = figures.path_and_error(true, {"imagined": true + 1}, {"mean": np.arange(4.0)}, ahead=2)
    left, right = figure.axes
    np.testing.assert_allclose(labelled(left)["walked"].get_xydata(), true[:3])
    np.testing.assert_allclose(labelled(left)["imagined"].get_xydata(), true[:3] + 1)
    assert right.lines[-1].get_xdata()[0] == 2 and len(labelled(right)["mean"].get_xdata()) == 4


def test_a_return_never_reached_is_an_open_mark_where_the_run_ended():
    rows = {"leg": {"a": ([100, np.inf], [500, 800]), "b": ([10, 20], [50, 50])}}
    (ax,) = figures.steps_needed(rows, {"leg": "return 3"}).axes
    reached, never = ax.lines[:2]
    assert reached.get_xdata().tolist() == [100] and never.get_xdata().tolist() == [800]
    assert never.get_markerfacecolor() == "white" and ax.get_title() == "return 3" and ax.get_xscale() == "log"


def test_learning_curves_have_anchors():
    ax = figures.learning({"grbal": (np.array([1000, 2000]), band([1, 2]))}, {"random": -200.0})
    np.testing.assert_allclose(labelled(ax)["grbal"].get_xydata(), [[1000, 1], [2000, 2]])
    assert [t.get_text() for t in ax.texts] == ["random"]


MOMENTS, WINDOWS, TASKS = (-5, 4, 20), (0, 4, 16), ("front left leg", "rear right leg")


def make(name):
    rng = np.random.default_rng(0)
    walked = rng.normal(size=(3, 2, 11, 2)).cumsum(2) - rng.normal(size=(3, 2, 1, 2))
    imagined = walked[:, None] + rng.normal(size=(3, 3, 2, 11, 2))
    return Imagination(walked, imagined), imagination_explorer(
        Imagination(walked, imagined), MOMENTS, WINDOWS, TASKS, name=name
    )


def test_every_control_changes_the_picture_and_its_alt_text():
    _, explorer = make("test imagined path")
    for name, value in {"task": TASKS[1], "moment": -5, "window": 4, "ahead": 3}.items():
        picture, alt = explorer.picture, explorer.alt_text
        begun = time.process_time()
        explorer.controls[name].value = value
        assert time.process_time() - begun < 1.0, "a redraw takes 0.1 s on an idle machine"
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""


def test_it_shows_the_moment_window_and_task_chosen(monkeypatch):
    shown = {}
    real = figures.path_and_error

    def spy(true, imagined, errors, ahead):
        shown.update(true=true, imagined=imagined, errors=errors, ahead=ahead)
        return real(true, imagined, errors, ahead)

    monkeypatch.setattr("metarl_lab.chapters.ch13_model_based.widget.path_and_error", spy)
    data, explorer = make("test imagined path 2")
    explorer.controls["task"].value = TASKS[1]
    explorer.controls["window"].value = 4
    explorer.controls["moment"].value = 4
    np.testing.assert_array_equal(shown["true"], data.walked[1, 1])
    np.testing.assert_array_equal(shown["imagined"]["adapted to 4 steps"], data.imagined[1, 1, 1])
    np.testing.assert_array_equal(shown["imagined"]["imagined, not adapted"], data.imagined[1, 0, 1])
    mean = np.linalg.norm(data.imagined[1, 1] - data.walked[1], axis=-1).mean(0)[1:]
    np.testing.assert_allclose(shown["errors"]["adapted to 4 steps"], mean)
    explorer.controls["window"].value = 0
    assert list(shown["imagined"]) == ["imagined, not adapted"]
