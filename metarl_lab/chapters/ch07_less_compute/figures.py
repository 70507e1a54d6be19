"""Figures of chapter 07: where methods come to rest, return against three kinds of cost, learners at a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from metarl_lab.teach.figures import ANCHOR_GREY, display_name, draw_anchors, looks, new_figure

Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # mean, low, high
Interval = tuple[float, float, float]  # mean, low, high


def resting_places(sizes: np.ndarray, places: Mapping[str, np.ndarray], anchors: Mapping[str, float]) -> Axes:
    """Where each method leaves the start, (sizes,), against the inner step size; NaN where it runs away."""
    ax = new_figure(height=3.4)[1]
    for name, style in looks(places).items():
        place = places[name]
        ax.plot(sizes, place, label=display_name(name), **style)
        lost = np.flatnonzero(np.isnan(place))
        if lost.size and lost[0] > 0:
            last = lost[0] - 1
            ax.annotate(
                "runs away",
                (sizes[last], place[last]),
                xytext=(8, -4),
                textcoords="offset points",
                fontsize=8.5,
                color=style["color"],
            )
    draw_anchors(ax, anchors)
    ax.set(xlabel="inner step size", ylabel="start (same unit as the optima)")
    ax.margins(y=0.1)
    ax.get_figure().legend(loc="outside lower center", ncols=len(places), frameon=False, fontsize=9)
    return ax


def cost_curves(
    curves: Mapping[str, Mapping[str, tuple[np.ndarray, Band]]],
    anchors: Mapping[str, float],
    y_label: str,
    groups: Mapping[str, Sequence[str]],
) -> Figure:
    """Return against each kind of cost: a column a kind, a row a group of learners that can be told apart.

    Costs are on a logarithmic axis, so all of them must be above 0. Intervals are drawn at the last point of each
    curve only: bands of many curves would hide one another.

    Parameters
    ----------
    curves : {cost and its unit: {learner: (cost (stops,), (mean, low, high), (stops,) each)}}.
    anchors : {name: return}.
    groups : {title of the row: its learners}; a learner may stand in several rows.
    """
    rows, columns = len(groups), len(curves)
    figure, axes = new_figure(rows, columns, width=9.8, height=0.7 + 2.7 * rows)
    grid = np.reshape(axes, (rows, columns))
    names = list(dict.fromkeys(name for members in groups.values() for name in members))
    styles = looks(names)
    for row, (title, members) in enumerate(groups.items()):
        for column, (cost, learners) in enumerate(curves.items()):
            ax = grid[row, column]
            for name in members:
                x, (mean, low, high) = learners[name]
                ax.plot(x, mean, label=name, **styles[name])
                ax.plot([x[-1], x[-1]], [low[-1], high[-1]], color=styles[name]["color"], linewidth=1.4, alpha=0.8)
            ax.set_xscale("log")
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            ax.xaxis.set_major_formatter(FuncFormatter(short))
            ax.xaxis.set_minor_formatter(NullFormatter())
            if row == rows - 1:
                ax.set_xlabel(cost)
        grid[row, 0].set_title(title, fontsize=9.5, loc="left")
        grid[row, 0].set_ylabel(y_label)
    for ax in grid.ravel():  # one scale for all returns, and one for each cost
        if ax is not grid[0, 0]:
            ax.sharey(grid[0, 0])
    for column, learners in enumerate(curves.values()):
        spent = np.concatenate([learners[name][0] for name in names])
        for ax in grid[:, column]:
            ax.set_xlim(0.85 * spent.min(), 1.18 * spent.max())
    for row in range(rows):
        for column in range(columns):
            draw = draw_anchors if column == columns - 1 else draw_lines  # names in the last margin only
            draw(grid[row, column], anchors)
            grid[row, column].tick_params(labelleft=column == 0, labelbottom=row == rows - 1)
    lines = {line.get_label(): line for ax in grid.ravel() for line in ax.lines}
    legend = [lines[name] for name in names], [display_name(name) for name in names]
    figure.legend(*legend, frameon=False, fontsize=9, loc="outside lower center", ncols=7)
    return figure


def draw_lines(ax: Axes, anchors: Mapping[str, float]) -> None:
    """Anchors whose names stand in the margin of another panel of the same row, with the lines that they have there."""
    for value, line in zip(sorted(anchors.values()), ("--", ":", "-."), strict=False):
        ax.axhline(value, color=ANCHOR_GREY, linewidth=1.1, linestyle=line, zorder=1)


def short(value: float, place: int | None = None) -> str:
    """A number as an axis shows it: 300k, 1M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def ranking(scores: Mapping[str, Interval], anchors: Mapping[str, float], title: str, x_label: str) -> Axes:
    """Learners in order of their mean, best on top, each with its interval, between vertical anchors.

    A learner has the colour and marker that it has in the whole book, whatever its rank.
    """
    ax = new_figure(height=3.7)[1]
    order = sorted(scores, key=lambda name: scores[name][0])
    for name, style in looks(scores).items():
        mean, low, high = scores[name]
        height = order.index(name)
        ax.plot([low, high], [height, height], color=style["color"], linewidth=2.2)
        ax.plot(mean, height, marker=style["marker"], color=style["color"], markersize=8)
        ax.annotate(f"{mean:.2f}", (mean, height), (0, 7), textcoords="offset points", ha="center", fontsize=8.5)
    for name, value in anchors.items():
        ax.axvline(value, color=ANCHOR_GREY, linewidth=1.1, linestyle="--", zorder=1)
        place = (value, len(order) - 0.35)
        words = display_name(name)
        ax.annotate(words, place, ha="center", va="bottom", fontsize=8.5, color=ANCHOR_GREY, annotation_clip=False)
    ranks = [f"{len(order) - i}. {display_name(name)}" for i, name in enumerate(order)]
    ax.set_yticks(range(len(order)), ranks)
    ax.set(xlabel=x_label, ylim=(-0.6, len(order) - 0.4))
    ax.set_title(title, fontsize=10, pad=18)
    return ax
