"""Figures of chapter 14: the task space, predicted gain beside the truth, calibration, and what choosing is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from metarl_lab.teach.figures import ANCHOR_GREY, COLOURS, MARKERS, draw_anchors, look, new_figure

Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # mean, low, high


def task_space(goals: np.ndarray, kind: np.ndarray, names: Sequence[str], rings: Mapping[str, float]) -> Axes:
    """Goals (n, 2) in the plane by kind (n,), an index into `names`, and circles of the radii in `rings`."""
    figure, ax = new_figure(width=5.6, height=4.6)
    for index, name in enumerate(names):
        shown = goals[kind == index]
        style = {"color": COLOURS[index], "marker": MARKERS[index], "s": 7}
        ax.scatter(shown[:, 0], shown[:, 1], label=f"{name} ({len(shown)} of {len(goals)})", **style)
    for name, radius in rings.items():
        ax.add_patch(Circle((0, 0), radius, fill=False, color="black", lw=1.2))
        ax.annotate(name, (0, radius), ha="center", va="bottom", fontsize=8.5, backgroundcolor="#FFFFFFB0")
    ax.set(xlabel="goal, x (units of length)", ylabel="goal, y (units of length)", aspect="equal")
    figure.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=3)
    return ax


def gain_maps(
    side: np.ndarray,
    predicted: np.ndarray,
    truth: np.ndarray,
    picks: np.ndarray,
    rings: Mapping[str, float],
    top: float,
) -> Figure:
    """Draw predicted gain (left) and measured gain (right) over the goal's place, with the tasks chosen on the left.

    Parameters
    ----------
    side : (n,) coordinates of the grid of goals, evenly spaced, in units of length.
    predicted, truth : (n, n) gain of adaptation; first index along the horizontal axis.
    picks : (m, 2) goals trained on lately; those outside the picture are counted in its title.
    rings : {name: radius} of circles to draw.
    top : the colour scale runs from -top to top, in units of return per episode.
    """
    figure, axes = new_figure(1, 2, width=8.0, height=4.0)
    half = (side[1] - side[0]) / 2
    low, high = side[0] - half, side[-1] + half
    for ax, values, title in zip(axes, (predicted, truth), ("predicted gain", "measured gain"), strict=True):
        image = ax.imshow(values.T, vmin=-top, vmax=top, cmap="PuOr_r", origin="lower", extent=(low, high, low, high))
        for radius in rings.values():
            ax.add_patch(Circle((0, 0), radius, fill=False, color="black", lw=1.0, ls="--"))
        ax.set(xlim=(low, high), ylim=(low, high), xlabel="goal, x (units of length)", title=title)
        ax.grid(False)
    inside = (np.abs(picks) < high).all(1)
    axes[0].plot(*picks[inside].T, "o", ms=4, mfc="none", mec="black", linestyle="none")
    axes[0].set_title(f"predicted gain; circles: {inside.sum()} of {len(picks)} tasks chosen", fontsize=10)
    axes[1].set_title("measured gain", fontsize=10)
    axes[0].set_ylabel("goal, y (units of length)")
    figure.colorbar(image, ax=axes, shrink=0.85, label="return after minus before")
    return figure


def calibration(gain: np.ndarray, std: np.ndarray, realised: np.ndarray, width: float) -> Axes:
    """Realised gain of each task against the predicted one, with the interval of ``width`` standard deviations."""
    ax = new_figure(width=5.4, height=3.8)[1]
    inside = np.abs(realised - gain) <= width * std
    order = np.argsort(gain)
    low, high = gain - width * std, gain + width * std
    ax.vlines(gain[order], low[order], high[order], color=COLOURS[4], lw=1.0, alpha=0.7, label="predicted interval")
    for index, (name, chosen) in enumerate({"inside": inside, "outside": ~inside}.items()):
        label = f"{name} ({chosen.sum()})"
        ax.plot(gain[chosen], realised[chosen], MARKERS[index], color=COLOURS[index], ms=4, ls="none", label=label)
    ends = [min(gain.min(), realised.min()), max(gain.max(), realised.max())]
    ax.plot(ends, ends, color=ANCHOR_GREY, lw=1.1, ls="--", label="right on average")
    ax.set(xlabel="predicted gain (return per episode)", ylabel="realised gain")
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    return ax


def returns(
    panels: Mapping[str, tuple[Mapping[str, tuple[np.ndarray, Band]], Mapping[str, float]]],
) -> Figure:
    """Held-out return against env steps for each sampler, a panel a family.

    panels: {title: ({sampler: (env steps, (mean, low, high))}, anchors)}. ValueError without anchors.
    """
    if not all(anchors for _, anchors in panels.values()):
        raise ValueError("returns got a panel without anchors; give at least one, such as {'oracle': 2.9}")
    figure, axes = new_figure(1, len(panels), width=8.4, height=3.9)
    names: list[str] = []
    for ax, (title, (curves, anchors)) in zip(np.ravel(axes), panels.items(), strict=True):
        for name, (steps, (mean, low, high)) in curves.items():
            names += [name] * (name not in names)  # one look a sampler, in every panel
            style = look(names.index(name))
            ax.fill_between(steps / 1000, low, high, color=style["color"], alpha=0.15, linewidth=0)
            ax.plot(steps / 1000, mean, label=name, **style)
        draw_anchors(ax, anchors)
        ax.set(xlabel="env steps (thousands)", ylabel="return after one step")
        ax.set_title(title, fontsize=10)
    handles: dict[str, Any] = {}
    for ax in np.ravel(axes):
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    figure.legend(list(handles.values()), list(handles), frameon=False, fontsize=9, loc="outside lower left", ncols=3)
    return figure
