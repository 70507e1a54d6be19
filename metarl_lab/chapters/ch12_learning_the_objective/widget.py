"""Widget of chapter 12: scrub through runs in which a discount learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from metarl_lab.chapters.ch12_learning_the_objective.figures import course_and_trial
from metarl_lab.teach.widgets import Explorer, choice, slider


class Course(NamedTuple):
    """One run, I meta-iterations of B batches each."""

    discount: np.ndarray
    """(I + 1,), before the first iteration and after each."""
    returns: np.ndarray
    """(I, B), return per episode of the agents of each iteration, batch by batch."""


def discount_explorer(
    runs: Mapping[tuple[str, float], Course],
    threshold: float,
    anchors: Mapping[str, float],
    name: str = "12 the discount learns",
) -> Explorer:
    """Return the explorer of runs {(program, initial discount): Course}: pick a program and a start, scrub through it.

    `threshold` is the discount above which the better action looks better; `anchors` are returns per episode.
    """
    programs = list(dict.fromkeys(program for program, _ in runs))
    starts = sorted({start for _, start in runs})
    last = len(next(iter(runs.values())).returns)

    def draw(program: str, start: float, iteration: int) -> Figure:
        run = runs[program, start]
        return course_and_trial(run.discount, threshold, iteration, run.returns[iteration - 1], anchors)

    controls = {
        "program": choice("program", programs),
        "start": choice("initial discount", [(f"{start:g}", start) for start in starts]),
        "iteration": slider("meta-iteration", 1, last, 1, 1),
    }
    return Explorer(name, draw, controls, alt=_alt, end={"iteration": last})


def _alt(program: str, start: float, iteration: int) -> str:
    return (
        f"Two panels, {program}, initial discount {start:g}: the course of the inner discount, iteration {iteration} "
        "marked, beside the return of that iteration's agents, inner step by inner step"
    )
