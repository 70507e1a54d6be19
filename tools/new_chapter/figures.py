"""Chapter NN: its figures. They take data and return a figure or axes; nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.teach.diagrams import Diagram
from metarl_lab.teach.figures import display_name, draw_anchors, looks, new_figure


def step_towards(belief: float, reward: float, alpha: float) -> Figure:
    """Draw one step of a running mean on the line from 0 to 1."""
    diagram, scale = Diagram(width=11, height=2.4), 9.0
    diagram.arrow((0.8, 0.8), (10.4, 0.8))
    for value, text in ((belief, "belief"), (reward, "reward")):
        diagram.words(1 + scale * value, 0.4, f"{text} {value:g}")
    after = belief + alpha * (reward - belief)
    diagram.arrow((1 + scale * belief, 1.0), (1 + scale * after, 1.0), f"a share {alpha:g} of the way", shift=(0, 0.6))
    return diagram.figure


def track(curves: Mapping[str, np.ndarray], anchors: Mapping[str, float]) -> Axes:
    """Beliefs against rewards seen; curves {name: (N + 1,)}."""
    ax = new_figure()[1]
    for name, style in looks(curves).items():
        ax.plot(curves[name], label=display_name(name), **style)
    draw_anchors(ax, anchors)
    ax.set(xlabel="rewards seen", ylabel="belief (pay per pull)")
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    return ax
