"""Figures of chapter 05: meta-training live, inner rates, a step as a walk and as a move in parameter space, knobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.teach.figures import ANCHOR_GREY, COLOURS, draw_anchors, look, new_figure

Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # mean, low, high


def training(history: np.ndarray, anchors: Mapping[str, float]) -> Axes:
    """Return before and after the inner step, at each meta-iteration; history (iterations, 2)."""
    ax = new_figure()[1]
    for index, name in enumerate(("before the inner step", "after it")):
        ax.plot(history[:, index], label=name, **(look(index) | {"marker": ""}))
    draw_anchors(ax, anchors)
    ax.set(xlabel="meta-iteration", ylabel="return per episode")
    ax.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return ax


def rate_scan(rates: Sequence[float], curves: Mapping[str, Band], anchors: Mapping[str, float], floor: float) -> Axes:
    """Return after one step against the inner rate used at test time, for several starts; shown from `floor` up."""
    ax = new_figure()[1]
    for index, (name, (mean, low, high)) in enumerate(curves.items()):
        style = look(index)
        ax.fill_between(rates, low, high, color=style["color"], alpha=0.18, linewidth=0)
        ax.plot(rates, mean, label=name, **style)
    draw_anchors(ax, anchors)
    ax.set_xscale("log")
    ax.set_xticks(list(rates), [f"{rate:g}" for rate in rates])
    ax.minorticks_off()
    ax.set(xlabel="inner rate at test time", ylabel="return after one step", ylim=(floor, 1))
    ax.legend(frameon=False, fontsize=9, loc="lower left")
    return ax


def step_and_landscape(
    walks: Mapping[str, np.ndarray],
    goal: Sequence[float],
    side: np.ndarray,
    landscape: np.ndarray,
    route: np.ndarray,
    floor: float,
) -> Figure:
    """Draw what inner steps do: to the walks (left), and in the plane of parameters that goals pull towards (right).

    Parameters
    ----------
    walks : {name: (episodes, points, 2)}, NaN once an episode is over, in units of length; first before, then after.
    goal : where the task wants the point to go.
    side : (n,) coordinates of the plane, in units of the inner rate.
    landscape : (n, n) this task's return; first index along the horizontal axis.
    route : (steps + 1, 2) the parameters after 0, 1, ... steps, projected on the plane.
    floor : return at the dark end of the colour scale, which ends at 0.
    """
    figure, (left, right) = new_figure(1, 2, width=7.8, height=3.9)
    for index, (name, paths) in enumerate(walks.items()):
        colour = ANCHOR_GREY if index == 0 else COLOURS[1]
        for number, path in enumerate(paths):
            label = name if number == 0 else None
            left.plot(path[:, 0], path[:, 1], ":" if index == 0 else "-", color=colour, lw=1.3, label=label)
    left.plot(*goal, "*", color="black", ms=14, linestyle="none", label="goal")
    left.set(xlim=(-0.9, 0.9), ylim=(-0.9, 0.9), xlabel="x (units of length)", ylabel="y (units of length)")
    left.set_title("walks", fontsize=10)
    figure.legend(*left.get_legend_handles_labels(), frameon=False, fontsize=9, loc="outside lower left", ncols=3)
    edges = (side[0], side[-1], side[0], side[-1])
    image = right.imshow(landscape.T, vmin=floor, vmax=0, cmap="cividis", origin="lower", extent=edges)
    shown = np.clip(route, side[0], side[-1])  # a step that leaves the picture ends on its edge
    for colour, width in (("black", 3.4), ("white", 1.6)):  # white on black shows on every background
        right.plot(shown[:, 0], shown[:, 1], "-o", color=colour, lw=width, ms=4 + width, mec="black", clip_on=False)
    right.plot(*shown[0], "X", color="white", mec="black", ms=11, clip_on=False)
    right.set(xlabel="along the gradient for right", ylabel="along the gradient for up")
    right.set_title("return near the initialisation (X)", fontsize=10)
    for ax in (left, right):
        ax.set_aspect("equal")
    right.grid(False)
    figure.colorbar(image, ax=right, shrink=0.8, label="return per episode")
    return figure


def knobs(
    panels: Mapping[str, tuple[Sequence[float], Mapping[str, Band]]], anchors: Mapping[str, float], floor: float
) -> Figure:
    """Return against one setting a panel: {axis label: (values, {curve: band})}; settings are evenly spread."""
    if not anchors:
        raise ValueError("knobs got no anchors; give at least one, such as {'oracle': -0.5}")
    figure, axes = new_figure(1, len(panels), width=8.4, height=3.6)
    for place, (ax, (label, (values, curves))) in enumerate(zip(np.ravel(axes), panels.items(), strict=True)):
        spots = np.arange(len(values))
        for index, (name, (mean, low, high)) in enumerate(curves.items()):
            style = look(index)
            ax.fill_between(spots, low, high, color=style["color"], alpha=0.18, linewidth=0)
            ax.plot(spots, mean, label=name, **style)
        draw_anchors(ax, anchors)
        ax.set_xticks(spots, [f"{value:g}" for value in values])
        ax.set(xlabel=label, ylim=(floor, 0.5))
        ax.tick_params(labelleft=place == 0)
    np.ravel(axes)[0].set_ylabel("return per episode")
    handles = np.ravel(axes)[0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, fontsize=9, loc="outside lower left", ncols=3)
    return figure
