"""Figures of chapter 09: what is believed of a hidden goal, and where it makes agents go. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.teach.figures import ANCHOR_GREY, COLOURS, DPI, display_name, looks, new_figure

AGENT, GOAL = COLOURS[1], COLOURS[5]
PRIOR = "the prior alone"  # name of the curve that is a reference


def belief_pair(
    exact: np.ndarray, decoded: np.ndarray, path: np.ndarray, goal: int, distance: np.ndarray, moment: int, caption: str
) -> Figure:
    """Draw two beliefs over the cells of a grid, and how far they have been apart.

    Parameters
    ----------
    exact, decoded : (cells,) probabilities before the next step, row by row.
    path : (points,) cells of the present episode, the last one being where the agent is.
    goal : the hidden cell.
    distance : (steps,) total variation between the two at every step of the trial; drawn up to `moment`.
    moment : steps done so far in the trial.
    caption : what is seen, in a line.
    """
    # fixed places: a layout engine would take most of a slider's 200 ms
    figure = Figure(figsize=(9.4, 3.5), dpi=DPI)
    axes = figure.subplots(1, 3, width_ratios=(1.0, 1.0, 0.95))
    figure.subplots_adjust(left=0.02, right=0.985, top=0.81, bottom=0.14, wspace=0.16)
    for ax, belief, title in zip(axes, (exact, decoded), ("exact posterior", "VariBAD's, decoded"), strict=False):
        draw_belief(ax, belief, path, goal)
        ax.set_title(title, fontsize=10)
    ax = axes[2]
    ax.plot(np.arange(moment + 1), distance[: moment + 1], color=COLOURS[0], linewidth=1.6)
    for end in range(15, len(distance), 15):
        ax.axvline(end, color=ANCHOR_GREY, linewidth=0.7, linestyle=":")
    ax.set(xlim=(-0.5, len(distance)), ylim=(0, 1), yticks=(0, 0.5, 1), xticks=(0, 15, 30, 45))
    ax.set_xlabel("steps done in the trial", fontsize=9)
    ax.set_title("total variation between the two", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8, colors=ANCHOR_GREY)
    figure.text(0.02, 0.93, caption, fontsize=10.5, weight="bold")
    return figure


def draw_belief(ax: Axes, belief: np.ndarray, path: np.ndarray, goal: int) -> None:
    """A belief as shades of blue, in per cent from 1% up; star: the goal; disc and line: the agent's way."""
    size = round(len(belief) ** 0.5)
    # the root spreads the shades: 1/21 and 1/6 are both to be seen
    ax.imshow(np.sqrt(belief).reshape(size, size), cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    for cell, probability in enumerate(belief):
        if probability >= 0.01:
            colour = "white" if probability > 0.4 else "black"
            place = (cell % size - 0.44, cell // size - 0.34)
            ax.text(*place, f"{100 * probability:.0f}", fontsize=7, color=colour, ha="left", va="center")
    ax.plot(path % size, path // size, color=AGENT, linewidth=1.6, alpha=0.8)
    ax.plot(path[-1] % size, path[-1] // size, "o", color=AGENT, markeredgecolor="white", markersize=16)
    ax.plot(goal % size, goal // size, "*", color=GOAL, markeredgecolor="black", markersize=11)
    _as_grid(ax, size)


def ways(paths: Mapping[str, np.ndarray], goal: int, size: int) -> Figure:
    """Draw the ways of several agents to one hidden goal: a row an agent, a column an episode.

    paths : {agent, as the catalog names it: (episodes, points)} of cells, row by row. An open square is the start, a
    disc the end of the episode, the star the goal.
    """
    episodes = len(next(iter(paths.values())))
    figure, axes = new_figure(len(paths), episodes, width=2.1 * episodes, height=2.25 * len(paths))
    styles = looks(paths)
    for row, (name, cells) in zip(np.atleast_2d(axes), paths.items(), strict=True):
        colour, dashes = styles[name]["color"], styles[name]["linestyle"]
        for episode, (ax, way) in enumerate(zip(row, cells, strict=True)):
            # a cell that the way comes back to is drawn beside itself
            shift = 0.1 * np.array(
                [np.count_nonzero((way[:i] == cell) & (way[1 : i + 1] != cell)) for i, cell in enumerate(way)]
            )
            ax.plot(way % size + shift, way // size + shift, linestyle=dashes, color=colour, linewidth=1.8)
            ax.plot(0, 0, "s", color="white", markeredgecolor=colour, markersize=8)  # the start
            ax.plot(way[-1] % size, way[-1] // size, "o", color=colour, markersize=14)
            ax.plot(goal % size, goal // size, "*", color=GOAL, markeredgecolor="black", markersize=11)
            ax.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
            ax.grid(False)
            _as_grid(ax, size)
            ax.set_title(f"episode {episode + 1}", fontsize=9)
        row[0].set_ylabel(display_name(name), fontsize=10)
    return figure


def walks_on_arc(position: np.ndarray, goals: np.ndarray, radius: float) -> Figure:
    """Draw walks in the plane, a row a task and a column an episode, with the goal's rewarded disc.

    position : (tasks, episodes, points, 2) in units of length. goals : (tasks, 2).
    """
    tasks, episodes = position.shape[:2]
    figure, axes = new_figure(tasks, episodes, width=1.6 * episodes, height=1.15 * tasks + 0.3)
    angle = np.linspace(0, np.pi, 60)
    for index, (row, walks, goal) in enumerate(zip(np.atleast_2d(axes), position, goals, strict=True)):
        for episode, (ax, walk) in enumerate(zip(row, walks, strict=True)):
            ax.plot(np.cos(angle), np.sin(angle), ":", color=ANCHOR_GREY, linewidth=1)
            disc = goal[:, None] + radius * np.array([np.cos(2 * angle), np.sin(2 * angle)])
            ax.fill(*disc, color=GOAL, alpha=0.8)
            ax.plot(walk[:, 0], walk[:, 1], color=COLOURS[0], linewidth=1.6)
            ax.plot(*walk[-1], "o", color=COLOURS[0], markersize=4)
            ax.set(xlim=(-1.35, 1.35), ylim=(-0.5, 1.35), aspect="equal", xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            ax.grid(False)
            if index == 0:
                ax.set_title(f"episode {episode + 1}", fontsize=9)
    return figure


def distances(curves: Mapping[str, Sequence[float]], x_label: str) -> Axes:
    """Total variation from the exact posterior against steps of a trial, one curve a belief (or whose trial is read).

    "the prior alone", what is earned by learning nothing, is grey. The legend stands above the axes: curves cross.
    """
    ax = new_figure(height=3.8)[1]
    styles = looks(name for name in curves if name != PRIOR)
    styles[PRIOR] = {"color": ANCHOR_GREY, "linestyle": ":", "linewidth": 2.2}
    for name, values in curves.items():
        ax.plot(np.arange(len(values)), values, label=display_name(name), **(styles[name] | {"marker": ""}))
    ax.set(xlabel=x_label, ylabel="total variation", ylim=(0, None))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)
    return ax


def _as_grid(ax: Axes, size: int) -> None:
    """Lines between cells, no numbers on the axes."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(True)
    for line in np.arange(0.5, size - 1):
        ax.axhline(line, color="#D0D0D0", linewidth=0.6)
        ax.axvline(line, color="#D0D0D0", linewidth=0.6)
