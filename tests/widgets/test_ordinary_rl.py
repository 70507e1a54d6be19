"""The widgets of chapter 01, driven through their values."""

import time

import numpy as np
import pytest

from metarl_lab.ops.statistics import mean_interval
from metarl_lab.widgets.ordinary_rl import Walks, sample_counter, task_changer

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
