"""Figures of chapter 11: value maps of a grid, starts after their steps, and what exploring costs and brings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.teach.figures import display_name, draw_anchors, look, looks, new_figure

# the gridworld's actions as (columns, rows downwards): none, up, right, down, left
_ARROWS = ((0, 0), (0, -1), (1, 0), (0, 1), (-1, 0))


def value_maps(tables: Mapping[str, np.ndarray], goal: int | None, low: float, high: float) -> Figure:
    """The value of every cell, max_a Q(s, a), as a map, with the best action as an arrow (a dot: stay).

    Parameters
    ----------
    tables : {title: Q (cells, 5)} of a square grid, cell = row * size + column.
    goal : the cell to mark with a star; None: none.
    low, high : ends of the colour scale, in units of discounted return.
    """
    if not tables:
        raise ValueError("value_maps got no tables; give at least one, such as {'exact': q}")
    figure, axes = new_figure(1, len(tables), width=2.1 * len(tables) + 0.9, height=2.7)
    for ax, (title, q) in zip(np.ravel(axes), tables.items(), strict=True):
        size = round(len(q) ** 0.5)
        value, best = q.max(1), q.argmax(1)
        image = ax.imshow(value.reshape(size, size), vmin=low, vmax=high, cmap="cividis")
        for cell in range(size**2):
            row, column = divmod(cell, size)
            ink = "white" if value[cell] < (low + high) / 2 else "black"
            ax.annotate(f"{value[cell]:.1f}", (column, row + 0.36), ha="center", va="center", fontsize=7, color=ink)
            along, down = _ARROWS[best[cell]]
            if along or down:
                ends = {"xytext": (column - 0.22 * along, row - 0.1 - 0.18 * down)}
                tip = (column + 0.22 * along, row - 0.1 + 0.18 * down)
                ax.annotate("", tip, arrowprops={"arrowstyle": "->", "color": ink}, **ends)
            else:
                ax.plot(column, row - 0.1, "o", color=ink, ms=3)
        if goal is not None:
            row, column = divmod(goal, size)
            ax.plot(column + 0.3, row - 0.3, "*", color="#D55E00", mec="white", ms=12)
        ax.set_title(title, fontsize=9)
        ax.set(xticks=range(size), yticks=range(size), xlabel="column")
        ax.grid(False)
    np.ravel(axes)[0].set_ylabel("row")
    figure.colorbar(image, ax=np.ravel(axes).tolist(), shrink=0.8, label="discounted return")
    return figure


def after_steps(returns: pd.DataFrame, anchors: Mapping[str, float], label: str) -> Axes:
    """Return per episode after the steps: a column of points for each start, one point a seed, and a bar at their mean.

    `returns` has a row a seed and a column a start; `label` says what the steps were.
    """
    ax = new_figure()[1]
    styles = looks(returns.columns)
    for place, (name, values) in enumerate(returns.items()):
        style = styles[str(name)]
        spread = place + np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else [float(place)]
        ax.plot(spread, values, color=style["color"], marker=style["marker"], linestyle="none", markersize=7)
        ax.hlines(values.mean(), place - 0.25, place + 0.25, color=style["color"], linewidth=2)
    draw_anchors(ax, anchors)
    ax.set_xticks(range(len(returns.columns)), [display_name(str(name)) for name in returns.columns])
    ax.set_xlim(-0.5, len(returns.columns) - 0.5)
    ax.set(xlabel=label, ylabel="return per episode")
    return ax


def exploring(returns: pd.DataFrame, anchors: Mapping[str, float]) -> Axes:
    """Return of the first and the second batch against how much the first explores: means, and each seed thinly.

    `returns` has a row for each (seed, share), and a column a batch.
    """
    ax = new_figure()[1]
    for index, (name, values) in enumerate(returns.items()):
        by_seed = values.unstack("seed")
        style = look(index)
        thin = {"color": style["color"], "linestyle": style["linestyle"], "linewidth": 0.8, "alpha": 0.6}
        ax.plot(by_seed.index, by_seed, **thin)
        ax.plot(by_seed.index, by_seed.mean(axis=1), label=name, **(style | {"linewidth": 2.6, "markersize": 6}))
        ax.set_xticks(list(by_seed.index))
    draw_anchors(ax, anchors)
    ax.set(xlabel="share of random actions, first batch", ylabel="return per episode")
    ax.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)
    return ax
