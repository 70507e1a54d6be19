"""Widget of chapter 13: a path that the model imagines, beside the one that was walked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from metarl_lab.chapters.ch13_model_based.figures import path_and_error
from metarl_lab.teach.widgets import Explorer, choice, slider


class Imagination(NamedTuple):
    """Paths walked and imagined, computed before: S moments, W windows, T tasks, D imagined steps; metres."""

    walked: np.ndarray
    """(S, T, D + 1, 2), from where the imagined path starts."""
    imagined: np.ndarray
    """(S, W, T, D + 1, 2)."""


def imagination_explorer(
    data: Imagination,
    moments: Sequence[int],
    windows: Sequence[int],
    tasks: Sequence[str],
    name: str = "13 imagined path",
) -> Explorer:
    """Return the explorer of imagined paths: from when, how far ahead, and adapted to how many steps.

    `moments` are steps since the leg weakened, `windows` numbers of past steps (the first is 0: not adapted), `tasks`
    the names of the T tasks. The right panel is the mean over all tasks, the left one shows the task chosen.
    """
    error = np.linalg.norm(data.imagined - data.walked[:, None], axis=-1).mean(2)[..., 1:]  # (S, W, D)
    depth = error.shape[-1]

    def draw(task: str, moment: int, window: int, ahead: int) -> Figure:
        s, w, t = list(moments).index(moment), list(windows).index(window), list(tasks).index(task)
        shown = {"not adapted": 0}
        if w:
            shown[f"adapted to {window} steps"] = w
        return path_and_error(
            data.walked[s, t],
            {label: data.imagined[s, i, t] for label, i in shown.items()},
            {label: error[s, i] for label, i in shown.items()},
            ahead,
        )

    controls: dict[str, Any] = {
        "task": choice("task", list(tasks)),
        "moment": choice("steps after", list(moments), moments[1]),
        "window": choice("adaptation window M", list(windows), windows[0]),
        "ahead": slider("imagined steps", 1, depth, 1, depth),
    }
    end = {"moment": moments[-1], "window": windows[-1], "ahead": depth}
    return Explorer(name, draw, controls, alt=_alt, end=end)


def _alt(task: str, moment: int, window: int, ahead: int) -> str:
    when = f"{moment} steps after" if moment >= 0 else f"{-moment} steps before"
    adapted = f" and adapted to {window} steps" if window else ""
    return (
        f"Two panels, {task}, {when} it weakened: {ahead} steps walked and imagined, by the model as it is{adapted}; "
        "and the mean error of the position over all walkers against imagined steps, which grows with them"
    )
