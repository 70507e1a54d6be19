"""The widget of chapter 14, driven through its values."""

import time

import numpy as np
import pytest

from metarl_lab.widgets.choosing_tasks import Course, selection_explorer

SIDE, ITERATIONS = np.linspace(-3, 3, 15), range(10, 81, 10)


def make(name, iterations=ITERATIONS):
    rng = np.random.default_rng(0)

    def course():
        return Course(rng.normal(size=(8, 15, 15)), rng.normal(size=(8, 15, 15)), rng.normal(size=(8, 120, 2)))

    return selection_explorer({"gain": course(), "chance": course()}, iterations, SIDE, {"reach": 2.5}, 5.0, name)


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
