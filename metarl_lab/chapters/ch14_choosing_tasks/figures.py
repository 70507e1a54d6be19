"""Figures of chapter 14: the task space, predicted gain beside the truth, calibration, and what choosing is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from metarl_lab.teach.figures import (
    ANCHOR_GREY,
    BLUE,
    COLOURS,
    MARKERS,
    SKY,
    VERMILLION,
    display_name,
    draw_anchors,
    looks,
    new_figure,
)

Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # mean, low, high
Panel = tuple[Mapping[str, tuple[np.ndarray, Band]], Mapping[str, float]]  # {sampler: (env steps, band)}, anchors

RING_STYLES = ("-", "--", ":")
# Steps of the colour scale. A stored picture has 128 colours, and so few keep theirs; of an odd number the middle is 0.
GAIN_COLOURS = 21


def draw_rings(ax: Axes, rings: Mapping[str, float]) -> None:
    """Circles about the start, one for each {name: radius}; the legend names them."""
    for (name, radius), style in zip(rings.items(), RING_STYLES, strict=False):
        ax.add_patch(Circle((0, 0), radius, fill=False, color="black", lw=1.2, ls=style))
        ax.plot([], [], color="black", lw=1.2, ls=style, label=f"{name}: within {radius:g}")


def task_space(goals: np.ndarray, kind: np.ndarray, names: Sequence[str], rings: Mapping[str, float]) -> Axes:
    """Goals (n, 2) in the plane by kind (n,), an index into `names`, and circles of the radii in `rings`."""
    ax = new_figure(width=6.8, height=4.4)[1]
    for index, name in enumerate(names):
        shown = goals[kind == index]
        style = {"color": COLOURS[index], "marker": MARKERS[index], "s": 7}
        ax.scatter(shown[:, 0], shown[:, 1], label=f"{name} ({len(shown)} of {len(goals)})", **style)
    draw_rings(ax, rings)
    ax.set(xlabel="goal, x (units of length)", ylabel="goal, y (units of length)", aspect="equal")
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=2)
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
    top : the colour scale runs from -top to top, in units of return per episode; what lies beyond has its end's colour.
    """
    figure, axes = new_figure(1, 2, width=8.0, height=4.2)
    half = (side[1] - side[0]) / 2
    low, high = side[0] - half, side[-1] + half
    colours = matplotlib.colormaps["PuOr_r"].resampled(GAIN_COLOURS)
    for ax, values in zip(axes, (predicted, truth), strict=True):
        image = ax.imshow(values.T, vmin=-top, vmax=top, cmap=colours, origin="lower", extent=(low, high, low, high))
        draw_rings(ax, rings)
        ax.set(xlim=(low, high), ylim=(low, high), xlabel="goal, x (units of length)")
        ax.grid(False)
    inside = (np.abs(picks) < high).all(1)
    axes[0].plot(*picks[inside].T, "o", ms=4, mfc="none", mec="black", linestyle="none", label="task chosen")
    axes[0].set_title(f"predicted gain; {inside.sum()} of {len(picks)} tasks chosen are shown", fontsize=10)
    axes[1].set_title("measured gain", fontsize=10)
    axes[0].set_ylabel("goal, y (units of length)")
    figure.colorbar(image, ax=axes, shrink=0.85, extend="both", label="gain: return after minus before")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside lower center", ncols=3)
    return figure


def calibration(gain: np.ndarray, std: np.ndarray, realised: np.ndarray, width: float) -> Axes:
    """Realised gain of each task against the predicted one, with the interval of ``width`` standard deviations."""
    ax = new_figure(width=6.4, height=4.2)[1]
    inside = np.abs(realised - gain) <= width * std
    order = np.argsort(gain)
    low, high = gain - width * std, gain + width * std
    ax.vlines(gain[order], low[order], high[order], color=SKY, lw=1.0, alpha=0.7, label="predicted interval")
    ends = np.array([gain.min(), gain.max()])
    ax.plot(ends, ends, color=ANCHOR_GREY, lw=1.4, ls="--", label="realised as predicted")
    for name, chosen, marker, colour in (("inside", inside, "o", BLUE), ("outside", ~inside, "s", VERMILLION)):
        label = f"{name} ({chosen.sum()} of {len(gain)})"
        ax.plot(gain[chosen], realised[chosen], marker, color=colour, ms=4, ls="none", label=label)
    ax.set(xlabel="predicted gain (return per episode)", ylabel="realised gain (return per episode)")
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    return ax


def returns(panels: Mapping[str, Panel]) -> Figure:
    """Held-out return against env steps for each sampler, a panel a family, between its anchors.

    An anchor that lies further from the curves than they are apart would press them together: it is no line then, but
    is named with its value at the edge that it lies beyond.

    panels: {title: ({sampler: (env steps, (mean, low, high))}, anchors)}. ValueError without anchors.
    """
    if not all(anchors for _, anchors in panels.values()):
        raise ValueError("returns got a panel without anchors; give at least one, such as {'oracle': 2.9}")
    figure, axes = new_figure(1, len(panels), width=8.8, height=4.3)
    styles = looks(name for curves, _ in panels.values() for name in curves)  # one look a sampler, in every panel
    shown = {}
    for ax, (title, (curves, anchors)) in zip(np.ravel(axes), panels.items(), strict=True):
        for name, (steps, (mean, low, high)) in curves.items():
            ax.fill_between(steps / 1000, low, high, color=styles[name]["color"], alpha=0.15, linewidth=0)
            (shown[display_name(name)],) = ax.plot(steps / 1000, mean, label=display_name(name), **styles[name])
        lowest = min(band[1].min() for _, band in curves.values())
        highest = max(band[2].max() for _, band in curves.values())
        apart = highest - lowest
        near = {key: x for key, x in anchors.items() if lowest - apart <= x <= highest + apart}
        draw_anchors(ax, near)
        for key in anchors.keys() - near.keys():
            above = anchors[key] > highest
            where = {"xy": (0.02, 0.97 if above else 0.03), "xycoords": "axes fraction"}
            side = "above" if above else "below"
            text = f"{display_name(key)}: {anchors[key]:.1f}, far {side} this picture"
            ax.annotate(text, **where, va="top" if above else "bottom", fontsize=8.5, color=ANCHOR_GREY)
            room = 0.12 * apart
            low, high = ax.get_ylim()
            ax.set_ylim(low - room * (not above), high + room * above)
        ax.set(xlabel="env steps (thousands)", ylabel="return after one step")
        ax.set_title(title, fontsize=10)
    figure.legend(
        list(shown.values()),
        list(shown),
        frameon=False,
        fontsize=9,
        loc="outside lower center",
        ncols=min(3, len(shown)),
    )
    return figure
