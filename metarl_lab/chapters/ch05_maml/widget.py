"""Widgets of chapter 05: two tasks of one number; one inner step, seen as a walk and as a move in parameter space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from metarl_lab.chapters.ch05_maml.figures import start_and_after, step_and_landscape
from metarl_lab.teach.widgets import Explorer, choice, slider

STEPS = 3  # N, the most inner steps shown


class Start(NamedTuple):
    """What inner steps do from one initialisation, computed before: R rates, G goals, N steps."""

    path: np.ndarray
    """(R, G, N + 1, episodes, points, 2), in units of length, NaN once an episode is over."""
    returns: np.ndarray
    """(R, G, N + 1), per episode."""
    route: np.ndarray
    """(R, G, N + 1, 2), the parameters projected on the plane, in units of the inner rate."""
    landscape: np.ndarray
    """(G, n, n), return of each goal on the plane."""


def two_task_explorer() -> Explorer:
    """Choose a start and an inner rate: what one step makes of it in both tasks, and where three methods rest."""
    return Explorer(
        "05 two tasks",
        lambda start, alpha: start_and_after(start, alpha),
        {
            "start": slider("start (the dial)", -0.25, 1.25, 0.05, 0.5),
            "alpha": slider("inner rate", 0.0, 0.6, 0.01, 0.25),
        },
        alt=lambda start, alpha: (
            f"Left, the returns of tasks A and B against the dial, with one inner step of rate {alpha:.2f} from "
            f"{start:.2f} in each; right, the mean return after the step for every start, and where three methods rest"
        ),
        end={"start": 0.25},
    )


def step_explorer(
    starts: Mapping[str, Start],
    angles: Sequence[int],
    distance: float,
    rates: Sequence[float],
    side: np.ndarray,
    floor: float,
    name: str = "05 one step",
) -> Explorer:
    """Return the explorer of inner steps: pick a goal, an inner rate, the number of steps and the initialisation.

    Goals lie on a circle, at evenly spaced `angles` (degrees); `rates`, of the first step, are evenly spaced too.
    `side` (n,) holds the plane's coordinates, and `floor` is the return at the dark end of the colour scale.
    """

    def draw(start: str, angle: int, rate: float, steps: int) -> Figure:
        # the browser sends 0.30000000000000004 for 0.3
        r, g = int(np.abs(np.array(rates) - rate).argmin()), list(angles).index(angle)
        data = starts[start]
        shown = {"before": 0, f"after {steps} step{'s' * (steps != 1)}": steps}
        return step_and_landscape(
            {f"{label}: {data.returns[r, g, n]:.1f}": data.path[r, g, n] for label, n in shown.items()},
            (distance * np.cos(np.deg2rad(angle)), distance * np.sin(np.deg2rad(angle))),
            side,
            data.landscape[g],
            data.route[r, g, : steps + 1],
            floor,
        )

    middle = float(rates[len(rates) // 2 - 1])
    controls: dict[str, Any] = {
        "start": choice("initialisation", list(starts)),
        "angle": slider("goal angle (degrees)", angles[0], angles[-1], angles[1] - angles[0], angles[1]),
        "rate": slider("inner rate", float(rates[0]), float(rates[-1]), float(rates[1] - rates[0]), middle),
        "steps": slider("inner steps", 0, STEPS, 1, 1),
    }
    return Explorer(name, draw, controls, alt=_alt, end={"steps": STEPS})


def _alt(start: str, angle: int, rate: float, steps: int) -> str:
    return (
        f"Two panels, from the initialisation of {start}: walks before and after {steps} inner steps of rate "
        f"{rate:.2g} towards a goal at {angle} degrees, and the same steps on a map of that goal's return"
    )
