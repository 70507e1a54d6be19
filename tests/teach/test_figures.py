"""Figures: what is drawn, alt text, size, sameness."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from metarl_lab.teach import figures as base


def curve(offset):
    mean = np.array([-90.0, -40.0, -20.0]) + offset
    return SimpleNamespace(mean=mean, low=mean - 3, high=mean + 3)


def test_adaptation_curves_draw_every_number_and_name_every_anchor():
    ax = base.adaptation_curves({"maml": curve(0), "scratch": curve(-9)}, {"oracle": -2.0, "random": -120.0})
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(lines["maml"].get_ydata(), curve(0).mean)
    np.testing.assert_allclose(lines["scratch"].get_xdata(), [0, 1, 2])
    assert [t.get_text() for t in ax.texts] == ["oracle", "random"]
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
