"""Widget of chapter 07: which learner is best at a budget of env steps, arithmetic or seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes

from metarl_lab.chapters.ch07_less_compute.figures import Interval, ranking
from metarl_lab.teach.widgets import Explorer, choice, slider

AtBudget = Callable[[str, str, float], Mapping[str, np.ndarray]]


def budget_explorer(
    at_budget: AtBudget,
    most: Mapping[str, Mapping[str, float]],
    anchors: Mapping[str, Mapping[str, float]],
    interval: Callable[[np.ndarray], Interval],
    name: str = "07 budget",
    x_label: str = "return per episode after one inner step",
) -> Explorer:
    """Return the explorer of learners ranked at a budget.

    Parameters
    ----------
    at_budget : (family, kind of cost, amount) -> {learner: returns (seeds,)}, looked up in a stored table
    most : {family: {kind of cost: amount that the slider's 100% stands for}}
    anchors : {family: {name: return per episode}}
    interval : (seeds,) -> mean, low, high
    """

    def draw(percent: int, cost: str, family: str) -> Axes:
        amount = most[family][cost] * percent / 100
        scores = {learner: interval(values) for learner, values in at_budget(family, cost, amount).items()}
        spent = f"{amount:,.0f}" if amount >= 100 else f"{amount:.2g}"
        return ranking(scores, anchors[family], f"{family}: what {spent} {cost} of meta-training buy", x_label)

    families, costs = list(most), list(next(iter(most.values())))
    controls = {
        "percent": slider("budget (% of MAML)", 5, 100, 5, 25),
        "cost": choice("what is scarce", costs),
        "family": choice("family", families),
    }
    return Explorer(
        name,
        draw,
        controls,
        alt=lambda percent, cost, family: (
            f"Learners on {family} ranked by return after one inner step, each trained with {percent} percent of the "
            f"{cost} of MAML's run, with intervals over seeds, between random play and the oracle"
        ),
        end={"percent": 100},
    )
