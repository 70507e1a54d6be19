"""The widget of chapter 11, driven through its values."""

import time

import numpy as np

from metarl_lab.widgets.value_based import value_explorer

GOALS = (2, 7, 15)


def make(name, seed=0):
    rng = np.random.default_rng(seed)
    starts = {start: 10 * rng.random((3, 9, 16, 5)) for start in ("a table", "meta-learned")}
    returns = {start: 10 * rng.random((3, 9)) for start in starts}
    return value_explorer(starts, returns, 10 * rng.random((3, 16, 5)), GOALS, 10.0, name=name)


def test_every_control_changes_the_picture_and_its_alt_text():
    explorer = make("test value maps")
    for name, value in {"start": "meta-learned", "task": 0, "count": 8}.items():
        picture, alt = explorer.picture, explorer.alt_text
        begun = time.process_time()
        explorer.controls[name].value = value
        assert time.process_time() - begun < 1.0, "a redraw takes 0.15 s on an idle machine"
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""


def test_goals_are_told_by_row_and_column_and_the_alt_text_holds_no_trained_number():
    assert make("test maps a").alt_text == make("test maps b", seed=1).alt_text
    assert "row 3, column 3" in make("test maps c").alt_text
