"""Widget of chapter 11: value maps of a grid, before and after backups, from several starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from metarl_lab.chapters.ch11_value_based.figures import value_maps
from metarl_lab.teach.widgets import Explorer, choice, slider


def value_explorer(
    starts: Mapping[str, np.ndarray],
    returns: Mapping[str, np.ndarray],
    exact: np.ndarray,
    goals: Sequence[int],
    high: float,
    name: str = "11 value maps",
) -> Explorer:
    """Return the explorer of backups: pick where Q begins, the goal's place, and how many backups it has had.

    Parameters
    ----------
    starts : {start: Q (goals, backups + 1, cells, 5)}, after 0, 1, ... backups on the task's own data.
    returns : {start: (goals, backups + 1)}, of greedy play by each of them.
    exact : (goals, cells, 5), the optimal Q.
    goals : the cell of each task's goal.
    high : the top of the colour scale, in units of discounted return; its bottom is -1.
    """
    size = round(exact.shape[1] ** 0.5)
    backups = next(iter(starts.values())).shape[1] - 1
    places = [(f"row {goal // size}, column {goal % size}", n) for n, goal in enumerate(goals)]

    def draw(start: str, task: int, count: int) -> Figure:
        q, earned = starts[start][task], returns[start][task]
        shown = {f"before: return {earned[0]:.1f}": q[0], f"after {count}: return {earned[count]:.1f}": q[count]}
        return value_maps(shown | {"exact": exact[task]}, goals[task], -1.0, high)

    def alt(start: str, task: int, count: int) -> str:
        where = places[task][0]
        return f"Value maps from {start} before and after {count} backups, and the exact one, for a goal at {where}"

    controls: dict[str, Any] = {
        "start": choice("where Q begins", list(starts)),
        "task": choice("goal", places, value=min(2, len(goals) - 1)),
        "count": slider("backups", 0, backups, 1, min(5, backups)),
    }
    return Explorer(name, draw, controls, alt=alt)
