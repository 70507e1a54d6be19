"""Widget of chapter 14: what the outer model believes of every task, beside the truth, as meta-training goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from metarl_lab.chapters.ch14_choosing_tasks.figures import gain_maps
from metarl_lab.teach.widgets import Explorer, choice, slider


class Course(NamedTuple):
    """One run of meta-training, looked at S times; n x n goals of a grid."""

    predicted: np.ndarray
    """(S, n, n) gain of adaptation that the outer model predicts, in units of return per episode."""
    truth: np.ndarray
    """(S, n, n) the gain measured."""
    picks: np.ndarray
    """(S, m, 2) goals trained on since the look before."""


def selection_explorer(
    courses: Mapping[str, Course],
    iterations: Sequence[int],
    side: np.ndarray,
    rings: Mapping[str, float],
    top: float,
    name: str = "14 choosing tasks",
) -> Explorer:
    """Return the explorer of task selection: pick a sampler, scrub through meta-training. It is stored at the end.

    ``iterations`` (S,) are evenly spaced; ``side`` (n,), ``rings`` and ``top`` are as in ``gain_maps``.
    """
    steps = set(np.diff(iterations).tolist()) or {1}
    if len(steps) != 1:
        raise ValueError(f"iterations={list(iterations)} must be evenly spaced, for the slider")

    def draw(sampler: str, iteration: int) -> Figure:
        at, course = list(iterations).index(iteration), courses[sampler]
        return gain_maps(side, course.predicted[at], course.truth[at], course.picks[at], rings, top)

    controls: dict[str, Any] = {
        "sampler": choice("tasks chosen by", list(courses)),
        "iteration": slider("meta-iteration", iterations[0], iterations[-1], steps.pop(), iterations[0]),
    }
    return Explorer(name, draw, controls, alt=_alt, end={"iteration": iterations[-1]})


def _alt(sampler: str, iteration: int) -> str:
    return (
        f"Two maps of the gain of adaptation over the goal's place after {iteration} meta-iterations with tasks chosen "
        f"by {sampler}: as the outer model predicts it, with the chosen tasks, and as measured"
    )
