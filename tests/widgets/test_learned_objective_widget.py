"""The widget of chapter 12, driven through its values."""

import time

import numpy as np

from metarl_lab.widgets.learned_objective import Course, discount_explorer


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
