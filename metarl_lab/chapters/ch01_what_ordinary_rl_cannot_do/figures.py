"""Figures of chapter 01: share of a gap closed, cost task by task, walks in the plane, exploration against return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from metarl_lab.teach.figures import ANCHOR_GREY, display_name, draw_anchors, looks, new_figure

Band = tuple[np.ndarray, np.ndarray, np.ndarray]  # mean, low, high


def bands(ax: Axes, x: np.ndarray, curves: Mapping[str, Band], marker: bool = True) -> Axes:
    """Draw each (mean, low, high) against x, or its first part; told apart by colour and line style."""
    for name, style in looks(curves).items():
        mean, low, high = curves[name]
        ax.fill_between(x[: len(mean)], low, high, color=style["color"], alpha=0.18, linewidth=0)
        ax.plot(x[: len(mean)], mean, label=display_name(name), **(style if marker else style | {"marker": ""}))
    return ax


def gap_curves(
    episodes: np.ndarray, curves: Mapping[str, Band], *, mark: float | None = None, title: str = "", steps: int = 10
) -> Axes:
    """Share of the way from random play (0) to perfect play (100) against practice; `mark` in env steps.

    `episodes` counts practice on this task; the axis shows env steps, `steps` to an episode.
    """
    ax = new_figure()[1]
    bands(ax, episodes * steps, curves, marker=len(episodes) < 30)
    draw_anchors(ax, {"perfect play": 100.0, "random play": 0.0})
    if mark is not None:
        ax.axvline(mark, color="#000000", linewidth=1.0)
    ax.set(xlabel="env steps practised on this task", ylabel="gap closed (%)", ylim=(-12, 112))
    ax.set_title(title, fontsize=10)
    ax.legend(frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1.0, 0.15))
    return ax


def cost_by_task(costs: Mapping[str, Band], most: float) -> Axes:
    """Episodes needed on the first, second, ... task of a sequence; `most` is where counting stopped."""
    ax = new_figure()[1]
    order = np.arange(1, 1 + len(next(iter(costs.values()))[0]))
    bands(ax, order, costs)
    draw_anchors(ax, {"counting stops here": most})
    ax.set(xlabel="place of the task in the sequence", ylabel="episodes to close 80% of the gap", xticks=order)
    ax.set_ylim(0, 1.3 * most)
    ax.legend(frameon=False, fontsize=9, loc="upper right", ncols=2)
    return ax


def practice_curves(steps: np.ndarray, curves: Mapping[str, Band], anchors: Mapping[str, float]) -> Axes:
    """Return per episode against env steps practised on the new task."""
    ax = new_figure(height=4.0)[1]
    bands(ax, steps, curves, marker=False)
    draw_anchors(ax, anchors)
    ax.set(xlabel="env steps practised on the new task", ylabel="return per episode")
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    return ax


def walks(
    paths: Mapping[str, np.ndarray],
    goal: Sequence[float],
    old_goal: Sequence[float],
    returns: Mapping[str, float],
    notes: Mapping[str, str],
) -> Axes:
    """Draw where agents walked: paths {name: (episodes, points, 2)}, NaN after an episode's end.

    The legend has each agent's return, after what `notes` says of it, if anything. Lengths are in the plane's own unit,
    and both axes have one scale.
    """
    ax = new_figure(width=6.4, height=5.2)[1]
    for name, style in looks(paths).items():
        style = style | {"marker": "", "linewidth": 1.3}
        for number, path in enumerate(paths[name]):
            legend = f"{display_name(name)}{notes.get(name, '')}: return {returns[name]:.1f}"
            ax.plot(path[:, 0], path[:, 1], alpha=0.75, label=legend if number == 0 else None, **style)
    ax.plot(*old_goal, "o", mfc="none", mec=ANCHOR_GREY, ms=13, mew=1.5, linestyle="none", label="old goal")
    ax.plot(*goal, "*", color="#000000", ms=15, linestyle="none", label="new goal")
    ax.set(xlim=(-1.0, 1.0), ylim=(-0.75, 0.75), xlabel="x (units of length)", ylabel="y (units of length)")
    ax.set_aspect("equal")
    ax.legend(frameon=False, fontsize=8.5, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    return ax


def share_of_best(bonus: Sequence[float], shares: Mapping[str, Any]) -> Axes:
    """Return as a share of the best possible, against the size of an exploration bonus; the best of each is ringed."""
    ax = new_figure()[1]
    for name, style in looks(shares).items():
        share = np.asarray(shares[name])
        ax.plot(bonus, share, label=name, **style)
        best = int(share.argmax())
        ax.plot(bonus[best], share[best], "o", mfc="none", mec=style["color"], ms=13, mew=1.5)
    draw_anchors(ax, {"best possible": 100.0})
    ax.set(xlabel="size c of the exploration bonus", ylabel="return (% of the best possible)")
    ax.legend(frameon=False, fontsize=9, loc="lower left")
    return ax
