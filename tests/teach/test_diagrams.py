"""Diagrams: boxes know where arrows meet them, labels follow the arrow, and nothing undefined is drawn."""

import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from metarl_lab.teach.diagrams import FILLS, Diagram


def luminance(colour: str) -> float:
    """Relative luminance of "#RRGGBB" (WCAG 2.1)."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_a_box_knows_its_edges_and_holds_its_words():
    diagram = Diagram(width=10, height=5)
    box = diagram.box(1, 2, 4, 2, "weights", fill="green")
    assert (box.left, box.right, box.top, box.bottom) == ((1, 3), (5, 3), (3, 4), (3, 2))
    assert box.along_top(0.25) == (2, 4) and box.along_bottom(1) == (5, 2)
    (text,) = diagram.axes.texts
    assert text.get_text() == "weights" and text.get_position() == (3, 3)
    assert isinstance(diagram.axes.patches[0], FancyBboxPatch)


def test_an_arrow_carries_its_words_where_it_runs():
    diagram = Diagram(width=10, height=5)
    diagram.arrow((0, 1), (4, 1), "straight")
    diagram.arrow((0, 1), (4, 1), "bent", bend=0.5)
    diagram.arrow((4, 1), (0, 1), "back", bend=0.5)
    assert [t.get_position() for t in diagram.axes.texts] == [(2, 1), (2, 0), (2, 2)]
    arrows = [p for p in diagram.axes.patches if isinstance(p, FancyArrowPatch)]
    assert len(arrows) == 3
    middle = arrows[1].get_path().vertices  # in display units before drawing: a curve of three points
    assert len(middle) >= 3


def test_text_on_every_fill_is_legible():
    for name, colour in FILLS.items():
        assert (luminance(colour) + 0.05) / 0.05 > 12, f"black on {name}"
    with pytest.raises(ValueError, match="give one of blue"):
        Diagram(4, 2).box(0, 0, 1, 1, fill="black")
