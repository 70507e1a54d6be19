"""Chapter 15: its figures and its widget."""

import numpy as np
import pytest
import torch

from metarl_lab.chapters.ch15_average_policy import figures
from metarl_lab.chapters.ch15_average_policy.widget import KINDS, PATH, average_explorer, divergences, path_of
from metarl_lab.ops.contrast import arithmetic_average, geometric_average


def test_averages_draw_every_bar_and_mark_the_candidate_and_the_minima():
    policies = {"A": np.array([0.7, 0.3]), "B": np.array([0.2, 0.8]), "candidate": np.array([0.45, 0.55])}
    place = np.array([0.0, 0.5, 1.0])
    curves = {"forward": np.array([3.0, 2.0, 1.0]), "reverse": np.array([1.0, 2.0, 3.0])}
    left, right = figures.averages(["left", "right"], policies, place, curves, 1).axes
    assert sorted(bar.get_height() for bar in left.patches) == [0.2, 0.3, 0.45, 0.55, 0.7, 0.8]
    stars = [(*line.get_xdata(), *line.get_ydata()) for line in right.lines if line.get_marker() == "*"]
    assert stars == [(1.0, 1.0), (0.0, 1.0)]
    here = [line.get_xdata()[0] for line in right.lines if line.get_marker() == "o" and line.get_color() == "black"]
    assert here == [0.5, 0.5]
    assert [t.get_text() for t in left.get_legend().get_texts()] == list(policies)


def test_policy_maps_write_each_probability_where_it_belongs():
    policy = np.array([[0.1, 0.9], [0.75, 0.25], [0.5, 0.5]])
    figure = figures.policy_maps({"a": policy, "b": 1 - policy}, ["x", "y", "z"], ["up", "down"])
    shown = {t.get_position(): t.get_text() for t in figure.axes[0].texts}
    assert shown[(1, 0)] == "0.90" and shown[(0, 1)] == "0.75"
    assert [ax.get_title() for ax in figure.axes[:2]] == ["a", "b"]
    np.testing.assert_allclose(figure.axes[1].images[0].get_array(), 1 - policy)


def test_panels_have_their_own_anchors_and_one_legend():
    band = (np.array([1.0, 2.0]), np.array([0.5, 1.5]), np.array([1.5, 2.5]))
    curves = {"one": {"a": (np.arange(2), band)}, "two": {"a": (np.arange(2), band), "b": (np.arange(2), band)}}
    figure = figures.panels(curves, {"one": {"random": 0.0}, "two": {"oracle": 3.0}}, "steps", ["return"])
    left, right = figure.axes
    assert [t.get_text() for t in left.texts] == ["random"] and [t.get_text() for t in right.texts] == ["oracle"]
    np.testing.assert_allclose(left.lines[0].get_ydata(), band[0])
    assert (left.get_ylabel(), right.get_ylabel()) == ("return", "")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["a", "b"]
    with pytest.raises(ValueError, match="anchors"):
        figures.panels(curves, {"one": {"random": 0.0}}, "steps", ["return"])


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
