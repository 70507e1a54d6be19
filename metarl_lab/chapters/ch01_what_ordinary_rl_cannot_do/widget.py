"""Widgets of chapter 01: the learning curve at any place of a sequence of tasks, and the goal that moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from metarl_lab.chapters.ch01_what_ordinary_rl_cannot_do.figures import Band, gap_curves, walks
from metarl_lab.teach.widgets import Explorer, choice, slider


def sample_counter(
    episodes: np.ndarray,
    closed: Mapping[str, np.ndarray],
    interval: Callable[[np.ndarray], Band],
    name: str = "01 sample counter",
    steps: int = 10,
) -> Explorer:
    """Return the explorer of learning curves: how many tasks came before, and how long one practises on this one.

    Parameters
    ----------
    episodes : (checkpoints,) episodes practised on a task
    closed : {how one starts: (orders, places, checkpoints)}, percent of the gap between random and perfect play
    interval : (orders, checkpoints) -> mean, low, high
    steps : env steps of an episode
    """
    places = next(iter(closed.values())).shape[1]

    def draw(before: int, practised: int) -> Axes:
        at = int(np.abs(episodes * steps - practised).argmin())
        curves = {how: interval(values[:, before]) for how, values in closed.items()}
        reached = ", ".join(f"{how} {band[0][at]:.0f}%" for how, band in curves.items())
        return gap_curves(
            episodes,
            curves,
            mark=practised,
            title=f"task {before + 1} of {places}, after {practised} env steps:\n{reached}",
            steps=steps,
        )

    most, one = int(episodes[-1]) * steps, int(episodes[1] - episodes[0]) * steps
    controls = {
        "before": slider("tasks seen before", 0, places - 1, 1, 0),
        "practised": slider("env steps here", 0, most, one, most // 4 // one * one),
    }
    return Explorer(
        name,
        draw,
        controls,
        alt=lambda before, practised: (
            f"Share of the gap to perfect play closed, against env steps on task {before + 1}; "
            f"a line marks {practised} env steps"
        ),
        end={"before": places - 1},
    )


class Walks(NamedTuple):
    """What agents did on G goals: ``path`` (G, episodes, points, 2), NaN after the end, and ``returns`` (G,)."""

    path: np.ndarray
    returns: np.ndarray


def task_changer(
    distances: Sequence[float],
    angles: Sequence[int],
    fixed: Mapping[str, Walks],
    practised: Mapping[int, Walks],
    old_goal: tuple[float, float],
    name: str = "01 task changer",
) -> Explorer:
    """Return the explorer of a moved goal: walks of agents that stay as they are, and of one retrained for it.

    Parameters
    ----------
    distances, angles : the grid of goals, in units of length and degrees; goal d, a has index d A + a
    fixed : {agent: its walks on every goal}
    practised : {env steps: walks of the policy retrained from scratch with so many}
    """

    def draw(distance: float, angle: int, steps: int) -> Axes:
        # the browser sends 0.35000000000000003 for 0.35
        index = int(np.abs(np.array(distances) - distance).argmin()) * len(angles) + list(angles).index(angle)
        shown: dict[str, Walks] = {**fixed, "from scratch": practised[steps]}
        turn = np.deg2rad(angle)
        return walks(
            {agent: walk.path[index] for agent, walk in shown.items()},
            (distance * np.cos(turn), distance * np.sin(turn)),
            old_goal,
            {agent: float(walk.returns[index]) for agent, walk in shown.items()},
            notes={"from scratch": f", {steps:,} env steps"},
        )

    near, turn, count = distances[len(distances) // 2], angles[len(angles) // 4], list(practised)
    controls: dict[str, Any] = {
        "distance": _stops("distance of the goal", distances, near),
        "angle": _stops("angle of the goal (degrees)", angles, turn),
        "steps": choice("env steps from scratch", [(f"{n:,}", n) for n in count], count[-1]),
    }
    return Explorer(
        name,
        draw,
        controls,
        alt=lambda distance, angle, steps: (
            f"Walks in the plane towards a goal at distance {distance}, turned by {angle} degrees, of the specialist, "
            f"the oracle and a policy trained from scratch with {steps:,} env steps"
        ),
        end={"steps": count[-1]},
    )


def _stops(label: str, values: Sequence[Any], value: Any) -> Any:
    """A slider whose stops are these values, evenly spaced."""
    step = values[1] - values[0]
    if not np.allclose(np.diff(values), step):
        raise ValueError(f"{label}: {list(values)} are not evenly spaced; a slider needs equal steps")
    return slider(label, values[0], values[-1], step, value)
