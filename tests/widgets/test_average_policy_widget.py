"""The widget of chapter 15, driven through its values, and the path that it walks."""

import numpy as np
import torch

from metarl_lab.ops.contrast import arithmetic_average, geometric_average
from metarl_lab.widgets.average_policy import KINDS, PATH, average_explorer, divergences, path_of

LIKES = {"A": [2.0, -2.0, 1.2], "B": [-2.0, 2.0, 1.2], "C": [1.0, 0.0, 0.0]}
POLICIES = torch.tensor(list(LIKES.values()), dtype=torch.float64).softmax(-1)


def test_the_path_passes_both_averages_and_each_kl_is_lowest_at_its_own():
    candidates, even = path_of(POLICIES), torch.ones(3, dtype=torch.float64)
    zero, one = (int(np.abs(PATH - place).argmin()) for place in (0, 1))
    torch.testing.assert_close(candidates[zero], geometric_average(POLICIES, even))
    torch.testing.assert_close(candidates[one], arithmetic_average(POLICIES, even))
    found = divergences(POLICIES, candidates)
    assert found[KINDS[0]].argmin() == one and found[KINDS[1]].argmin() == zero
    by_hand = (POLICIES * (POLICIES / candidates[3]).log()).sum(1).mean()
    np.testing.assert_allclose(found[KINDS[0]][3], by_hand)


def test_every_control_changes_the_picture_and_its_alt_text():
    explorer = average_explorer(LIKES, ["left", "right", "up"], name="test average")
    for name, value in {"tasks": 2, "temperature": 1.4, "place": 1.0}.items():
        picture, alt = explorer.picture, explorer.alt_text
        explorer.controls[name].value = value
        assert explorer.picture != picture and explorer.alt_text != alt and explorer._status.value == ""
