"""Figures: what is drawn, alt text, size, sameness."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from metarl_lab.catalog import entries
from metarl_lab.teach import figures as base


def curve(offset):
    mean = np.array([-90.0, -40.0, -20.0]) + offset
    return SimpleNamespace(mean=mean, low=mean - 3, high=mean + 3)


def test_adaptation_curves_draw_every_number_and_name_every_anchor():
    ax = base.adaptation_curves({"maml": curve(0), "scratch": curve(-9)}, {"oracle": -2.0, "random": -120.0})
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["MAML"].get_ydata(), curve(0).mean)
    np.testing.assert_allclose(lines["from scratch"].get_xdata(), [0, 1, 2])
    assert [t.get_text() for t in ax.texts] == ["random play", "oracle"]
    assert len(ax.collections) == 2, "an interval band per learner"
    assert ax.get_xlabel() and ax.get_ylabel()
    styles = [(line.get_linestyle(), line.get_color()) for line in ax.lines[:2]]
    assert styles[0][0] != styles[1][0] and styles[0][1] != styles[1][1]


def test_a_curve_without_an_anchor_or_an_interval_is_refused():
    with pytest.raises(ValueError, match="no anchors"):
        base.adaptation_curves({"maml": curve(0)}, {})
    with pytest.raises(ValueError, match="lacks columns"):
        base.adaptation_curves(pd.DataFrame({"x": [0], "mean": [1.0], "learner": ["a"]}), {"oracle": 0})
    with pytest.raises(ValueError, match="no curves"):
        base.curve_table({})


def test_colours_and_styles_are_all_different():
    assert len(set(base.COLOURS)) == len(set(map(str, base.STYLES))) == len(set(base.MARKERS)) == 7


def test_a_learner_has_one_look_by_either_of_its_names_and_no_two_have_the_same():
    assert base.look("mb_mpo") == base.look("MB-MPO") == base.looks(["x", "MB-MPO"])["MB-MPO"]
    assert base.display_name("mb_mpo") == "MB-MPO" and base.display_name("window 8") == "window 8"
    pairs = [(look[1], look[3]) for look in base.LEARNERS.values()]
    assert len(set(pairs)) == len(pairs), "of two learners, colour and marker are the same"
    assert len({look[0] for look in base.LEARNERS.values()}) == len(base.LEARNERS)
    with pytest.raises(ValueError, match="no look of its own"):
        base.look("window 8")


def test_every_learner_and_reference_of_the_catalog_has_a_name_in_the_book():
    known = {*entries("learners"), *entries("references")}
    unnamed = known - set(base.LEARNERS) - {"model_predictive", "optimistic_thompson", "swing_up", "value_iteration"}
    assert not unnamed, f"give {sorted(unnamed)} a name and a look in teach/figures.py"


def test_curves_that_are_no_learners_take_what_colours_are_left():
    styles = base.looks(["window 8", "maml", "window 16", "rl2"])
    assert list(styles) == ["window 8", "maml", "window 16", "rl2"]
    assert len({style["color"] for style in styles.values()}) == 4
    assert styles["maml"] == base.look("maml")
    many = base.looks([f"window {n}" for n in range(7)])
    assert len({style["color"] for style in many.values()}) == 7


def spans(ax):
    """(lowest, highest) of each visible label of the axes, in pixels, as drawn."""
    ax.figure.draw_without_rendering()
    return sorted((t.get_window_extent().y0, t.get_window_extent().y1) for t in ax.texts if t.get_visible())


@pytest.mark.parametrize("values", [(-1.0, -1.2, -1.1), (-9.0, -8.8, -1.0), (0.0, 0.0, 0.0)])
def test_names_of_reference_lines_stand_beside_the_axes_and_never_on_each_other(values):
    anchors = dict(zip(("oracle", "random", "told the best arm of all"), values))
    ax = base.adaptation_curves({"maml": curve(80)}, anchors)
    for limits in (None, (-30, 5)):
        if limits:
            ax.set_ylim(*limits)
        found = spans(ax)
        assert len(found) == 3
        assert all(low >= high - 2 for (_, high), (low, _) in zip(found, found[1:])), "one name covers another"
        right = ax.get_window_extent().x1
        assert all(t.get_window_extent().x0 >= right for t in ax.texts), "a name stands among the curves"
    ax.set_ylim(1, 5)
    assert spans(ax) == [], "a line out of sight has no name"


def test_picture_is_small_and_the_same_each_time():
    first, second = (
        base.encode_png(base.adaptation_curves({"maml": curve(0)}, {"oracle": 0}).get_figure()) for _ in range(2)
    )
    assert first == second and first.startswith(b"\x89PNG") and len(first) < 40_000


def test_figure_goes_out_with_alt_text_in_all_three_forms(monkeypatch):
    sent = {}
    monkeypatch.setattr(
        "IPython.display.display", lambda data, metadata, raw: sent.update(data=data, metadata=metadata)
    )
    figure, ax = base.new_figure()
    base.figure_with_alt(ax, 'returns "rise" over four batches')
    assert 'alt="returns &quot;rise&quot; over four batches"' in sent["data"]["text/html"]
    assert sent["data"]["text/plain"] == '[figure] returns "rise" over four batches'
    assert sent["metadata"]["image/png"]["alt"] == 'returns "rise" over four batches'
    with pytest.raises(ValueError, match="too short"):
        base.figure_with_alt(Figure(), "a plot")
