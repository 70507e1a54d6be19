"""Figures of chapter 11: value maps of a grid, and what exploring costs and brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.teach.figures import draw_anchors, look, new_figure

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


def exploring(
    shares: Sequence[float], curves: Mapping[str, np.ndarray], anchors: Mapping[str, float], label: str
) -> Axes:
    """Return per episode against how much the first batch explores; curves {name: (shares,)}."""
    ax = new_figure()[1]
    for index, (name, mean) in enumerate(curves.items()):
        ax.plot(shares, mean, label=name, **look(index))
    draw_anchors(ax, anchors)
    ax.set(xlabel=label, ylabel="return per episode")
    ax.set_xticks(list(shares))
    ax.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)
    return ax
