"""The widget of chapter 05, driven through its values."""

import time

import numpy as np

from metarl_lab.widgets.maml import Start, step_explorer

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
