"""Explorers, driven through their values as a kernel would."""

import numpy as np
import pytest

from metarl_lab.teach.base import parts_first
from metarl_lab.teach.figures import new_figure
from metarl_lab.teach.widgets import Explorer, choice, slider

ALT = "a straight line of the chosen slope"


def make(calls=None, **options):
    def draw(alpha, mode):
        if calls is not None:
            calls.append((alpha, mode))
        if alpha > 0.85:
            raise ZeroDivisionError("alpha too <large>")
        _, ax = new_figure()
        ax.plot([0, 1], [0, alpha if mode == "up" else -alpha])
        return ax

    controls = {"alpha": slider("slope", 0.0, 1.0, 0.1, 0.3), "mode": choice("direction", ["up", "down"])}
    return Explorer("test line", draw, controls, **({"alt": ALT} | options))


def test_each_control_changes_the_picture_and_back_gives_the_same():
    explorer = make()
    first = explorer.picture
    explorer.controls["alpha"].value = 0.6
    second = explorer.picture
    explorer.controls["mode"].value = "down"
    assert len({first, second, explorer.picture}) == 3
    explorer.controls["mode"].value = "up"
    explorer.controls["alpha"].value = 0.3
    assert explorer.picture == first and f'alt="{ALT}"' in first


def test_each_combination_is_drawn_once():
    calls = []
    explorer = make(calls)
    for alpha in (0.4, 0.3, 0.4, 0.3):
        explorer.controls["alpha"].value = alpha
    assert calls == [(0.3, "up"), (0.4, "up")]


def test_a_failing_render_says_so_and_keeps_the_picture():
    explorer = make()
    before = explorer.picture
    explorer.controls["alpha"].value = 0.9
    assert explorer.picture == before
    assert "ZeroDivisionError: alpha too &lt;large&gt;" in explorer._status.value
    explorer.controls["alpha"].value = 0.5
    assert explorer.picture != before and explorer._status.value == ""


def test_alt_text_follows_the_values():
    explorer = make(alt=lambda alpha, mode: f"a straight line of slope {alpha:.1f}, going {mode}")
    explorer.controls["alpha"].value = 0.7
    assert "slope 0.7, going up" in explorer.picture


def test_output_holds_widget_picture_and_text(monkeypatch):
    sent = {}
    monkeypatch.setattr("IPython.display.display", lambda data, metadata, raw: sent.update(data))
    explorer = make()
    explorer.show()
    assert sent["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.widget.model_id
    assert explorer.picture in sent["text/html"] and sent["image/png"].startswith(b"\x89PNG")
    assert sent["text/plain"] == f"[interactive figure: slope = 0.3, direction = up] {ALT}"


def test_the_stored_picture_is_the_end_and_the_live_one_the_beginning(monkeypatch):
    sent = {}
    monkeypatch.setattr("IPython.display.display", lambda data, metadata, raw: sent.update(data))
    explorer = make(end={"alpha": 0.8}, alt=lambda alpha, mode: f"a straight line of slope {alpha:.1f}, going {mode}")
    before = explorer.picture
    explorer.show()
    assert "slope 0.8, going up" in sent["text/html"] and "slope 0.3" in explorer.picture == before
    assert sent["text/plain"].startswith("[interactive figure: slope = 0.8, direction = up]")
    explorer.controls["alpha"].value = 0.8
    assert explorer.picture in sent["text/html"]
    with pytest.raises(ValueError, match="end names"):
        make(end={"beta": 1.0})


def test_running_a_cell_again_keeps_every_id_and_closes_the_old_parts():
    first = parts_first(make().widget)
    assert len(first) > 8, "sliders, views, layouts and styles"
    identities = [part.model_id for part in first]
    second = parts_first(make().widget)
    assert [part.model_id for part in second] == identities and len(set(identities)) == len(identities)
    assert all(identity.startswith("metarl") for identity in identities)
    assert all(part.comm is None for part in first) and all(part.comm is not None for part in second)


def test_html_pictures_and_bad_ones():
    controls = {"n": slider("count", 1, 5, 1, 2)}
    explorer = Explorer("test html", lambda n: f"<b>{n}</b>", controls, alt="a number in bold type")
    explorer.controls["n"].value = 4
    assert explorer.picture == "<b>4</b>" and isinstance(explorer.values["n"], int)
    with pytest.raises(ValueError, match="return a matplotlib Figure"):
        Explorer("test bad", lambda n: np.ones(3), controls, alt="nothing to be seen here")
    with pytest.raises(ValueError, match="no controls"):
        Explorer("test none", lambda: "", {}, alt="nothing to be seen here")
