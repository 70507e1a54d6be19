"""The widget of chapter 13, driven through its values."""

import time

import numpy as np

from metarl_lab.plots import model_based as plots
from metarl_lab.widgets.model_based import Imagination, imagination_explorer

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
    real = plots.path_and_error

    def spy(true, imagined, errors, ahead):
        shown.update(true=true, imagined=imagined, errors=errors, ahead=ahead)
        return real(true, imagined, errors, ahead)

    monkeypatch.setattr("metarl_lab.widgets.model_based.path_and_error", spy)
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
