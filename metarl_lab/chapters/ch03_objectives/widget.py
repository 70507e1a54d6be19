"""Explorers of chapter 03: the landscape of two objectives, and what a trial's objective makes an agent do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarl_lab.chapters.ch03_objectives.figures import landscapes, trial_bars
from metarl_lab.teach.widgets import Explorer, slider

Best = Callable[[torch.Tensor], int]


def landscape_explorer(side: np.ndarray, table: Mapping[tuple[float, int, int], np.ndarray], best: Best) -> Explorer:
    """Mean return before adaptation, and after it, for every policy with two parameters.

    Parameters
    ----------
    side : (n,) preferences on both axes.
    table : {(task spread, inner step size, number of steps): mean return (n, n)}, computed before; from 0 steps on.
    best : scores (n n,) -> index of the best one, with the chapter's own rule for ties.
    """
    spreads, alphas, steps = (sorted({key[part] for key in table}) for part in range(3))
    top = max(spreads)

    def star(values: np.ndarray) -> tuple[float, float]:
        x, y = divmod(best(torch.as_tensor(values).reshape(-1)), len(side))
        return float(side[x]), float(side[y])

    def found(spread: float, alpha: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
        nearest = min(spreads, key=lambda s: abs(s - spread))
        return table[nearest, alpha, 0], table[nearest, alpha, steps]

    def render(spread: float, alpha: int, steps: int) -> Figure:
        before, after = found(spread, alpha, steps)
        here, there = star(before), star(after)
        at = [tuple(int(np.argmin(np.abs(side - c))) for c in point) for point in (here, there)]
        titles = [
            f"before adapting (star {before[at[0]]:.2f}, ring {before[at[1]]:.2f})",
            f"after {steps} step{'s' * (steps != 1)} (star {after[at[1]]:.2f}, ring {after[at[0]]:.2f})",
        ]
        return landscapes(side, dict(zip(titles, (before, after), strict=True)), [here, there], top=top)

    def alt(spread: float, alpha: int, steps: int) -> str:
        before, after = found(spread, alpha, steps)
        place = "the same place" if star(before) == star(after) else "another place"
        return (
            "Mean return of each two-parameter policy as two heat maps. Before adapting its best is "
            f"{before.max():.2f}; after {steps} inner steps the best is {after.max():.2f}, in {place}"
        )

    gap = spreads[1] - spreads[0]
    controls = {
        "spread": slider("task spread (points)", spreads[0], spreads[-1], gap, value=1.0),
        "alpha": slider("inner step size", alphas[0], alphas[-1], alphas[1] - alphas[0], value=5),
        "steps": slider("inner steps", steps[0], steps[-1], 1, value=1),
    }
    return Explorer("03 landscape", render, controls, alt=alt)


def trial_explorer(best_plan: Callable[..., Sequence[float]], most: int = 10) -> Explorer:
    """What each episode of a trial returns under the best plan, for the whole-trial and the final-episode objective.

    `best_plan(weights, credit, shock)` is the chapter's own function: it takes microseconds, so nothing is stored.
    """

    def plans(episodes: int, credit: float, shock: int) -> dict[str, Sequence[float]]:
        last = [0] * (episodes - 1) + [1]
        return {
            "whole trial": best_plan([1] * episodes, credit, shock),
            "final episode": best_plan(last, credit, shock),
        }

    def render(episodes: int, credit: float, shock: int) -> Axes:
        return trial_bars(plans(episodes, credit, shock), floor=min(-0.2, (1 - shock) / 2 - 0.3))

    def alt(episodes: int, credit: float, shock: int) -> str:
        totals = ", ".join(f"{name} {sum(plan):.1f}" for name, plan in plans(episodes, credit, shock).items())
        return f"Expected return of each of {episodes} episodes as bars, for two objectives; totals: {totals}"

    controls = {
        "episodes": slider("episodes in a trial", 1, most, 1, value=5),
        "credit": slider("credit across episodes", 0.0, 1.0, 0.05, value=1.0),
        "shock": slider("cost of the shock", 0, 10, 1, value=6),
    }
    return Explorer("03 trial", render, controls, alt=alt)
