"""Pictures of gradient estimates: the cloud around the true gradient, and error against lambda."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from metarl_lab.teach.figures import SKY, VERMILLION, draw_anchors, looks, new_figure


class Curve(NamedTuple):
    """A mean with its interval, each (n,)."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def gradient_cloud(
    estimates: np.ndarray,
    mean: np.ndarray,
    exact: np.ndarray,
    *,
    title: str,
    labels: Sequence[str],
    reach: tuple[float, float] = (-6.0, 4.0),
) -> Axes:
    """Draw gradient estimates, one dot per batch, in the plane of two of the gradient's components.

    Parameters
    ----------
    estimates : (batches, 2).
    mean, exact : (2,) mean of the estimates (a square), and the exact gradient (a star).
    labels : axis labels, with units.
    reach : the same on both axes and for every setting, so that one sees the cloud shrink.
    """
    _, ax = new_figure(width=6.8, height=4.4)
    low, high = reach
    inside = ((estimates > low) & (estimates < high)).all(axis=1)
    name = f"one batch ({len(estimates) - int(inside.sum())} of {len(estimates)} outside)"
    ax.plot(*estimates[inside].T, "o", ms=4, color=SKY, alpha=0.45, mew=0, label=name)
    ax.plot([0, exact[0]], [0, exact[1]], "-", color="black", linewidth=1.6)
    ax.plot(0, 0, "+", color="black", ms=10, label="no step")
    ax.plot(*exact, "*", ms=17, mfc="white", mec="black", mew=1.6, zorder=6, label="exact gradient")
    ax.plot(*mean, "s", ms=9, mfc="none", mec=VERMILLION, mew=2.2, zorder=7, label="mean of the batches")
    ax.set(xlim=reach, ylim=reach, box_aspect=1)
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    ax.set_title(title, fontsize=10, loc="left")
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def error_by_lambda(lams: Sequence[float], parts: Mapping[str, np.ndarray], best: tuple[float, float]) -> Axes:
    """Draw the error of a gradient estimate against GAE's lambda, and its parts.

    Parameters
    ----------
    parts : {name: (lambdas,)}, in percent of the exact gradient's length.
    best : (lambda, error) of the point to mark.
    """
    _, ax = new_figure(width=6.4, height=3.6)
    for name, style in looks(parts).items():
        ax.plot(lams, parts[name], label=name, **style)
    ax.plot(*best, "*", ms=16, mfc="white", mec="black", mew=1.5, zorder=6, label="smallest error")
    draw_anchors(ax, {"a zero gradient": 100.0})
    ax.set_ylim(0, 160)
    ax.set_xlim(-0.02, 1.02)
    ax.set_xlabel("lambda (0: one-step errors, 1: whole return to go)")
    ax.set_ylabel("% of the gradient's length")
    ax.legend(frameon=False, fontsize=9, loc="upper center", ncols=4)  # above 120, where no curve runs
    return ax
