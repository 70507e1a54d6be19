"""The widget of chapter 07, driven through its values."""

import time

import numpy as np

from metarl_lab.ops.statistics import mean_interval
from metarl_lab.widgets.less_compute import budget_explorer

MOST = {"navigation": {"env steps": 1000.0, "GFLOPs": 10.0}, "mdp": {"env steps": 500.0, "GFLOPs": 5.0}}
ANCHORS = {"navigation": {"random": -9.0, "oracle": -1.0}, "mdp": {"random": 9.0, "oracle": 18.0}}
asked = []


def at_budget(family, cost, amount):
    asked.append((family, cost, amount))
    return {"MAML": np.array([-4.0, -3.0, -5.0]) + amount / 1000, "Reptile": np.array([-4.2, -3.3, -5.0])}


def test_every_control_changes_the_picture_and_its_alt_text_within_200_ms():
    explorer = budget_explorer(at_budget, MOST, ANCHORS, mean_interval, name="test budget")
    for name, value in {"percent": 75, "cost": "GFLOPs", "family": "mdp"}.items():
        picture, alt = explorer.picture, explorer.alt_text
        start = time.process_time()
        explorer.controls[name].value = value
        assert time.process_time() - start < 1.0, "a redraw takes 0.1 s on an idle machine"
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""
    assert asked[-1] == ("mdp", "GFLOPs", 3.75)


def test_the_alt_text_holds_no_trained_number():
    explorer = budget_explorer(at_budget, MOST, ANCHORS, mean_interval, name="test budget alt")
    assert "-4" not in explorer.alt_text and "25 percent of the env steps" in explorer.alt_text
