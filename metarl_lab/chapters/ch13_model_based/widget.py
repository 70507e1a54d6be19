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
        shown = {f"adapted to {window} steps": w} if w else {}
        shown = {"imagined, not adapted": 0, **shown}
        return path_and_error(
            data.walked[s, t],
            {label: data.imagined[s, i, t] for label, i in shown.items()},
            {label.removeprefix("imagined, "): error[s, i] for label, i in shown.items()},
            ahead,
        )

    controls: dict[str, Any] = {
        "task": choice("task", list(tasks)),
        "moment": choice("steps after", list(moments), moments[-1]),
        "window": choice("adaptation window M", list(windows), windows[-1]),
        "ahead": slider("imagined steps", 1, depth, 1, depth),
    }
    return Explorer(name, draw, controls, alt=_alt)


def _alt(task: str, moment: int, window: int, ahead: int) -> str:
    return (
        f"Two panels, {task}, {moment} steps after it weakened: {ahead} steps walked and imagined, by the model "
        f"as it is and adapted to {window} steps; and the mean error of the position against imagined steps"
    )
