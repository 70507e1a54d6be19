"""Explorer of chapter 06: bias and spread of every meta-gradient estimator, from a table computed before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from metarl_lab.chapters.ch06_the_meta_gradient.figures import estimate_bars
from metarl_lab.teach.widgets import Explorer, choice, slider

EXPECTED, FINITE = "a step on the expected return", "a step on this many episodes"


def estimator_explorer(
    names: Sequence[str],
    horizons: Sequence[int],
    sizes: Sequence[int],
    alphas: Sequence[float],
    grid: Mapping[str, np.ndarray],
    name: str = "06 estimators",
) -> Explorer:
    """Return the explorer: sample size, inner step size, horizon and objective -> bias and spread of the estimators.

    Parameters
    ----------
    names : of the estimators, E of them
    horizons, sizes, alphas : H steps an episode, S episodes a batch, A inner step sizes (evenly spaced)
    grid : "mean" and "spread" (H, S, A, E) of one batch's estimate; the exact "expected" (H, A), the gradient for a
        step on the expected return, and "finite" (H, S, A), for a step on the finite batch
    """

    def found(size: int, alpha: float, horizon: int, target: str) -> tuple[np.ndarray, np.ndarray, float]:
        h, s = list(horizons).index(horizon), list(sizes).index(size)
        a = int(np.abs(np.asarray(alphas) - alpha).argmin())  # the browser sends 0.30000000000000004
        truth = grid["expected"][h, a] if target == EXPECTED else grid["finite"][h, s, a]
        return grid["mean"][h, s, a], grid["spread"][h, s, a], float(truth)

    low, high = grid["mean"].min(), grid["mean"].max()
    limits = (float(low) - 0.01, float(high) + 0.01, float(grid["spread"].max()))

    def render(size: int, alpha: float, horizon: int, target: str) -> Figure:
        return estimate_bars(names, *found(size, alpha, horizon, target), limits)

    def alt(size: int, alpha: float, horizon: int, target: str) -> str:
        mean, spread, truth = found(size, alpha, horizon, target)
        bias = np.round(mean - truth, 2) + 0.0  # + 0.0: no minus zero
        rows = "; ".join(f"{n} {b:+.2f}, {s:.2f}" for n, b, s in zip(names, bias, spread, strict=True))
        return f"Bars of the estimators' bias and standard deviation around the exact {truth:+.2f}: {rows}"

    controls = {
        "size": choice("episodes in a batch", list(sizes), sizes[len(sizes) // 2]),
        "alpha": slider(
            "inner step size", alphas[0], alphas[-1], alphas[1] - alphas[0], value=alphas[len(alphas) // 2]
        ),
        "horizon": slider("steps of an episode", horizons[0], horizons[-1], 1, value=horizons[0]),
        "target": choice("objective", [EXPECTED, FINITE], EXPECTED),
    }
    return Explorer(name, render, controls, alt=alt)
